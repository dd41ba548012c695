"""Speed and memory beside peers, as ratios."""
