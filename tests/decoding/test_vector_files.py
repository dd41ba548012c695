"""Vectors that a person brings along: numbers in a text, files, and all that is refused."""

from io import BytesIO

import numpy as np
import pandas as pd
import pytest

from workbench.decoding.vector_files import parse_vector, read_vectors_file
from workbench.errors import UsageError


@pytest.mark.parametrize("text", ["1 2.5 -3e0", "[1, 2.5,\n -3]", "1;2.5;-3", " (1 2.5\t-3) "])
def test_numbers_are_one_vector_however_they_are_written(text):
    assert parse_vector(text).tolist() == [[1.0, 2.5, -3.0]]


@pytest.mark.parametrize(
    ("text", "line"), [("", "no numbers"), ("1, two", "'two' is no number"), ("[]", "no numbers")]
)
def test_words_are_no_vector(text, line):
    with pytest.raises(UsageError, match=line):
        parse_vector(text)


def saved(write) -> bytes:
    data = BytesIO()
    write(data)
    return data.getvalue()


VECTORS = [[1.0, 2.0], [3.0, 4.5]]
FILES = {
    "a.npy": saved(lambda data: np.save(data, np.array(VECTORS))),
    "b.csv": b"1,2\n3,4.5\n",
    "c.csv": b"x,y\n1,2\n\n3,4.5\n",
    "d.parquet": saved(
        lambda data: pd.DataFrame({"text": ["a", "b"], "embedding": VECTORS}).to_parquet(data)
    ),
    "e.PARQUET": saved(lambda data: pd.DataFrame(VECTORS, columns=["x", "y"]).to_parquet(data)),
}


@pytest.mark.parametrize("name", FILES)
def test_files_of_vectors(name):
    assert read_vectors_file(name, FILES[name]).tolist() == VECTORS


BAD = {
    "a.txt": (b"1,2", "read from .npy, .csv, .parquet"),
    "a.npy": (b"no array", "cannot be read as .npy: it is not what numpy.save writes$"),
    "p.npy": (
        saved(lambda data: np.save(data, np.array([{"a": 1}]), allow_pickle=True)),
        "cannot be read as .npy",
    ),
    "s.npy": (saved(lambda data: np.save(data, np.array(["a"]))), "no array of numbers"),
    "3.npy": (saved(lambda data: np.save(data, np.ones((2, 2, 2)))), r"shape \[2, 2, 2\]"),
    "0.npy": (saved(lambda data: np.save(data, np.ones((0, 2)))), r"shape \[0, 2\]"),
    "a.csv": (b"1,2\n3", "have 1 and 2 numbers"),
    "w.csv": (b"1,2\n3,x", "'x' is no number"),
    "e.csv": (b"", "have no numbers"),
    "a.parquet": (b"PAR1", "cannot be read as .parquet"),
    "t.parquet": (
        saved(lambda data: pd.DataFrame({"text": ["a"]}).to_parquet(data)),
        "no column 'embedding'",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_other_files_are_refused_in_one_line(name):
    data, line = BAD[name]
    with pytest.raises(UsageError, match=line) as caught:
        read_vectors_file(name, data)
    assert "\n" not in str(caught.value)
