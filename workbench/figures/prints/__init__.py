"""What the app shows, for paper: matplotlib in the paper figures' style, of nobody's global state."""
