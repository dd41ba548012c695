"""Hidden states and attention turned into readings of single texts."""
