"""Vectors that a person brings along: numbers as text, or a file of .npy, .csv or .parquet."""

from __future__ import annotations

import re
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from workbench.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

COLUMN = "embedding"
"""The column in which `workbench embed` writes its vectors into a parquet file."""
SUFFIXES = (".npy", ".csv", ".parquet")


def parse_vector(text: str) -> Float[np.ndarray, "1 d"]:
    """The one vector in a text: numbers with spaces, commas, semicolons or line breaks between them.

    Brackets are ignored. Raises UsageError for a word that is no number, and for none at all.
    """
    words = re.findall(r"[^\s,;\[\]()]+", text)
    if not words:
        raise UsageError("there are no numbers in this text")
    return _table([[_number(word) for word in words]])


def read_vectors_file(name: str, data: bytes) -> Float[np.ndarray, "b d"]:
    """The vectors `[b, d]` in a file's bytes; its `name` says what it is.

    .npy holds `[b, d]` or `[d]`; .csv one vector a line, with or without a line of column names; .parquet a column
    `embedding` of lists, or number columns alone. Nothing pickled is read. Raises UsageError for all else.
    """
    suffix = "." + name.rsplit(".", 1)[-1].lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"{name}: vectors are read from {', '.join(SUFFIXES)}")
    try:
        vectors = _READERS[suffix](data)
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from error
    except Exception as error:  # every library has errors of its own for bytes that are no such file
        raise UsageError(
            f"{name} cannot be read as {suffix}: {' '.join(str(error).split())[:120]}"
        ) from error
    if vectors.ndim == 1:
        vectors = vectors[None]
    if vectors.ndim != 2 or not vectors.size:
        raise UsageError(f"{name} holds an array of shape {list(vectors.shape)}, not [b, d]")
    return vectors


def _npy(data: bytes) -> np.ndarray:
    if not data.startswith(np.lib.format.MAGIC_PREFIX):
        raise UsageError("cannot be read as .npy: it is not what numpy.save writes")
    array = np.load(BytesIO(data), allow_pickle=False)
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        raise UsageError("it holds no array of numbers")
    return array.astype(np.float32)


def _csv(data: bytes) -> np.ndarray:
    lines = data.decode("utf-8-sig").splitlines()
    rows = [line.split(",") for line in lines if line.strip()]
    if rows and not all(map(_is_number, rows[0])) and not any(map(_is_number, rows[0][:1])):
        rows = rows[1:]
    return _table([[_number(word.strip()) for word in row] for row in rows])


def _parquet(data: bytes) -> np.ndarray:
    import pandas as pd

    frame: pd.DataFrame = pd.read_parquet(BytesIO(data))
    if COLUMN in frame:
        return _table([[float(number) for number in row] for row in frame[COLUMN]])
    words = [str(column) for column in frame if frame[column].dtype.kind not in "fiu"]
    if words:
        raise UsageError(f"it has no column {COLUMN!r}, and column {words[0]!r} holds no numbers")
    return frame.to_numpy(dtype=np.float32)


_READERS = {".npy": _npy, ".csv": _csv, ".parquet": _parquet}


def _table(rows: list[list[float]]) -> np.ndarray:
    lengths = {len(row) for row in rows}
    if not rows or len(lengths) != 1:
        shown = " and ".join(map(str, sorted(lengths)[:2])) or "no"
        raise UsageError(f"the vectors have {shown} numbers; all must have as many")
    return np.asarray(rows, dtype=np.float32)


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise UsageError(f"{word[:40]!r} is no number") from None


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
