"""Embedders: texts become vectors, one interface for several methods."""
