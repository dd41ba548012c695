"""Results as parquet: a table to look at, and in its metadata all that is needed to make the result again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from workbench.disk import atomic_path
from workbench.errors import UsageError, WorkbenchError
from workbench.files import named_if_damaged, parquet_errors, parse_json

if TYPE_CHECKING:
    import pandas as pd

_KEY = b"workbench.result"


class Table(NamedTuple):
    """A result as it lies in a file."""

    frame: pd.DataFrame
    head: dict[str, Any]


def write_table(path: str | Path, frame: pd.DataFrame, kind: str, head: dict[str, Any]) -> Path:
    """Write the frame, with its `kind` and `head` (plain JSON values) as metadata; the file is whole or absent."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(frame, preserve_index=False)
    said = json.dumps({**head, "kind": kind}, ensure_ascii=False).encode()
    with atomic_path(path) as temporary:
        pq.write_table(
            table.replace_schema_metadata({**(table.schema.metadata or {}), _KEY: said}), temporary
        )
    return Path(path)


def read_table(path: str | Path, kind: str) -> Table:
    """What `write_table` wrote. UsageError where there is no file, WorkbenchError where it holds something else."""
    import pyarrow.parquet as pq

    if not Path(path).is_file():
        raise UsageError(f"no such file: {path}")
    with named_if_damaged(path), parquet_errors(path):
        table = pq.read_table(path)
        frame = table.to_pandas(ignore_metadata=True)  # pandas' own words there may be damaged as well
    head = parse_json((table.schema.metadata or {}).get(_KEY, b"{}"), f"the metadata of {path}")
    if not isinstance(head, dict) or head.pop("kind", None) != kind:
        raise WorkbenchError(f"{path} holds no {kind}: its metadata does not say so")
    return Table(frame, head)
