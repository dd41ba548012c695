"""Nearest rows of a store by cosine similarity: exact up to 100,000 rows, above that by an index, refined."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from workbench.atlas.layout import plain_errors
from workbench.atlas.neighbours import unit
from workbench.atlas.store import Store, StoredVectors
from workbench.errors import UsageError

EXACT_ROWS = 100_000
"""Up to so many rows every vector is compared."""
PROBED = 0.1
"""Share of the index's partitions that a search looks into."""
REFINE = 100
"""So many times the wanted hits are compared again by their whole vectors: PQ alone had a recall@10 of 0.55, and with
30 times some indexes of a million rows 0.96, for they begin at random."""

FILTERS = 8
"""So many filters' rows are remembered: a filter reads its column of the whole store."""


@dataclass(frozen=True)
class Hit:
    """A row that was found."""

    id: str
    similarity: float
    """Cosine similarity to the query, from -1 to 1."""
    text: str
    position: int
    """Where it stands in the input, from 0."""
    metadata: dict[str, Any]


class Search:
    """Searches a store; sees what other processes have written by the time of each call.

    Up to `exact_rows` rows their unit vectors are held in memory, and a search is one product with all of them.
    """

    def __init__(self, store: Store, *, exact_rows: int = EXACT_ROWS) -> None:
        self.store, self.exact_rows = store, exact_rows
        self._version, self._filters = -1, dict[str, np.ndarray]()
        self._rows = StoredVectors(
            np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, store.facts.dimension), np.float32)
        )

    def nearest(
        self, query: Float[np.ndarray, " d_e"], k: int = 10, *, where: str | None = None
    ) -> list[Hit]:
        """The `k` rows most similar to `query` (fewer where there are fewer) among those that `where` lets through.

        `where` is SQL over the metadata, id, text and position. Equally similar rows come in the order of the input.
        Raises UsageError for a query that is not finite, is zero or has another dimension, and for a malformed filter.
        """
        size = self.store.facts.dimension
        if query.shape != (size,):
            raise UsageError(f"a query of shape {list(query.shape)}, but the store's vectors are [{size}]")
        if not np.isfinite(query).all() or not query.any():
            raise UsageError("a query must be finite and not zero: it has no direction")
        if k < 1:
            raise UsageError(f"at least one hit must be asked for, not {k}")
        self.store.refresh()
        if len(self.store) > self.exact_rows:
            return self._indexed(query, k, where)
        self._load()
        return self._exact(unit(query), k, where)

    def like(self, id: str, k: int = 10, *, where: str | None = None) -> list[Hit]:
        """The `k` rows most similar to the row `id`, itself left out. Raises UsageError where there is no such row."""
        self.store.refresh()
        hits = self.nearest(self.store.embeddings([id])[0], k + 1, where=where)
        return [hit for hit in hits if hit.id != id][:k]

    def _load(self) -> None:
        """Brings what is in memory to the store's version; rows that are only new are added to the others."""
        if (version := self.store.table.version) == self._version:
            return
        old = self._rows
        new = self.store.vectors(after=int(old.positions[-1]) if len(old.positions) else -1)
        if len(old.positions) + len(new.positions) != len(self.store):
            old, new = StoredVectors(*(column[:0] for column in old)), self.store.vectors()
        embeddings = unit(new.embeddings)
        if len(old.positions):
            embeddings = np.concatenate([old.embeddings, embeddings])
        positions = np.concatenate([old.positions, new.positions])
        self._rows = StoredVectors(positions, self._row_ids(), embeddings)
        self._version = version
        self._filters.clear()

    def _row_ids(self) -> Int[np.ndarray, " b"]:
        """Where the rows lie in this version: another writer may have moved them."""
        batches = list(self.store.scan(["position"], row_ids=True))
        if not batches:
            return np.empty(0, np.int64)
        positions, row_ids = (
            np.concatenate([np.asarray(batch[name]).astype(np.int64) for batch in batches])
            for name in ("position", "_rowid")
        )
        return row_ids[np.argsort(positions, kind="stable")]

    def _exact(self, query: np.ndarray, k: int, where: str | None) -> list[Hit]:
        rows = np.arange(len(self._rows.positions))
        similarities = self._rows.embeddings @ query
        if where is not None:
            rows = self._passing(where)
            similarities = similarities[rows]
        if len(rows) > k:  # all that are as similar as the k-th stay, for the order of the input to decide
            least = np.partition(similarities, -k)[-k]
            rows, similarities = rows[similarities >= least], similarities[similarities >= least]
        order = np.argsort(-similarities, kind="stable")[:k]
        return self._fetched(self._rows.row_ids[rows[order]].tolist(), similarities[order].tolist())

    def _passing(self, where: str) -> Int[np.ndarray, " b"]:
        """The rows in memory that a filter lets through; the last FILTERS filters of a version are remembered."""
        if where not in self._filters:
            let = [np.asarray(batch["position"]) for batch in self.store.scan(["position"], where)]
            positions = np.sort(np.concatenate([self._rows.positions[:0], *let]))
            while len(self._filters) >= FILTERS:
                del self._filters[next(iter(self._filters))]
            self._filters[where] = np.searchsorted(self._rows.positions, positions)
        return self._filters[where]

    def _fetched(self, row_ids: list[int], similarities: list[float]) -> list[Hit]:
        if not row_ids:
            return []
        columns = ["id", "text", "position", *self.store.metadata]
        with plain_errors(f"the store {self.store.uri} cannot be read"):
            query = self.store.table.take_row_ids(row_ids).select(columns).with_row_id()
            found = {row.pop("_rowid"): row for row in query.to_arrow().to_pylist()}
        return [
            _hit(found[row_id], similarity) for row_id, similarity in zip(row_ids, similarities, strict=True)
        ]

    def _indexed(self, query: np.ndarray, k: int, where: str | None) -> list[Hit]:
        """By the index; rows that it does not cover yet, or all of them before there is one, are compared exactly."""
        columns = ["id", "text", "position", *self.store.metadata, "_distance"]
        search = self.store.table.search(query, vector_column_name="embedding").distance_type("cosine")
        search = search.nprobes(probes_of(len(self.store))).refine_factor(REFINE).limit(k).select(columns)
        if where is not None:
            search = search.where(where, prefilter=True)
        with plain_errors(f"the filter {where!r}" if where else self.store.uri, usage=where is not None):
            rows = search.to_arrow().to_pylist()
        hits = [_hit(row, 1.0 - row.pop("_distance")) for row in rows]
        return sorted(hits, key=lambda hit: (-hit.similarity, hit.position))


def build_index(store: Store, *, exact_rows: int = EXACT_ROWS) -> bool:
    """Makes the index of a store that is too large for exact search, unless it has one; True where it made one.

    An index is brought up to date by `Store.compact`. Every sub-vector of the product quantizer has 8 numbers, where
    the dimension allows.
    """
    rows, size = len(store), store.facts.dimension
    if rows <= exact_rows or store.table.list_indices():
        return False
    from lancedb.index import IvfPq

    wide = next(width for width in (8, 4, 2, 1) if size % width == 0)
    config = IvfPq(distance_type="cosine", num_partitions=partitions_of(rows), num_sub_vectors=size // wide)
    with plain_errors(f"the index of {store.uri} cannot be made"):
        store.table.create_index("embedding", config=config)
    return True


def partitions_of(rows: int) -> int:
    """How many partitions an index of so many rows has: the square root."""
    return max(1, round(rows**0.5))


def probes_of(rows: int) -> int:
    """How many of them a search looks into."""
    return min(partitions_of(rows), max(20, round(PROBED * partitions_of(rows))))


def _hit(row: dict[str, Any], similarity: float) -> Hit:
    return Hit(row.pop("id"), float(similarity), row.pop("text"), row.pop("position"), row)
