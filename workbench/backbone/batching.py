"""Which texts are read together: those of similar length, as many as are asked for or as fit."""

from collections.abc import Sequence

from workbench.errors import UsageError

DEFAULT = 32
"""Texts of a batch where nothing else says how many."""


def by_length(
    lengths: Sequence[int], batch_size: int | None = None, positions: int | None = None
) -> list[list[int]]:
    """The numbers of the texts in batches, the longest first, equals in their order; no batch where there is no text.

    A batch has at most `batch_size` texts, and at most so many `positions` when padded to its longest, where these
    are given; DEFAULT texts where neither is. A text that does not fit is a batch of its own.
    Raises UsageError for a batch size below 1.
    """
    most = checked(batch_size) if batch_size is not None or positions is None else len(lengths)
    order = sorted(range(len(lengths)), key=lambda row: lengths[row], reverse=True)
    batches, start = [], 0
    while start < len(order):
        longest = max(1, lengths[order[start]])
        size = most if positions is None else max(1, min(most, positions // longest))
        batches.append(order[start : start + size])
        start += size
    return batches


def checked(batch_size: int | None) -> int:
    """The batch size, DEFAULT without one; UsageError where it is below 1."""
    if batch_size is None:
        return DEFAULT
    if batch_size < 1:
        raise UsageError(f"batch_size must be at least 1, not {batch_size}")
    return batch_size
