"""What a store takes from an input: which columns are what, and every row as it is stored or why it is left out."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from workbench.atlas.columns import stored
from workbench.atlas.layout import check_metadata
from workbench.atlas.stream import LeftOut, Survey, stream, survey
from workbench.config import Config
from workbench.errors import UsageError, WorkbenchError
from workbench.files import hash_bytes
from workbench.texts import COLUMNS, encodes


@dataclass(frozen=True)
class Reading(Config):
    """How an input is read; a store records it, and goes on only with the same."""

    column: str
    """The column with the texts."""
    id_column: str | None
    """The column with the rows' ids; without one an id is the row's place and the hash of its text."""
    vector_column: str | None
    """The column with vectors that are stored as they are; without one the texts are embedded."""
    metadata: list[str]
    """The columns kept beside the texts."""
    limit: int | None
    """Only the first so many good rows."""


class Entry(NamedTuple):
    """A good row of an input."""

    position: int
    """Its place among all rows of the input, from 0."""
    row: dict[str, Any]
    """What is stored of it: id, position, text and metadata."""
    vector: np.ndarray | None


@dataclass(frozen=True)
class Source:
    """An input that can be built from: a file, what it holds, and how it is read."""

    path: Path
    survey: Survey
    reading: Reading


def source_of(
    path: Path,
    *,
    column: str | None = None,
    id_column: str | None = None,
    vector_column: str | None = None,
    metadata: list[str] | None = None,
    limit: int | None = None,
) -> Source:
    """Looks over the file `path` and decides which of its columns are what.

    Without `column` the texts are in the first of text, query, question, prompt, instruction; without `id_column` a
    column `id` gives the ids where there is one; without `metadata` all other columns are kept. Raises UsageError for
    a missing file or column, WorkbenchError for a file that is empty.
    """
    if not path.is_file():
        raise UsageError(f"{'a directory, not a file' if path.is_dir() else 'no such file'}: {path}")
    found = survey(path)
    names = ", ".join(found.columns)
    if not found.rows or not found.columns:
        raise WorkbenchError(
            f"{path} is empty" if not found.rows else f"{path} holds no row that can be read"
        )
    column = column or next((name for name in COLUMNS if name in found.columns), None)
    if column is None:
        raise UsageError(f"{path}: which column? It has {names}; name one with --column")
    for name in filter(None, [column, id_column, vector_column, *(metadata or [])]):
        if name not in found.columns:
            raise UsageError(f"{path} has no column {name!r}; it has {names}")
    id_column = id_column or ("id" if "id" in found.columns and "id" not in (column, vector_column) else None)
    if metadata is None:
        metadata = [name for name in found.columns if name not in (column, id_column, vector_column)]
    check_metadata(metadata, str(path))
    return Source(path, found, Reading(column, id_column, vector_column, metadata, limit))


def entries(source: Source, dimension: int) -> Iterator[Entry | LeftOut]:
    """The rows of the input, in order: what is stored of the good ones, why the others are left out."""
    reading, types, seen, good = source.reading, source.survey.columns, set[str](), 0
    for position, found in enumerate(stream(source.path, reading.vector_column)):
        if isinstance(found, LeftOut):
            yield found
            continue
        try:
            text = _text(found.values, reading.column)
            name = _id(found.values, reading.id_column, position, text)
            if name in seen:
                raise _Bad("duplicate id", name[:80])
            vector = _vector(found.values, reading.vector_column, dimension)
            metadata = {key: stored(found.values.get(key), types[key]) for key in reading.metadata}
            if not all(encodes(value) for value in (name, *metadata.values()) if isinstance(value, str)):
                raise _Bad("not valid UTF-8")
        except _Bad as bad:
            yield LeftOut(found.where, *bad.args)
            continue
        seen.add(name)
        yield Entry(position, {"id": name, "position": position, "text": text, **metadata}, vector)
        good += 1
        if good == reading.limit:
            return


class _Bad(Exception):
    """Why a row is left out, and what exactly was found."""


def _text(values: dict[str, Any], column: str) -> str:
    text = values.get(column)
    if column not in values:
        raise _Bad(f"no column {column!r}")
    if text is None or (isinstance(text, str) and not text.strip()):
        raise _Bad("empty")
    if not isinstance(text, str):
        raise _Bad("not text", type(text).__name__)
    if not encodes(text):
        raise _Bad("not valid UTF-8")
    return text


def _id(values: dict[str, Any], column: str | None, position: int, text: str) -> str:
    if column is None:
        return f"{position}-{hash_bytes(text)[:16]}"
    value = values.get(column)
    if value is None or value == "":
        raise _Bad("no id")
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise _Bad("an id that is neither text nor a whole number", type(value).__name__)
    return str(value)


def _vector(values: dict[str, Any], column: str | None, dimension: int) -> np.ndarray | None:
    if column is None:
        return None
    if values.get(column) is None:
        raise _Bad("no vector")
    try:
        vector = np.asarray(values[column], dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise _Bad("not a vector") from error
    if vector.shape != (dimension,):
        raise _Bad("a vector of another size", f"{list(vector.shape)} instead of [{dimension}]")
    if not np.isfinite(vector).all():
        raise _Bad("NaN or infinity in the vector")
    if not vector.any():
        raise _Bad("a vector of zeros, which has no direction")
    return vector
