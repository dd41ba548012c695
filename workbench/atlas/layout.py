"""How a store lies in LanceDB: its tables, their columns, the facts in their schema; LanceDB's errors in one line."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.config import Config
from workbench.errors import UsageError, WorkbenchError
from workbench.texts import encodes

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA_VERSION = 1
OWN = ("id", "position", "text", "embedding", "soft_prompts")
"""The columns of every store; the others are metadata."""
ROWS, OUTCOME, COORDINATES = "rows", "outcome", "coordinates"
"""The tables of a store."""
_FACTS = b"workbench"
# With a primary key LanceDB sees that two writers insert the same row, and lets the second try again.
_PRIMARY = {b"lance-schema:unenforced-primary-key:position": b"1"}
_PLACE_IN_CODE = re.compile(r", (/root/\.cargo|/rustc)/")


@dataclass(frozen=True)
class StoreFacts(Config):
    """What all rows of a store have in common; another build may add to the store only if all of it agrees."""

    method: str
    """The embedder's method."""
    embedder: str
    """Hash of the embedder: method, configuration, trained tensors, the backbone's bytes."""
    backbone: dict[str, str]
    """The parts of the backbone's fingerprint."""
    dimension: int
    """Size of an embedding."""
    soft_prompts: list[int] | None
    """Their shape [n, d]; None where a row has none: it can be searched, but not decoded."""
    instruction: str | None
    """What was put before every text."""
    source: str
    """Name of the input."""
    source_hash: str
    """SHA-256 of the input's bytes."""
    reading: dict[str, Any]
    """How the input was read: its text, id and vector columns, the metadata, the limit."""
    schema_version: int = SCHEMA_VERSION


def connect(uri: str) -> Any:
    """A connection to the database at `uri`; a local folder is made where there is none."""
    os.environ.setdefault("LANCEDB_LOG", "error")  # it would warn of every new table
    import lancedb

    with plain_errors(f"no store can be at {uri}", usage=True):
        return lancedb.connect(uri)


def table_of(database: Any, name: str) -> Any | None:
    """A table of the database; None where there is none, or only what a killed writer left of making it."""
    try:
        return database.open_table(name)
    except ValueError as error:
        if "was not found" in str(error):
            return None
        raise


def is_local(uri: str) -> bool:
    """True for a folder of this machine, False for what has a scheme (s3://, gs://, memory:// ...)."""
    return "://" not in uri


def rows_at(uri: str) -> tuple[Any, Any] | None:
    """The database at `uri` and its table of rows; None where no store is. Nothing is made there to find out."""
    if is_local(uri) and not Path(uri).is_dir():
        return None
    with plain_errors(f"no store can be at {uri}", usage=True):
        database = connect(uri)
        table = table_of(database, ROWS)
    return None if table is None else (database, table)


def schema_of(facts: StoreFacts, metadata: dict[str, "pa.DataType"]) -> "pa.Schema":
    """The columns of a store's rows: its own, then the metadata; soft prompts lie flat, in float16."""
    import pyarrow as pa

    fields = [
        pa.field("id", pa.string(), nullable=False, metadata=_PRIMARY),
        pa.field("position", pa.int64(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        *(pa.field(name, type) for name, type in metadata.items()),
        pa.field("embedding", pa.list_(pa.float32(), facts.dimension)),
    ]
    if facts.soft_prompts is not None:
        n, d = facts.soft_prompts
        fields.append(pa.field("soft_prompts", pa.list_(pa.float16(), n * d)))
    return pa.schema(fields, metadata=packed(facts.to_dict()))


def packed(facts: dict[str, Any]) -> dict[bytes, bytes]:
    """Facts as a schema keeps them."""
    return {_FACTS: json.dumps(facts, sort_keys=True).encode()}


def unpacked(schema: "pa.Schema", where: str) -> dict[str, Any]:
    """The facts that a schema keeps. Raises WorkbenchError where `where` has none of ours."""
    try:
        facts = json.loads((schema.metadata or {})[_FACTS])
    except (KeyError, ValueError, RecursionError) as error:
        raise WorkbenchError(f"{where} is not a store of this program") from error
    if not isinstance(facts, dict):
        raise WorkbenchError(f"{where} is not a store of this program")
    return facts


def facts_in(schema: "pa.Schema", uri: str) -> StoreFacts:
    """The facts of a store. Raises WorkbenchError for a table of someone else's, or of another version of ours."""
    found = unpacked(schema, uri)
    if found.get("schema_version") != SCHEMA_VERSION:
        raise WorkbenchError(
            f"{uri} has schema version {found.get('schema_version')}, this program {SCHEMA_VERSION}"
        )
    return StoreFacts.from_dict(found)


def check_metadata(names: list[str], source: str) -> None:
    """Raises UsageError for a metadata column whose name a store cannot have."""
    for name in names:
        if name in OWN or name.startswith("_") or "." in name or not name or not encodes(name):
            raise UsageError(
                f"{source}: a column {name!r} cannot be metadata (a store's own are {', '.join(OWN)}; no dot, no "
                "leading underscore, no half a character); rename it, or name those to keep with --metadata"
            )


def quoted(text: str) -> str:
    """A string as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"


def flat_lists(rows: np.ndarray, dtype: Any) -> "pa.Array":
    """Rows `[b, ...]` as lists of one length."""
    import pyarrow as pa

    rows = rows.reshape(len(rows), -1)
    flat = pa.array(np.ascontiguousarray(rows, dtype=dtype).ravel())
    return pa.FixedSizeListArray.from_arrays(flat, rows.shape[1])


def matrix(column: Any) -> np.ndarray:
    """A column of lists of one length as float32 rows."""
    return column.flatten().to_numpy(zero_copy_only=False).astype(np.float32).reshape(len(column), -1)


@contextmanager
def plain_errors(what: str, *, usage: bool = False) -> Iterator[None]:
    """While open, an error of LanceDB becomes one line that begins with `what`; a UsageError where the user caused it.

    LanceDB raises ValueError for what it was asked, RuntimeError and OSError for what it met.
    """
    try:
        yield
    except (ValueError, RuntimeError, OSError) as error:
        said = _PLACE_IN_CODE.split(" ".join(str(error).split()))[0][:300]
        raise (UsageError if usage else WorkbenchError)(f"{what}: {said}") from error
