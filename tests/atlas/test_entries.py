"""What a store takes from an input: every kind of file, the types of its columns, and each bad row with its reason."""

import datetime
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from stores import SIZE, built, contents, numbers

from workbench.atlas.entries import entries, source_of
from workbench.atlas.stream import LeftOut
from workbench.errors import UsageError, WorkbenchError
from workbench.files import hash_bytes

LONG = "gold " * 20_000


def rows_of(path, dimension=3, **reading):
    """The rows that are kept, and the lines of those that are not."""
    found = list(entries(source_of(path, **reading), dimension))
    kept = [entry.row for entry in found if not isinstance(entry, LeftOut)]
    return kept, [str(row) for row in found if isinstance(row, LeftOut)]


def test_every_kind_of_file_gives_the_same_rows_with_numbers_as_numbers(tmp_path):
    rows = [{"id": "7", "query": 'Who said "no"?', "year": 1999, "share": 0.5, "zip": "007"},
            {"id": "b", "query": "Wo liegt Köln?", "year": None, "share": 2.0, "zip": ""}]  # fmt: skip
    csv = 'id,query,year,share,zip\n7,"Who said ""no""?",1999,0.5,007\nb,Wo liegt Köln?,,2.0,\n'
    (tmp_path / "a.csv").write_bytes(("\ufeff" + csv).replace("\n", "\r\n").encode())
    tsv = 'id\tquery\tyear\tshare\tzip\n7\tWho said "no"?\t1999\t0.5\t007\nb\tWo liegt Köln?\t\t2.0\t\n'
    (tmp_path / "a.tsv").write_text(tsv)
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n\n" for row in rows))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    types = {
        "id": pa.string(),
        "query": pa.string(),
        "year": pa.int64(),
        "share": pa.float64(),
        "zip": pa.string(),
    }
    for name in ("a.csv", "a.tsv", "a.jsonl", "a.parquet"):
        kept, said = rows_of(tmp_path / name)
        texts = [{"position": n, "text": row["query"]} for n, row in enumerate(rows)]
        wanted = [{**row, **text} for row, text in zip(rows, texts, strict=True)]
        assert kept == [{key: row[key] for key in row if key != "query"} for row in wanted], name
        assert said == []
        survey = source_of(tmp_path / name).survey
        assert (survey.rows, survey.columns) == (2, types), name


def test_mixed_and_nested_values_become_text_and_dates_stay_dates(tmp_path):
    lines = [
        {"text": "a", "n": 1, "m": True, "l": [1, "é"], "big": 2**70},
        {"text": "b", "n": 1.5, "m": "x", "l": None},
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    [first, second], _ = rows_of(tmp_path / "a.jsonl")
    assert (first["n"], first["m"], first["l"], first["big"]) == (1.0, "true", '[1, "é"]', str(2**70))
    assert (second["n"], second["m"], second["l"], second["big"]) == (1.5, "x", None, None)
    day = datetime.date(2020, 1, 2)
    pq.write_table(pa.table({"text": ["a"], "day": [day], "tags": [["x"]]}), tmp_path / "a.parquet")
    [row], _ = rows_of(tmp_path / "a.parquet")
    assert (row["day"], row["tags"]) == (day, '["x"]')


def test_ids_are_the_input_s_own_or_place_and_content(tmp_path):
    (tmp_path / "a.txt").write_text("one\none\n\ntwo\n\n\n")
    kept, said = rows_of(tmp_path / "a.txt")
    assert [row["id"] for row in kept] == [
        f"{n}-{hash_bytes(text)[:16]}" for n, text in ((0, "one"), (1, "one"), (3, "two"))
    ]
    assert said == ["line 3 is left out: empty"]
    (tmp_path / "a.csv").write_text("text,n,doc\na,1,x\nb,2,x\nc,3,\n")
    kept, said = rows_of(tmp_path / "a.csv", id_column="doc")
    assert [(row["id"], row["text"]) for row in kept] == [("x", "a")]
    assert said == ["row 2 is left out: duplicate id (x)", "row 3 is left out: no id"]


def test_bad_rows_of_a_jsonl_are_left_out_with_a_line_each_and_the_good_ones_kept(tmp_path):
    lines = [
        b'{"id": 1, "text": "good"}', b'{"id": 2, "text": " "}', json.dumps({"id": 3, "text": LONG}).encode(),
        b'{"id": 4, "text": "tw\xff"}', b'{"id": 5, "body": "b"}', b'{"id": 1, "text": "again"}',
        b'{"id": 6, "text": "half \\ud800"}', b"{broken", b"[1]", b'{"id": 7, "text": 3}', b'{"id": 1.5, "text": "a"}',
        b'{"id": 8, "text": "meta", "body": "\\ud800"}', b'{"id": 9, "text": "last"}',
    ]  # fmt: skip
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(lines))
    kept, said = rows_of(tmp_path / "a.jsonl")
    assert [(row["id"], row["text"]) for row in kept] == [("1", "good"), ("3", LONG), ("9", "last")]
    assert [line.split(" (")[0] for line in said] == [
        f"line {number} is left out: {reason}"
        for number, reason in [
            (2, "empty"), (4, "not valid UTF-8"), (5, "no column 'text'"), (6, "duplicate id"), (7, "not valid UTF-8"),
            (8, "not valid JSON"), (9, "not a JSON object"), (10, "not text"),
            (11, "an id that is neither text nor a whole number"), (12, "not valid UTF-8"),
        ]
    ]  # fmt: skip


def test_bad_rows_of_a_csv_and_a_txt(tmp_path):
    data = b'text,n\none,1\ntw\xff,2\n"a"b,3\nfour,4\na,b,c\n"open,6\nx,7\n'
    (tmp_path / "a.csv").write_bytes(data)
    kept, said = rows_of(tmp_path / "a.csv")
    assert [row["text"] for row in kept] == ["one", "four"]
    assert [line.split(": ")[1].split(" (")[0] for line in said] == [
        "not valid UTF-8", "malformed", "not as many fields as the header", "malformed",
    ]  # fmt: skip
    assert "lines 7 to 8" in said[-1]
    (tmp_path / "a.txt").write_bytes(b"one\ntw\xff\nthree")
    kept, said = rows_of(tmp_path / "a.txt")
    assert ([row["text"] for row in kept], said) == (
        ["one", "three"],
        ["line 2 is left out: not valid UTF-8"],
    )


def test_bad_rows_of_a_parquet_file(tmp_path):
    raw = pa.array([b"one", b"tw\xff", b"", None])
    texts = pa.Array.from_buffers(pa.string(), 4, raw.buffers())
    pq.write_table(pa.table({"text": texts, "n": [1, 2, 3, 4]}), tmp_path / "a.parquet")
    kept, said = rows_of(tmp_path / "a.parquet")
    assert [(row["text"], row["n"]) for row in kept] == [("one", 1)]
    assert said == [
        "row 2 is left out: not valid UTF-8",
        "row 3 is left out: empty",
        "row 4 is left out: empty",
    ]


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_vectors_that_came_along_are_stored_and_bad_ones_left_out(tmp_path, suffix):
    good = [numbers(text, SIZE).tolist() for text in ("a", "h")]
    bad = [[float("nan"), *good[0][1:]], [float("inf"), *good[0][1:]], good[0][1:], None, [0.0] * SIZE]
    rows = [{"text": t, "v": v} for t, v in zip("abcdefh", [good[0], *bad, good[1]], strict=True)]
    path = tmp_path / f"a{suffix}"
    if suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"text": "z", "v": "none"}]))
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    done, said = built(tmp_path / "s", path, vector_column="v", make=lambda texts: pytest.fail("embedded"))
    stored = contents(tmp_path / "s")
    assert [row["text"] for row in stored] == ["a", "h"]
    np.testing.assert_array_equal([row["embedding"] for row in stored], np.float32(good))
    assert "soft_prompts" not in stored[0]
    wanted = {
        "NaN or infinity in the vector": 2, "a vector of another size": 1, "no vector": 1,
        "a vector of zeros, which has no direction": 1,
    }  # fmt: skip
    assert done.left_out == wanted | ({"not a vector": 1} if suffix == ".jsonl" else {})
    assert len(said) == sum(done.left_out.values())
    assert "[15] instead of [16]" in said[2]


def test_the_limit_counts_good_rows_and_metadata_can_be_chosen(tmp_path):
    (tmp_path / "a.csv").write_text("text,n,id2,x\na,1,1,1\n,2,2,2\nb,3,3,3\nc,4,4,4\n")
    kept, _ = rows_of(tmp_path / "a.csv", limit=2, metadata=["n"])
    assert [(row["text"], row["n"], len(row)) for row in kept] == [("a", 1, 4), ("b", 3, 4)]


@pytest.mark.parametrize(
    ("name", "content", "reading", "error", "message"),
    [
        ("no.txt", None, {}, UsageError, "no such file"),
        ("a.pdf", "x", {}, UsageError, r"cannot read \.pdf files"),
        ("a.txt", "", {}, WorkbenchError, "is empty"),
        ("a.csv", "text\n", {}, WorkbenchError, "is empty"),
        ("a.jsonl", "{\n[\n", {}, WorkbenchError, "holds no row that can be read"),
        ("a.csv", "text,text\na,b\n", {}, WorkbenchError, "twice in the header"),
        ("a.csv", '"te"xt,n\na,b\n', {}, WorkbenchError, "the header is malformed"),
        ("a.parquet", "no", {}, WorkbenchError, "not a parquet file"),
        ("a.csv", "a,b\n1,2\n", {}, UsageError, r"which column\? It has a, b"),
        ("a.csv", "text\n1\n", {"column": "body"}, UsageError, "has no column 'body'; it has text"),
        ("a.csv", "text\n1\n", {"id_column": "key"}, UsageError, "has no column 'key'"),
        ("a.csv", "text\n1\n", {"vector_column": "v"}, UsageError, "has no column 'v'"),
        ("a.csv", "text\n1\n", {"metadata": ["m"]}, UsageError, "has no column 'm'"),
        ("a.csv", "text,embedding\n1,2\n", {}, UsageError, "'embedding' cannot be metadata"),
        ("a.csv", "text,a.b\n1,2\n", {}, UsageError, "'a.b' cannot be metadata"),
    ],
)
def test_an_input_that_cannot_be_read_is_one_clear_line(tmp_path, name, content, reading, error, message):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(error, match=message) as raised:
        source_of(tmp_path / name, **reading)
    assert "\n" not in str(raised.value)


def test_an_input_without_a_good_row_makes_no_store(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": ""}\n{"text": 3}\n')
    with pytest.raises(WorkbenchError, match="holds no good row: 1 empty, 1 not text"):
        built(tmp_path / "s", tmp_path / "a.jsonl")
    assert not (tmp_path / "s").exists()
