"""Some rows of many: seeded, every group in proportion, and always said how many of how many."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int

from workbench.errors import UsageError

if TYPE_CHECKING:
    from workbench.atlas.store import Store


@dataclass(frozen=True)
class Sample:
    """Row numbers that were drawn, in order, and how many there were to draw from; as a string, what to say of it."""

    rows: Int[np.ndarray, " m"]
    total: int

    def __post_init__(self) -> None:
        if len(self.rows) and (self.rows.min() < 0 or self.rows.max() >= self.total):
            raise ValueError(f"rows up to {self.rows.max()} are not among {self.total}")

    def __len__(self) -> int:
        return len(self.rows)

    def __str__(self) -> str:
        return f"showing {len(self.rows):,} of {self.total:,}"


def stratified(labels: Sequence[str], n: int, seed: int = 0) -> Sample:
    """`n` of the rows that `labels` name, drawn at random within each label; all of them where there are no more.

    Every label gets one row, and the next always goes to the label that is furthest behind its share (Sainte-Laguë,
    as seats are given to parties). Raises UsageError where there are more labels than rows to draw.
    """
    total = len(labels)
    if n >= total:
        return Sample(np.arange(total), total)
    numbers: dict[str, int] = {}
    group = np.array([numbers.setdefault(name, len(numbers)) for name in labels])
    if len(numbers) > n:
        raise UsageError(f"{n:,} rows cannot hold one of each of {len(numbers):,} groups; sample more rows")
    drawn = np.random.default_rng(seed).permutation(total)
    drawn = drawn[np.argsort(group[drawn], kind="stable")]
    counts = np.bincount(group)
    turn = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
    waits = np.where(turn == 0, 0.0, (turn + 0.5) / np.repeat(counts, counts))
    return Sample(np.sort(drawn[np.argsort(waits, kind="stable")[:n]]), total)


def columns(store: "Store", names: Sequence[str]) -> dict[str, list[Any]]:
    """Those columns of all rows, in the order of the input, which is the order of `Store.vectors`."""
    import pyarrow as pa

    batches = list(store.scan(["position", *dict.fromkeys(names)]))
    if not batches:
        return {name: [] for name in names}
    table = pa.Table.from_batches(batches).sort_by("position")
    return {name: table[name].to_pylist() for name in names}


def groups(store: "Store", by: str | None) -> list[str]:
    """The value of the metadata column `by` of every row as a string, "" for none; without a column, "" for each.

    Raises UsageError for a column that the store has not.
    """
    if by is None:
        return [""] * len(store)
    if by not in store.metadata:
        known = f"; it has {', '.join(store.metadata)}" if store.metadata else ""
        raise UsageError(f"the store {store.uri} has no metadata column {by!r}{known}")
    return ["" if value is None else str(value) for value in columns(store, [by])[by]]
