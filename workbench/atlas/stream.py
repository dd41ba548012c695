"""Streams the rows of a file. A row that cannot be read is handed out with its reason, and the others go on."""

import csv
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from workbench.atlas.columns import kind, storable, type_of
from workbench.errors import UsageError, WorkbenchError
from workbench.files import parquet_errors
from workbench.texts import Row, encodes

if TYPE_CHECKING:
    import pyarrow as pa

WRITTEN = (".csv", ".tsv")
"""Files whose values are all written as text: their numbers are recognised by how they look."""
BATCH = 1024
"""Rows of a parquet file in memory at once."""


class LeftOut(NamedTuple):
    """A row that was left out: where it stands, why, and what exactly was found."""

    where: str
    reason: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.where} is left out: {self.reason}" + (f" ({self.detail})" if self.detail else "")


@dataclass(frozen=True)
class Survey:
    """What a file holds, as one pass over it shows."""

    rows: int
    """All its rows, those that cannot be read included."""
    columns: dict[str, "pa.DataType"]
    """Its columns and the type each can be stored as; what is neither number, truth value nor date is text."""


def stream(path: Path, vectors: str | None = None) -> Iterator[Row | LeftOut]:
    """The rows of a .txt, .jsonl, .csv, .tsv or .parquet file, in order; only a few of them are in memory at once.

    Lists in the column `vectors` of a parquet file come as arrays. Raises UsageError for a type that it does not read,
    WorkbenchError for a file that has no rows to speak of: a header that is none, parquet that is none.
    """
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _parquet(path, vectors)
    if suffix not in _READERS:
        known = ", ".join([*filter(None, _READERS), ".parquet"])
        raise UsageError(f"cannot read {path.suffix} files: {path}; a store is built from {known}")
    return _READERS[suffix](path)


def survey(path: Path) -> Survey:
    """The columns of a file with their types, and how many rows it has. Raises what `stream` raises."""
    if path.suffix.lower() == ".parquet":
        import pyarrow.parquet as pq

        with parquet_errors(path), pq.ParquetFile(path) as file:
            return Survey(
                file.metadata.num_rows, {field.name: storable(field.type) for field in file.schema_arrow}
            )
    rows, kinds = 0, defaultdict[str, set[str]](set)
    written = path.suffix.lower() in WRITTEN
    for row in stream(path):
        rows += 1
        if isinstance(row, Row):
            for name, value in row.values.items():
                kinds[name] |= kind(value, written)
    return Survey(rows, {name: type_of(found) for name, found in kinds.items()})


def _lines(path: Path) -> Iterator[bytes]:
    """The lines of a file without their ends; only line feeds end a line."""
    with open(path, "rb") as file:
        for number, line in enumerate(file):
            line = line.removesuffix(b"\n").removesuffix(b"\r")
            yield line.removeprefix(b"\xef\xbb\xbf") if number == 0 else line


def _txt(path: Path) -> Iterator[Row | LeftOut]:
    blank: list[int] = []  # the blank lines that end a file are no rows
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            blank.append(number)
            continue
        yield from (Row(f"line {skipped}", {"text": ""}) for skipped in blank)
        blank.clear()
        yield Row(f"line {number}", {"text": line.decode("utf-8", "surrogateescape")})


def _jsonl(path: Path) -> Iterator[Row | LeftOut]:
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        where = f"line {number}"
        try:
            values = json.loads(line.decode("utf-8", "surrogateescape"))
        except (ValueError, RecursionError) as error:
            yield LeftOut(where, "not valid JSON", str(error))
            continue
        if isinstance(values, dict):
            yield Row(where, values)
        else:
            yield LeftOut(where, "not a JSON object", type(values).__name__)


def _csv(path: Path) -> Iterator[Row | LeftOut]:
    return _table(path, strict=True)


def _tsv(path: Path) -> Iterator[Row | LeftOut]:
    """Tab-separated as data sets write it: quotes are ordinary characters."""
    return _table(path, delimiter="\t", quoting=csv.QUOTE_NONE)


def _table(path: Path, **dialect: Any) -> Iterator[Row | LeftOut]:
    csv.field_size_limit(2**31 - 1)
    reader = csv.reader((line.decode("utf-8", "surrogateescape") + "\n" for line in _lines(path)), **dialect)
    header, number = None, 0
    while True:
        first = reader.line_num + 1
        try:
            fields = next(reader, None)
        except csv.Error as error:
            if header is None:
                raise WorkbenchError(f"{path}: the header is malformed ({error})") from error
            number += 1
            yield LeftOut(f"row {number}", "malformed", f"lines {first} to {reader.line_num}: {error}")
            continue
        if fields is None:
            return
        if fields and header is None:
            header = fields
            if len(set(header)) < len(header) or not all(map(encodes, header)):
                raise WorkbenchError(
                    f"{path}: a column name stands twice in the header, or is not valid UTF-8"
                )
        elif fields and header is not None:
            number += 1
            if len(fields) == len(header):
                yield Row(f"row {number}", dict(zip(header, fields, strict=True)))
            else:
                detail = f"{len(fields)} instead of {len(header)}"
                yield LeftOut(f"row {number}", "not as many fields as the header", detail)


def _parquet(path: Path, vectors: str | None) -> Iterator[Row | LeftOut]:
    import pyarrow.parquet as pq

    number = 0
    with parquet_errors(path), pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=BATCH):
            columns = [_values(batch.column(name), name == vectors) for name in batch.schema.names]
            for values in zip(*columns, strict=True):
                number += 1
                yield Row(f"row {number}", dict(zip(batch.schema.names, values, strict=True)))


def _values(column: Any, as_vectors: bool) -> list[Any]:
    import pyarrow as pa

    if as_vectors and (pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type)):
        return list(column.to_numpy(zero_copy_only=False))
    try:
        return column.to_pylist()
    except UnicodeDecodeError:  # as in the other files, bytes that are not UTF-8 become halves of characters
        raw = column.cast(pa.string()).cast(pa.binary()).to_pylist()
        return [None if value is None else value.decode("utf-8", "surrogateescape") for value in raw]


_READERS: dict[str, Callable[[Path], Iterator[Row | LeftOut]]] = {
    "": _txt,
    ".txt": _txt,
    ".jsonl": _jsonl,
    ".csv": _csv,
    ".tsv": _tsv,
}
