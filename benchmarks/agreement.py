"""Whether two sides do the same: a benchmark that compares different answers is worth nothing."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np


def agree(ours: Any, theirs: Any, tolerance: float) -> None:
    """SystemExit where two arrays differ by more than `tolerance` times the largest number of `theirs`."""
    mine, other = np.asarray(ours), np.asarray(theirs)
    if mine.shape != other.shape:
        raise SystemExit(f"the sides answer in other shapes: ours {mine.shape}, theirs {other.shape}")
    apart = float(np.abs(mine - other).max() / np.abs(other).max())
    if not apart <= tolerance:
        raise SystemExit(f"the sides do not do the same: {apart:.2g} apart, where {tolerance:g} is allowed")


def same_texts(ours: list[str], theirs: list[str], options: argparse.Namespace) -> int:
    """How many greedy texts are equal: all, in float32 on a CPU, and SystemExit where one differs.

    In bfloat16, and with a GPU's sums in other orders, close tokens fall either way and a text goes on from there: half
    of the texts must begin with the same word.
    """
    pairs = list(zip(ours, theirs, strict=True))
    same = sum(mine == other for mine, other in pairs)
    begin = sum(mine.split()[:1] == other.split()[:1] for mine, other in pairs)
    exact = options.dtype == "float32" and options.device == "cpu"
    if (exact and same < len(pairs)) or 2 * begin < len(pairs):
        raise SystemExit(
            f"{len(pairs) - same} of {len(pairs)} texts were decoded differently: the sides do not do the same"
        )
    return same
