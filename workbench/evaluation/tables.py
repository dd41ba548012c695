"""Rows of a task's file with the line that each stands on: jsonl, csv, tsv, parquet, and these gzipped."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import UsageError, WorkbenchError
from workbench.files import parse_json
from workbench.texts import READERS, Row, encodes

SUFFIXES = (".jsonl", ".csv", ".tsv", ".parquet")


@dataclass(frozen=True)
class Table:
    """The rows of a file; without a header, columns are numbered: "1", "2" and so on."""

    source: str
    columns: list[str]
    rows: list[Row]
    has_header: bool

    def pick(self, meaning: str, names: Sequence[str]) -> str:
        """The first of `names` that is a column here; UsageError that shows both where none is."""
        found = self.has(names)
        if found is None:
            first = (
                self.columns if self.has_header else [str(value) for value in self.rows[0].values.values()]
            )
            place = self.source if self.rows[0].where.startswith("row") else f"{self.source}, line 1"
            raise UsageError(
                f"{place}: no column holds {meaning} (one of {', '.join(names)}); "
                f"{'it has' if self.has_header else 'no header, it begins with'} "
                f"{', '.join(column[:40] for column in first[:12])}"
            )
        return found

    def has(self, names: Sequence[str]) -> str | None:
        """The first of `names` that is a column here, None where none is; upper and lower case are the same."""
        spelled = {column.strip().lower(): column for column in self.columns}
        return next((spelled[name.lower()] for name in names if name.lower() in spelled), None)

    def where(self, row: Row) -> str:
        """The file and the line of a row, for messages."""
        return f"{self.source}, {row.where}"

    def text(self, row: Row, column: str) -> str:
        """A value that must be text; WorkbenchError with the line where it is not, or is missing."""
        value = row.values.get(column)
        if not isinstance(value, str):
            kind = "missing" if value is None else f"not text but {type(value).__name__}"
            raise WorkbenchError(f"{self.where(row)}: {column} is {kind}")
        return self._whole(row, column, value)

    def name(self, row: Row, column: str) -> str:
        """An id or a label as text: numbers count as their digits; WorkbenchError where it is missing or neither."""
        value = row.values.get(column)
        if isinstance(value, str) and value != "":
            return self._whole(row, column, value)
        if isinstance(value, bool | int | float) and value == value // 1:
            return str(int(value))
        kind = "missing" if value in (None, "") else f"neither text nor a whole number but {value!r}"
        raise WorkbenchError(f"{self.where(row)}: {column} is {kind}")

    def number(self, row: Row, column: str) -> float:
        """A value that must be a finite number; WorkbenchError with the line where it is not."""
        number = as_number(row.values.get(column))
        if number is None:
            raise WorkbenchError(f"{self.where(row)}: {column} is no number: {row.values.get(column)!r}")
        return number

    def list(self, row: Row, column: str) -> list[str]:
        """A value that must be a list of texts; WorkbenchError with the line where it is not."""
        value = row.values.get(column)
        if not isinstance(value, list) or not all(isinstance(item, str | int) for item in value):
            raise WorkbenchError(f"{self.where(row)}: {column} is not a list of texts")
        return [self._whole(row, column, str(item)) for item in value]

    def _whole(self, row: Row, column: str, text: str) -> str:
        if not encodes(text):
            raise WorkbenchError(f"{self.where(row)}: {column} holds half a character (a lone surrogate)")
        return text


def read_table(source: str | Path, header: Sequence[str]) -> Table:
    """Reads a file whose columns are expected to be among `header`.

    A csv or tsv file whose first line names none of these columns is read as one without a header. Raises UsageError
    for a missing file or an unknown type, WorkbenchError with the line for a malformed one or one without rows.
    """
    path = Path(source).expanduser()
    if not path.is_file():
        raise UsageError(
            f"no such file: {source}" if not path.is_dir() else f"a folder, not a file: {source}"
        )
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    if suffix not in SUFFIXES or (suffix == ".parquet" and path.suffix == ".gz"):
        raise UsageError(f"cannot read {path.name}: it reads {', '.join(SUFFIXES)}, and text gzipped (.gz)")
    if suffix == ".parquet":
        rows, has_header = READERS[".parquet"](path), True
    elif suffix == ".jsonl":
        rows, has_header = list(_objects(path)), True
    else:
        rows, has_header = _delimited(path, suffix, header)
    if not rows:
        raise WorkbenchError(f"{source} holds no rows")
    columns = list(dict.fromkeys(key for row in rows for key in row.values))
    return Table(str(source), columns, rows, has_header)


def as_number(value: Any) -> float | None:
    """A finite number, or the one that a text spells; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):  # a word, a whole number beyond all floats
        return None
    return number if abs(number) < float("inf") else None


def _lines(path: Path) -> list[str]:
    """The lines of a UTF-8 file, gzipped or not, without their ends."""
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise WorkbenchError(f"{path}: not a whole gzip file ({error})") from error
    try:
        lines = data.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        number = data[: error.start].count(b"\n") + 1
        raise WorkbenchError(f"{path}, line {number}: not valid UTF-8") from error
    return [line.removesuffix("\r") for line in lines]


def _objects(path: Path) -> Iterator[Row]:
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        values = parse_json(line, f"{path}, line {number}")
        if not isinstance(values, dict):
            raise WorkbenchError(f"{path}, line {number}: not a JSON object but {type(values).__name__}")
        yield Row(f"line {number}", values)


def _delimited(path: Path, suffix: str, header: Sequence[str]) -> tuple[list[Row], bool]:
    """The rows of a csv or tsv file, and whether its first line is a header; every line has as many fields."""
    records = list(_records(path, suffix))
    if not records:
        return [], True
    (_, first), known = records[0], {name.lower() for name in header}
    has_header = any(field.strip().lower() in known for field in first)
    columns = first if has_header else [str(place) for place in range(1, len(first) + 1)]
    if len(set(columns)) < len(columns):
        raise WorkbenchError(f"{path}, line {records[0][0]}: a column name stands twice in the header")
    rows = []
    for number, fields in records[has_header:]:
        if len(fields) != len(columns):
            what = f"a header of {len(columns)}" if has_header else f"a first line of {len(columns)}"
            raise WorkbenchError(f"{path}, line {number}: {len(fields)} fields under {what}")
        rows.append(Row(f"line {number}", dict(zip(columns, fields, strict=True))))
    return rows, has_header


def _records(path: Path, suffix: str) -> Iterator[tuple[int, list[str]]]:
    """The fields of each record and the line it begins on; in a tsv file quotes are ordinary characters."""
    csv.field_size_limit(2**31 - 1)
    ends = (line + "\n" for line in _lines(path))
    if suffix == ".tsv":
        reader = csv.reader(ends, delimiter="\t", quoting=csv.QUOTE_NONE)
    else:
        reader = csv.reader(ends, strict=True)
    start = 1
    try:
        for fields in reader:
            if fields:
                yield start, fields
            start = reader.line_num + 1
    except csv.Error as error:
        raise WorkbenchError(f"{path}, line {start}: malformed ({error})") from error
