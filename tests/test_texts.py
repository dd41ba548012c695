"""Texts are read from every kind of file, and what is wrong with one is said with its line."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workbench.errors import UsageError, WorkbenchError
from workbench.texts import TextTable, read_texts

ROWS = [{"id": "1", "query": 'Who said "no"?'}, {"id": "2", "query": "Wo liegt Köln?\tHier"}]


def write(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return str(path)


def test_every_kind_of_file_gives_the_same_texts(tmp_path):
    csv = 'id,query\n1,"Who said ""no""?"\n2,Wo liegt Köln?\tHier\n'
    jsonl = "".join(json.dumps(row) + "\n\n" for row in ROWS)
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "a.parquet")
    sources = [
        write(tmp_path, "a.csv", csv),
        write(tmp_path, "windows.csv", ("\ufeff" + csv).replace("\n", "\r\n")),
        write(tmp_path, "a.jsonl", jsonl),
        str(tmp_path / "a.parquet"),
    ]
    for source in sources:
        table = read_texts(source)
        assert table.texts == [row["query"] for row in ROWS], source
        assert table.rows == [{"id": "1"}, {"id": "2"}]
        assert (table.column, table.left_out, table.source) == ("query", {}, source)


def test_a_tsv_takes_quotes_as_they_are(tmp_path):
    table = read_texts(write(tmp_path, "a.tsv", 'text\tlabel\nthe "auto\tx\n'))
    assert table.texts == ['the "auto']
    assert table.rows == [{"label": "x"}]


def test_only_line_feeds_end_the_lines_of_a_txt(tmp_path):
    table = read_texts(write(tmp_path, "a.txt", "one\u2028still one\r\n\n  \ntwo\n\n"))
    assert table.texts == ["one\u2028still one", "two"]
    assert table.left_out == {"empty": 2}


def test_a_field_of_a_csv_may_hold_lines(tmp_path):
    assert read_texts(write(tmp_path, "a.csv", 'text\n"one\n\ntwo"\n')).texts == ["one\n\ntwo"]


def test_the_column_is_the_first_of_the_known_names_or_the_named_one(tmp_path):
    path = write(tmp_path, "a.csv", "instruction,question,other\nI,Q,O\n")
    assert read_texts(path).texts == ["Q"]
    assert read_texts(path, "other").texts == ["O"]
    with pytest.raises(UsageError, match=r"no column 'text'; it has instruction, question, other"):
        read_texts(path, "text")
    with pytest.raises(UsageError, match=r"which column\? It has a, b; name one with --column"):
        read_texts(write(tmp_path, "b.csv", "a,b\n1,2\n"))
    with pytest.raises(UsageError, match=r"stand apart by semicolons, and \.csv is read with commas"):
        read_texts(write(tmp_path, "c.csv", "id;text\n1;gold\n"))


def test_the_limit_counts_texts_and_not_blank_rows(tmp_path):
    path = write(tmp_path, "a.txt", "one\n\ntwo\nthree\n")
    assert read_texts(path, limit=2).texts == ["one", "two"]
    with pytest.raises(UsageError, match="at least 1"):
        read_texts(path, limit=0)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "", "is empty"),
        ("a.csv", "", "is empty"),
        ("a.csv", "text\n", "is empty"),
        ("a.jsonl", "\n\n", "is empty"),
        ("a.jsonl", '{"text": ""}\n{"text": null}\n', "holds no text"),
        ("a.jsonl", '{"text": "a"}\n{"text": \n', "line 2: not valid JSON"),
        ("a.jsonl", '{"text": "a"}\n["b"]\n', "line 2: not a JSON object but list"),
        ("a.jsonl", '{"text": "a"}\n\n{"text": 3}\n', "line 3: text is not text but int"),
        ("a.jsonl", '{"text": "a\\ud800"}\n', "line 1: .* lone surrogate"),
        ("a.txt", b"one\ntw\xff\n", "line 2: not valid UTF-8"),
        ("a.csv", "text,id\na,1\nb\n", "row 2: 1 fields under a header of 2"),
        ("a.csv", 'text,id\n"a,1\n', "row 1: malformed"),
        ("a.csv", "text,text\na,b\n", "twice in the header"),
        ("a.parquet", "text", "not a parquet file"),
    ],
)
def test_malformed_content_is_one_clear_line(tmp_path, name, content, message):
    with pytest.raises(WorkbenchError, match=message) as caught:
        read_texts(write(tmp_path, name, content))
    assert caught.value.exit_code == 1
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "source", ["missing.txt", "missing", "./missing/file", "a/b.jsonl", "/a/b", "data set"]
)
def test_a_missing_file_is_not_looked_for_on_the_hub(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("workbench.texts._read_hub", lambda *_: pytest.fail("asked the hub"))
    with pytest.raises(UsageError, match="no such file"):
        read_texts(source)


def test_a_folder_and_an_unknown_type_are_refused(tmp_path):
    with pytest.raises(UsageError, match="a directory"):
        read_texts(str(tmp_path))
    with pytest.raises(UsageError, match=r"cannot read \.pdf files"):
        read_texts(write(tmp_path, "a.pdf", "x"))


def test_a_hub_out_of_reach_is_said_and_offline_is_undone():
    import huggingface_hub.constants as hub

    before = hub.HF_HUB_OFFLINE
    with pytest.raises(UsageError, match=r"no dataset of that id could be loaded.*give a local file"):
        read_texts("nobody/no-such-dataset")
    assert before == hub.HF_HUB_OFFLINE


def test_a_hub_dataset_is_read_like_a_file(monkeypatch):
    import datasets

    def load_dataset(source, split):
        assert (source, split) == ("owner/name", "validation[:5]")
        return datasets.Dataset.from_list([{"prompt": "a", "n": 1}, {"prompt": "", "n": 2}])

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    table = read_texts("owner/name", split="validation[:5]")
    assert table == TextTable(["a"], [{"n": 1}], "owner/name", "prompt", {"empty": 1})


def test_a_table_checks_its_shape():
    with pytest.raises(ValueError, match="1 texts but 0 rows"):
        TextTable(["a"], [], "x", "text", {})
