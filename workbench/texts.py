"""Reads texts from what users have: a line each, jsonl, csv, tsv, parquet, or a hub dataset id."""

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from workbench.errors import UsageError, WorkbenchError
from workbench.files import parquet_errors, parse_json
from workbench.hub import hub_reachable

COLUMNS = ("text", "query", "question", "prompt", "instruction")
"""Where texts are looked for when no column is named, in this order."""


@dataclass(frozen=True)
class TextTable:
    """Texts with the other columns of their rows."""

    texts: list[str]
    """The texts, none of them blank."""
    rows: list[dict[str, Any]]
    """The other columns, a row for each text."""
    source: str
    """The file or dataset id they came from."""
    column: str
    """The column they were read from."""
    left_out: dict[str, int]
    """How many rows were left out, by reason."""

    def __post_init__(self) -> None:
        if len(self.texts) != len(self.rows):
            raise ValueError(f"{len(self.texts)} texts but {len(self.rows)} rows")

    def __len__(self) -> int:
        return len(self.texts)


class Row(NamedTuple):
    """A row of a source, and where it stands there, for messages."""

    where: str
    values: dict[str, Any]


def read_texts(
    source: str, column: str | None = None, *, split: str = "train", limit: int | None = None
) -> TextTable:
    """Reads the texts of a file (.txt, .jsonl, .csv, .tsv, .parquet) or of a hub dataset id such as `owner/name`.

    Without `column` the first of text, query, question, prompt, instruction is read; `limit` keeps the first texts.
    Blank texts are left out and counted. Raises UsageError for a missing file, an unknown type or column, a hub that
    cannot be reached; WorkbenchError, with the line, for a source that is empty or malformed.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"the limit must be at least 1, not {limit}")
    path = Path(source).expanduser()
    if path.is_dir():
        raise UsageError(f"a directory, not a file: {source}")
    if path.exists():
        rows = _read_file(path)
    elif _looks_like_hub_id(source):
        rows = _read_hub(source, split)
    else:
        raise UsageError(f"no such file: {source}")
    if not rows:
        raise WorkbenchError(f"{source} is empty")
    return _collect(rows, _choose_column(rows, column, source), source, limit)


def _collect(rows: list[Row], column: str, source: str, limit: int | None) -> TextTable:
    """Takes the texts out of their rows; blank ones are left out and counted."""
    texts, others, left_out = [], [], Counter[str]()
    for where, values in rows:
        text = values.get(column)
        if text is None or (isinstance(text, str) and not text.strip()):
            left_out["empty"] += 1
            continue
        if not isinstance(text, str):
            raise WorkbenchError(f"{source}, {where}: {column} is not text but {type(text).__name__}")
        if not encodes(text):
            raise WorkbenchError(f"{source}, {where}: {column} holds half a character (a lone surrogate)")
        texts.append(text)
        others.append({key: value for key, value in values.items() if key != column})
        if len(texts) == limit:
            break
    if not texts:
        raise WorkbenchError(f"{source} holds no text: {column} is empty in every row")
    return TextTable(texts, others, source, column, dict(left_out))


def _remedy(columns: list[str]) -> str:
    if len(columns) == 1 and ";" in columns[0]:
        return "its columns stand apart by semicolons, and .csv is read with commas"
    return "name one with --column"


def _choose_column(rows: list[Row], column: str | None, source: str) -> str:
    columns = list(dict.fromkeys(key for row in rows for key in row.values))
    if column is None:
        column = next((name for name in COLUMNS if name in columns), None)
        if column is None:
            raise UsageError(f"{source}: which column? It has {', '.join(columns)}; {_remedy(columns)}")
    if column not in columns:
        raise UsageError(f"{source} has no column {column!r}; it has {', '.join(columns)}")
    return column


def encodes(text: str) -> bool:
    """False for a text with half a character in it (a lone surrogate), as bytes that are not UTF-8 leave behind."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _looks_like_hub_id(source: str) -> bool:
    """`owner/name`, unless it has a data file's suffix or its folder exists here."""
    path = Path(source)
    is_file_name = path.suffix != "" and path.suffix.lower() in READERS
    return (
        bool(re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", source)) and not is_file_name and not path.parent.exists()
    )


def _read_hub(source: str, split: str) -> list[Row]:
    import datasets
    from datasets.exceptions import DatasetNotFoundError

    datasets.disable_progress_bars()
    try:
        with _offline(not hub_reachable()):
            table = datasets.load_dataset(source, split=split)
    except (DatasetNotFoundError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:160]
        message = f"no such file, and no dataset of that id could be loaded from the hub: {source} ({reason})"
        raise UsageError(
            f"{message}; give a local file, or check the id, the split {split!r} and the network"
        ) from error
    return [Row(f"row {number}", dict(values)) for number, values in enumerate(table, 1)]  # type: ignore[arg-type]


@contextmanager
def _offline(offline: bool) -> Iterator[None]:
    """Where the hub is out of reach, let its clients look into their cache only, not try again for half a minute."""
    import huggingface_hub.constants
    from datasets import config

    settings: list[Any] = [config, huggingface_hub.constants]
    before = [setting.HF_HUB_OFFLINE for setting in settings]
    try:
        for setting in settings:
            setting.HF_HUB_OFFLINE = offline or setting.HF_HUB_OFFLINE
        yield
    finally:
        for setting, value in zip(settings, before, strict=True):
            setting.HF_HUB_OFFLINE = value


def _read_file(path: Path) -> list[Row]:
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise UsageError(
            f"cannot read {path.suffix} files: {path}; it reads {', '.join(filter(None, READERS))}"
        )
    return reader(path)


def _lines(path: Path) -> list[str]:
    """The lines of a UTF-8 file, without their ends; only real line feeds end a line."""
    data = path.read_bytes()
    try:
        lines = data.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        number = data[: error.start].count(b"\n") + 1
        raise WorkbenchError(f"{path}, line {number}: not valid UTF-8") from error
    return [line.removesuffix("\r") for line in lines]


def _read_txt(path: Path) -> list[Row]:
    lines = _lines(path)
    while lines and not lines[-1].strip():
        lines.pop()
    return [Row(f"line {number}", {"text": line}) for number, line in enumerate(lines, 1)]


def _read_jsonl(path: Path) -> list[Row]:
    rows = []
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        values = parse_json(line, f"{path}, line {number}")
        if not isinstance(values, dict):
            raise WorkbenchError(f"{path}, line {number}: not a JSON object but {type(values).__name__}")
        rows.append(Row(f"line {number}", values))
    return rows


def _read_csv(path: Path) -> list[Row]:
    csv.field_size_limit(2**31 - 1)
    return _table(path, csv.reader(_with_ends(path), strict=True))


def _read_tsv(path: Path) -> list[Row]:
    """Tab-separated as data sets write it: quotes are ordinary characters."""
    csv.field_size_limit(2**31 - 1)
    return _table(path, csv.reader(_with_ends(path), delimiter="\t", quoting=csv.QUOTE_NONE))


def _with_ends(path: Path) -> Iterable[str]:
    return (line + "\n" for line in _lines(path))


def _table(path: Path, reader: Any) -> list[Row]:
    """Rows under a header line; each must have as many fields as the header."""
    rows, header = [], None
    try:
        for fields in filter(None, reader):
            if header is None:
                header = fields
                if len(set(header)) < len(header):
                    raise WorkbenchError(f"{path}: a column name stands twice in the header")
            elif len(fields) != len(header):
                where = f"{path}, row {len(rows) + 1}"
                raise WorkbenchError(f"{where}: {len(fields)} fields under a header of {len(header)}")
            else:
                rows.append(Row(f"row {len(rows) + 1}", dict(zip(header, fields, strict=True))))
    except csv.Error as error:
        raise WorkbenchError(f"{path}, row {len(rows) + 1}: malformed ({error})") from error
    return rows


def _read_parquet(path: Path) -> list[Row]:
    import pyarrow.parquet

    with parquet_errors(path):
        rows = pyarrow.parquet.read_table(path).to_pylist()
    return [Row(f"row {number}", values) for number, values in enumerate(rows, 1)]


READERS: dict[str, Callable[[Path], list[Row]]] = {
    "": _read_txt,
    ".txt": _read_txt,
    ".jsonl": _read_jsonl,
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".parquet": _read_parquet,
}
