"""A store: a LanceDB table of texts with their metadata, embeddings and soft prompts, tied to one embedder.

Row ids are decided by the input, and a batch is one atomic merge on them: a row is whole or absent, and never there
twice. What a store as a whole is made of stands in its table's schema, so that no file can be lost beside it.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from workbench.atlas import layout
from workbench.atlas.layout import COORDINATES, OUTCOME, OWN, ROWS, StoreFacts, plain_errors
from workbench.atlas.prebuilt import fingerprint_of
from workbench.errors import FingerprintMismatch, UsageError, WorkbenchError
from workbench.files import hash_bytes

if TYPE_CHECKING:
    import pyarrow as pa

    from workbench.embedders.base import Embedder

REMEDY = "open it with the embedder that built it"
KEPT = timedelta(minutes=10)
"""How long a replaced version stays for those who are reading it."""
TRIES = 5
"""How often a compaction that another writer got ahead of is tried."""
AT_ONCE = 500
"""Rows that one query asks for by id."""


class Made(NamedTuple):
    """What an embedder made of some texts."""

    embedding: Float[np.ndarray, "b d_e"]
    soft_prompts: Float[np.ndarray, "b n d"] | None
    truncated: int = 0


class StoredVectors(NamedTuple):
    """Rows of a store, in the order of the input."""

    positions: Int[np.ndarray, " b"]
    row_ids: Int[np.ndarray, " b"]
    """Where the database keeps each row, in this version of the table."""
    embeddings: Float[np.ndarray, "b d_e"]


class Coordinates(NamedTuple):
    """A map of a store, and what is known of it (how it was made)."""

    ids: list[str]
    points: Float[np.ndarray, "b 2"]
    facts: dict[str, Any]


def embedder_hash(embedder: "Embedder") -> str:
    """Hash of all that decides an embedder's vectors, wherever its files lie."""
    return hash_bytes(fingerprint_of(embedder), json.dumps(embedder.config.to_dict(), sort_keys=True))


def check_embedder(facts: StoreFacts, backbone: dict[str, str], embedder: str, uri: str) -> None:
    """Raises FingerprintMismatch, naming both sides, where the store's backbone or embedder is not the one given."""
    from workbench.embedders.artifact import check_fingerprint

    check_fingerprint(facts.backbone, backbone, f"the store {uri}")
    if facts.embedder != embedder:
        raise FingerprintMismatch(f"the store {uri}", "embedder", facts.embedder, embedder, REMEDY)


def create_store(uri: str, facts: StoreFacts, metadata: dict[str, "pa.DataType"]) -> "Store":
    """A new, empty store at `uri` with these metadata columns. Raises UsageError where one is already."""
    database = layout.connect(uri)
    with plain_errors(f"no store can be made at {uri}", usage=True):
        table = database.create_table(ROWS, schema=layout.schema_of(facts, metadata))
    return Store(uri, database, table, facts)


def open_store(uri: str, embedder: "Embedder | None" = None) -> "Store":
    """The store at `uri`; with `embedder`, only if that one made it.

    Raises UsageError where there is none, WorkbenchError for a table of someone else's, FingerprintMismatch for
    another embedder's store.
    """
    found = layout.rows_at(uri)
    if found is None:
        raise UsageError(f"no store at {uri}; `workbench atlas build` makes one")
    database, table = found
    store = Store(uri, database, table, layout.facts_in(table.schema, uri))
    if embedder is not None:
        store.check(embedder)
    return store


class Store:
    """An open store, at the version of its table that `refresh` found last."""

    def __init__(self, uri: str, database: Any, table: Any, facts: StoreFacts) -> None:
        self.uri, self.database, self.table, self.facts = uri, database, table, facts

    @property
    def metadata(self) -> list[str]:
        """Names of the metadata columns."""
        return [name for name in self.table.schema.names if name not in OWN]

    def __len__(self) -> int:
        return self.table.count_rows()

    def refresh(self) -> None:
        """Goes to the newest version: what writers have finished is seen from here on, each batch all at once."""
        with plain_errors(f"the store {self.uri} cannot be read"):
            self.table.checkout_latest()

    def check(self, embedder: "Embedder") -> None:
        """Raises FingerprintMismatch, naming both sides, where the store was made with another embedder."""
        check_embedder(self.facts, embedder.backbone.fingerprint(), embedder_hash(embedder), self.uri)

    def write(self, rows: Sequence[dict[str, Any]], made: Made) -> int:
        """Adds rows (dicts with id, position, text and metadata) and their vectors, all or none; returns how many.

        A row whose id is there already stays as it is. Raises WorkbenchError for soft prompts that float16 cannot hold.
        """
        import pyarrow as pa

        schema = self.table.schema
        columns: dict[str, Any] = {"embedding": layout.flat_lists(made.embedding, np.float32)}
        if self.facts.soft_prompts is not None:
            if made.soft_prompts is None or list(made.soft_prompts.shape[1:]) != self.facts.soft_prompts:
                raise ValueError(f"every row needs soft prompts of shape {self.facts.soft_prompts}")
            if np.abs(made.soft_prompts).max(initial=0.0) > np.finfo(np.float16).max:
                raise WorkbenchError(
                    "soft prompts are larger than float16 can hold; this store cannot keep them"
                )
            columns["soft_prompts"] = layout.flat_lists(made.soft_prompts, np.float16)
        for field in schema:
            if field.name not in columns:
                columns[field.name] = pa.array([row[field.name] for row in rows], field.type)
        batch = pa.table([columns[name] for name in schema.names], schema=schema)
        with plain_errors(f"cannot write to the store {self.uri}"):
            merged = self.table.merge_insert("id").when_not_matched_insert_all().execute(batch)
        return merged.num_inserted_rows

    def scan(
        self, columns: Sequence[str], where: str | None = None, *, row_ids: bool = False
    ) -> Iterator["pa.RecordBatch"]:
        """Those columns of the rows that `where` (SQL) lets through, in no particular order, batch by batch.

        With `row_ids` there is a column `_rowid` too. Raises UsageError for a filter that LanceDB does not understand.
        """
        query = self.table.search().select(list(columns)).limit(None)
        if row_ids:
            query = query.with_row_id(True)
        if where is not None:
            query = query.where(where)
        with plain_errors(f"the filter {where!r}" if where else self.uri, usage=where is not None):
            batches = query.to_batches()
            while (batch := next(batches, None)) is not None:
                yield batch

    def ids(self) -> set[str]:
        """The ids of all rows."""
        return {name for batch in self.scan(["id"]) for name in batch["id"].to_pylist()}

    def vectors(self, after: int = -1) -> StoredVectors:
        """The embeddings of the rows behind position `after`; of all rows without it."""
        where = None if after < 0 else f"position > {after}"
        total = self.table.count_rows(where)
        positions, row_ids = np.empty(total, np.int64), np.empty(total, np.int64)
        embeddings, at = np.empty((total, self.facts.dimension), np.float32), 0
        for batch in self.scan(["position", "embedding"], where, row_ids=True):
            until = at + len(batch)
            positions[at:until], row_ids[at:until] = batch["position"], batch["_rowid"]
            embeddings[at:until] = layout.matrix(batch["embedding"])
            at = until
        order = np.argsort(positions, kind="stable")
        if (np.diff(order) < 0).any():  # a copy of all embeddings, unless they are in order
            embeddings = embeddings[order]
        return StoredVectors(positions[order], row_ids[order], embeddings)

    def embeddings(self, ids: Sequence[str]) -> Float[np.ndarray, "b d_e"]:
        """The embeddings of those rows, in that order. Raises UsageError for an id that is not there."""
        return self._lists("embedding", ids)

    def soft_prompts(self, ids: Sequence[str]) -> Float[np.ndarray, "b n d"]:
        """What `decode` reads of those rows. Raises WorkbenchError where the store has none, UsageError as above."""
        if self.facts.soft_prompts is None:
            raise WorkbenchError(
                f"the rows of {self.uri} cannot be decoded: it keeps no soft prompts, since "
                + ("its vectors came with the input" if self.facts.reading.get("vector_column")
                   else f"{self.facts.method} has none")
            )  # fmt: skip
        return self._lists("soft_prompts", ids).reshape(-1, *self.facts.soft_prompts)

    def _lists(self, column: str, ids: Sequence[str]) -> np.ndarray:
        found: dict[str, np.ndarray] = {}
        for start in range(0, len(ids), AT_ONCE):
            wanted = ", ".join(map(layout.quoted, ids[start : start + AT_ONCE]))
            for batch in self.scan(["id", column], f"id IN ({wanted})"):
                found.update(zip(batch["id"].to_pylist(), layout.matrix(batch[column]), strict=True))
        if missing := [name for name in ids if name not in found]:
            raise UsageError(f"the store {self.uri} has no row {missing[0]!r}")
        return np.stack([found[name] for name in ids])

    def write_coordinates(
        self, ids: Sequence[str], points: Float[np.ndarray, "b 2"], facts: dict[str, Any]
    ) -> None:
        """Keeps a map of the rows in the place of any other, all at once; `facts` say how it was made."""
        import pyarrow as pa

        columns = {name: pa.array(axis.astype(np.float32)) for name, axis in zip("xy", points.T, strict=True)}
        self._keep(COORDINATES, pa.table({"id": pa.array(ids, pa.string())} | columns), facts)

    def coordinates(self) -> Coordinates | None:
        """The map of the rows; None before one was drawn."""
        kept = layout.table_of(self.database, COORDINATES)
        if kept is None:
            return None
        table = kept.to_arrow()
        points = np.stack([table["x"].to_numpy(), table["y"].to_numpy()], axis=1)
        return Coordinates(table["id"].to_pylist(), points, layout.unpacked(table.schema, self.uri))

    def conclude(self, outcome: dict[str, Any]) -> None:
        """Records that a build came to its end, and how."""
        import pyarrow as pa

        self._keep(OUTCOME, pa.table({"rows": pa.array([len(self)], pa.int64())}), outcome)

    def outcome(self) -> dict[str, Any] | None:
        """What the finished build recorded; None for a store whose build was interrupted."""
        kept = layout.table_of(self.database, OUTCOME)
        return None if kept is None else layout.unpacked(kept.schema, self.uri)

    def _keep(self, name: str, table: "pa.Table", facts: dict[str, Any]) -> None:
        with plain_errors(f"cannot write to the store {self.uri}"):
            self.database.create_table(
                name, table.replace_schema_metadata(layout.packed(facts)), mode="overwrite"
            )

    def compact(self) -> None:
        """Merges the many small files of a build; replaced versions go once nobody can be reading them."""
        with plain_errors(f"cannot write to the store {self.uri}"):
            for left in reversed(range(TRIES)):
                try:
                    self.table.optimize(cleanup_older_than=KEPT)
                    return
                except RuntimeError as error:  # another build compacts the same rows
                    if not left or "retry" not in str(error):
                        raise
                    self.refresh()
