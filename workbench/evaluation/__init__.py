"""Measures what an embedder knows: one file a protocol; results are dataclasses that know how to print themselves."""
