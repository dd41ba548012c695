"""Results turned into figures: one function draws one result, and drawing never computes."""
