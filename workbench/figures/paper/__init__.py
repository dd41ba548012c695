"""The figures of a paper: results files turned into pages of a venue's width, in one style and the same bytes."""
