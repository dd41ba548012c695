"""Files that are not what they should be: damaged bytes, and JSON with something else in one of its places."""

import copy
import json
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from workbench.errors import WorkbenchError

bounded = settings(
    max_examples=40,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
"""The same few examples on every machine: a test does not flake, and takes a second."""

LONG = "<5000 digits>"
"""Stands for a number that Python refuses to read and to write."""
NUMBERS = st.one_of(st.integers(), st.floats(), st.sampled_from([-1, 0, 2**63, 10**400, LONG]))
JSON = st.recursive(
    st.none()
    | st.booleans()
    | NUMBERS
    | st.text(max_size=5)
    | st.sampled_from(["\ud800", "\0", "../..", "/"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
"""Any value that JSON can say, the ones that Python's reader of it stumbles over included."""


@st.composite
def damaged(draw: Any, whole: bytes) -> bytes:
    """Bytes of anything, or those of `whole` cut off, with other bytes in some places, or with a part twice."""
    how = draw(st.sampled_from(["any", "cut", "bytes", "twice", "insert"]))
    if how == "any" or not whole:
        return draw(st.binary(max_size=64))
    at = draw(st.integers(0, len(whole) - 1))
    if how == "cut":
        return whole[:at]
    if how == "twice":
        return whole[at:] + whole
    if how == "insert":
        return whole[:at] + draw(st.binary(min_size=1, max_size=8)) + whole[at:]
    changed = bytearray(whole)
    for place in draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=4)):
        changed[place] = draw(st.integers(0, 255))
    return bytes(changed)


@st.composite
def other_json(draw: Any, whole: Any) -> bytes:
    """The JSON of `whole` with any value in the place of one that is in it, or without it, or with one more."""
    changed = copy.deepcopy(whole)
    places = list(_places(changed))
    holder, key = draw(st.sampled_from(places)) if places else (None, None)
    if holder is None or draw(st.integers(0, 9)) == 0:
        return _said(draw(JSON))
    if draw(st.booleans()) or not isinstance(holder, dict):
        holder[key] = draw(JSON)
    elif draw(st.booleans()):
        del holder[key]
    else:
        holder[draw(st.text(max_size=4))] = draw(JSON)
    return _said(changed)


def _places(value: Any):
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(items):
        yield value, key
        yield from _places(inner)


def _said(value: Any) -> bytes:
    return json.dumps(value).replace(json.dumps(LONG), "1" * 5000).encode()


def read_or_refused(path: Path, data: bytes, read: Callable[[Path], Any]) -> None:
    """`read` takes a file of these bytes, or refuses it with an error of this house that is one line of words."""
    path.write_bytes(data)
    with suppress(WorkbenchError):
        read(path)


def lines(*rows: Any) -> bytes:
    """A file of JSON lines."""
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def parquet(rows: list[dict[str, Any]], **metadata: str) -> bytes:
    """A parquet file of these rows, with this metadata of its schema."""
    whole = BytesIO()
    pq.write_table(pa.Table.from_pylist(rows).replace_schema_metadata(metadata or None), whole)
    return whole.getvalue()


def npy(array: np.ndarray) -> bytes:
    """A .npy file."""
    whole = BytesIO()
    np.save(whole, array)
    return whole.getvalue()
