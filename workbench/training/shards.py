"""A cache as a folder of parquet shards, each written whole: what was computed before a kill is found again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from workbench import files
from workbench.disk import atomic_path
from workbench.errors import WorkbenchError


class Shards:
    """Rows under a folder; a shard is named by the hash of its keys, so that writers never meet."""

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self.folder, self.schema = folder, schema

    def read(self) -> pa.Table:
        """All rows of all shards; raises `WorkbenchError` that names a shard which cannot be read."""
        names = sorted(path for path in self.folder.glob("*.parquet") if not path.name.startswith("."))
        return pa.concat_tables([self.schema.empty_table(), *(self._read(path) for path in names)])

    def append(self, columns: Mapping[str, object]) -> None:
        """Write one shard atomically; the first column of the schema is the key."""
        table = pa.table(dict(columns), schema=self.schema)
        name = files.hash_bytes(*table.column(0).to_pylist())[:24]
        with atomic_path(self.folder / f"{name}.parquet") as partial:
            pq.write_table(table, partial)

    def _read(self, path: Path) -> pa.Table:
        try:
            return pq.read_table(path, schema=self.schema)
        except (pa.ArrowException, OSError) as error:
            raise WorkbenchError(f"damaged cache file {path}: delete it and run again ({error})") from error
