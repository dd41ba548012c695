"""Which texts are read together: those of similar length, as many as are asked for or as a device reads best."""

from collections.abc import Sequence

from workbench.errors import UsageError

DEFAULT = 32
"""Texts of a batch where neither a number is asked for nor a device reads more at once."""


def by_length(
    lengths: Sequence[int], batch_size: int | None, positions: int | None = None
) -> list[list[int]]:
    """The numbers of the texts in batches, the longest first; one empty batch where there is no text.

    `batch_size` texts each; without it as many as fill about `positions` when padded to the longest, or DEFAULT
    where that is None too. Raises UsageError for a batch size below 1.
    """
    if batch_size is not None and batch_size < 1:
        raise UsageError(f"batch_size must be at least 1, not {batch_size}")
    order = sorted(range(len(lengths)), key=lambda row: lengths[row], reverse=True)
    batches, start = [], 0
    while start < max(len(order), 1):
        size = batch_size or DEFAULT
        if batch_size is None and positions is not None and order:
            size = max(1, positions // max(1, lengths[order[start]]))
        batches.append(order[start : start + size])
        start += size
    return batches
