"""The files of tasks: every layout that is read, and every wrong line that is refused by its number."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workbench.errors import UsageError, WorkbenchError
from workbench.evaluation.files import read_labelled, read_pairs, read_sets, read_sts
from workbench.evaluation.reasoning import read_bright
from workbench.evaluation.retrieval_files import (
    document_text,
    read_documents,
    read_judgments,
    read_queries,
    read_reranking,
    read_retrieval,
)
from workbench.evaluation.tables import read_table

STS = [("a man", "a woman", 2.5), ('with "quotes', "and, commas", 5.0)]


def write(path, content):
    if isinstance(content, list):
        content = "".join(json.dumps(row) + "\n" for row in content)
    data = content if isinstance(content, bytes) else content.encode("utf-8")
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def sts_files(folder):
    named = [{"sentence1": a, "sentence2": b, "score": s} for a, b, s in STS]
    yield write(
        folder / "a.tsv",
        "score\tsentence1\tsentence2\tgenre\n" + "".join(f"{s}\t{a}\t{b}\tx\n" for a, b, s in STS),
    )
    yield write(folder / "b.tsv", "".join(f"{s}\t{a}\t{b}\r\n" for a, b, s in STS))
    yield write(folder / "c.tsv.gz", "".join(f"{a}\t{b}\t{s}\n" for a, b, s in STS))
    yield write(
        folder / "d.csv", 'Sentence1,Sentence2,Score\na man,a woman,2.5\n"with ""quotes","and, commas",5\n'
    )
    yield write(folder / "e.jsonl", named)
    yield write(folder / "f.jsonl.gz", named)
    pq.write_table(pa.Table.from_pylist(named), folder / "g.parquet")
    yield folder / "g.parquet"


def test_sts_is_read_from_every_layout(tmp_path):
    for path in sts_files(tmp_path):
        pairs = read_sts(path)
        assert list(zip(pairs.first, pairs.second, pairs.scores.tolist(), strict=True)) == STS, path


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tsv", "left\tright\tgrade\na\tb\t3\n", "a.tsv, line 1: neither a header with sentence1, sentence2 and"),
        ("a.tsv", "sentence1\tsentence2\tgrade\na\tb\t3\n", "line 1: no column holds the score .* it has sentence1, "),
        ("a.tsv", "1\t2\ta\n", "line 1: neither a header"),
        ("a.tsv", "sentence1\tsentence2\tscore\na\tb\t3\nc\td\n", "line 3: 2 fields under a header of 3"),
        ("a.tsv", "3\ta\tb\n\n2\tc\n", "line 3: 2 fields under a first line of 3"),
        ("a.tsv", "sentence1\tsentence2\tscore\n\na\tb\thigh\n", "line 3: score is no number: 'high'"),
        ("a.tsv", "sentence1\tsentence2\tscore\na\tb\tnan\n", "line 2: score is no number: 'nan'"),
        ("a.tsv", "sentence1\tsentence1\tscore\na\tb\t1\n", "line 1: a column name stands twice"),
        ("a.csv", 'sentence1,sentence2,score\n"a\nb",c,1\nd,e,x\n', "line 4: score is no number"),
        ("a.csv", 'sentence1,sentence2,score\n"a,b,1\n', "line 2: malformed"),
        ("a.jsonl", '{"sentence1": "a"\n', "line 1: not valid JSON"),
        ("a.jsonl", "[1]\n", "line 1: not a JSON object but list"),
        ("a.jsonl", [{"sentence1": "a", "sentence2": "b", "score": 1}, {"sentence1": 3, "sentence2": "b", "score": 1}],
         "line 2: sentence1 is not text but int"),
        ("a.jsonl", [{"sentence1": "a", "sentence2": "b", "score": 1}, {"sentence1": "a", "score": 1}],
         "line 2: sentence2 is missing"),
        ("a.tsv", b"sentence1\tsentence2\tscore\n\xff\tb\t1\n", "line 2: not valid UTF-8"),
        ("a.tsv", "sentence1\tsentence2\tscore\n", "holds no rows"),
        ("a.json", "{}", "cannot read a.json: it reads .jsonl"),
    ],
)  # fmt: skip
def test_a_wrong_sts_file_is_refused_with_its_line(tmp_path, name, content, message):
    path = write(tmp_path / name, content)
    with pytest.raises(WorkbenchError, match=message) as caught:
        read_sts(path)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_not_there_or_not_whole_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"no such file: .*none.tsv"):
        read_sts(tmp_path / "none.tsv")
    with pytest.raises(UsageError, match="a folder, not a file"):
        read_sts(tmp_path)
    (tmp_path / "a.tsv.gz").write_bytes(gzip.compress(b"1\ta\tb\n" * 100)[:-9])
    with pytest.raises(WorkbenchError, match="not a whole gzip file"):
        read_sts(tmp_path / "a.tsv.gz")
    with pytest.raises(UsageError, match=r"cannot read a\.parquet\.gz"):
        read_sts(write(tmp_path / "a.parquet.gz", "x"))


def test_pairs_and_labels(tmp_path):
    path = write(tmp_path / "p.tsv", "sentence1\tsentence2\tlabel\na\tb\t1\nc\td\t0\n")
    assert read_pairs(path).scores.tolist() == [1, 0]
    with pytest.raises(
        WorkbenchError, match=r"p.tsv, line 3: the label of a pair is 1 \(alike\) or 0, not 2"
    ):
        read_pairs(write(path, "sentence1\tsentence2\tlabel\na\tb\t1\nc\td\t2\n"))
    with pytest.raises(WorkbenchError, match="every pair has the label 1"):
        read_pairs(write(path, "sentence1\tsentence2\tlabel\na\tb\t1\n"))
    labelled = write(
        tmp_path / "c.jsonl", [{"text": "t", "label": 0, "label_text": "no"}, {"text": "", "label": 1.0}]
    )
    assert (read_labelled(labelled).texts, read_labelled(labelled).labels) == (["t", ""], ["0", "1"])
    tsv = write(tmp_path / "c.tsv", "split\ttext\tintent\tdomain\ntest\thello\tgreet\tsmall\n")
    assert read_labelled(tsv).labels == ["greet"]
    assert read_labelled(tsv, label_column="domain").labels == ["small"]
    assert read_labelled(tsv).where == [f"{tsv}, line 2"]
    with pytest.raises(UsageError, match=r"line 1: no column holds the label \(one of kind\)"):
        read_labelled(tsv, label_column="kind")
    with pytest.raises(WorkbenchError, match="line 3: label is missing"):
        read_labelled(write(tmp_path / "c.tsv", "text\tlabel\na\tx\nb\t\n"))


def test_sets_to_cluster(tmp_path):
    rows = [{"sentences": ["a", "b"], "labels": ["x", "y"]}, {"sentences": ["c"], "labels": [3]}]
    sets = read_sets(write(tmp_path / "s.jsonl", rows))
    assert [(part.texts, part.labels) for part in sets] == [(["a", "b"], ["x", "y"]), (["c"], ["3"])]
    (flat,) = read_sets(write(tmp_path / "s.tsv", "text\tlabel\na\tx\nb\ty\n"))
    assert (flat.texts, flat.labels) == (["a", "b"], ["x", "y"])
    (flat,) = read_sets(write(tmp_path / "t.tsv", "sentences\tlabels\na\tx\nb\ty\n"))
    assert flat.texts == ["a", "b"]
    with pytest.raises(WorkbenchError, match="line 2: 1 texts but 2 labels"):
        read_sets(write(tmp_path / "s.jsonl", [*rows[:1], {"sentences": ["c"], "labels": [3, 4]}]))


@pytest.fixture
def beir(tmp_path):
    documents = [{"_id": "d1", "title": "A", "text": " one "}, {"_id": "d2", "title": "", "text": "two"}]
    corpus = write(tmp_path / "corpus.jsonl.gz", [*documents, {"_id": 3, "text": "three"}])
    queries = write(tmp_path / "queries.jsonl", [{"_id": "q1", "text": "?"}, {"_id": "q2", "text": "!"}])
    return corpus, queries, tmp_path / "qrels.tsv"


def test_a_task_of_beir(beir):
    qrels = write(beir[2], "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\t3\t0\nq2\td2\t1\n")
    data = read_retrieval(*beir)
    assert data.documents.ids == ["d1", "d2", "3"]
    assert data.documents.texts == ["A  one", "two", "three"]  # title, a space, the text; nothing around
    assert data.judgments == {"q1": {"d1": 2, "3": 0}, "q2": {"d2": 1}}
    for plain in ("q1\td1\t2\nq1\t3\t0\nq2\td2\t1\n", "q1\t0\td1\t2\nq1\t0\t3\t0\nq2\t0\td2\t1\n"):
        assert read_judgments(write(qrels, plain), data.queries, data.documents) == data.judgments
    assert document_text("", " x ") == "x"
    assert document_text("T", "") == "T"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            "query-id\tcorpus-id\tscore\nq1\td1\t1\nq1\td9\t1\n",
            "qrels.tsv, line 3: no document has the id 'd9'",
        ),
        ("query-id\tcorpus-id\tscore\nq9\td1\t1\n", "qrels.tsv, line 2: no query has the id 'q9'"),
        ("query-id\tcorpus-id\tscore\nq1\td1\t0.5\n", "line 2: score is no whole number: 0.5"),
        ("query-id\tcorpus-id\tscore\nq1\td1\tyes\n", "line 2: score is no number: 'yes'"),
        ("query-id\tcorpus-id\tscore\nq1\td1\t1\nq1\td1\t2\n", "line 3: 'q1' and 'd1' were judged otherwise"),
        ("query-id\tdocument\tscore\nq1\td1\t1\n", "line 1: no column holds the document's id"),
        ("query-id\tcorpus-id\tscore\nq1\t\t1\n", "line 2: corpus-id is missing"),
        ("q1\td1\n", "line 1: no column holds the query's id .* no header, it begins with q1, d1"),
    ],
)
def test_wrong_judgments_are_refused_with_their_line(beir, lines, message):
    write(beir[2], lines)
    with pytest.raises(WorkbenchError, match=message):
        read_retrieval(*beir)


def test_wrong_corpora_and_queries_are_refused_with_their_line(beir):
    corpus, queries, _ = beir
    with pytest.raises(WorkbenchError, match="line 2: the id 'd1' stands there twice"):
        read_documents(write(corpus, [{"_id": "d1", "text": "a"}, {"_id": "d1", "text": "b"}]))
    with pytest.raises(WorkbenchError, match="line 2: text is missing"):
        read_documents(write(corpus, [{"_id": "d1", "text": "a"}, {"_id": "d2", "text": None}]))
    with pytest.raises(WorkbenchError, match=r"line 1: _id is neither text nor a whole number but 1\.5"):
        read_documents(write(corpus, [{"_id": 1.5, "text": "a"}]))
    with pytest.raises(UsageError, match="line 1: no column holds the query"):
        read_queries(write(queries, [{"_id": "q1", "body": "a"}]))


def test_candidates_and_the_old_layout_of_rerankers(beir, tmp_path):
    write(beir[2], "query-id\tcorpus-id\tscore\nq1\td1\t1\n")
    listed = write(tmp_path / "top.jsonl", [{"query-id": "q1", "corpus-ids": ["d2", "d1"]}])
    assert read_retrieval(*beir, listed).candidates == {"q1": ["d2", "d1"]}
    write(listed, [{"query-id": "q1", "corpus-ids": ["d2", "d7"]}])
    with pytest.raises(WorkbenchError, match=r"top.jsonl, line 1: no document has the id 'd7'"):
        read_retrieval(*beir, listed)
    rows = [
        {"query": "q", "positive": ["good"], "negative": ["bad", "worse"]},
        {"query": "left out", "positive": [], "negative": ["bad"]},
        {"query": "r", "positive": ["bad"], "negative": ["good"]},
    ]
    data = read_reranking(write(tmp_path / "r.jsonl", rows))
    assert data.queries.texts == ["q", "r"]
    texts = dict(zip(data.documents.ids, data.documents.texts, strict=True))
    relevant = [
        {texts[id]: value for id, value in data.judgments[query].items()} for query in data.queries.ids
    ]
    assert relevant == [{"good": 1, "bad": 0, "worse": 0}, {"bad": 1, "good": 0}]
    assert [[texts[id] for id in data.candidates[q]] for q in data.queries.ids] == [
        ["good", "bad", "worse"],
        ["bad", "good"],
    ]
    with pytest.raises(WorkbenchError, match="line 1: positive is not a list of texts"):
        read_reranking(write(tmp_path / "r.jsonl", [{"query": "q", "positive": "good", "negative": []}]))
    with pytest.raises(WorkbenchError, match="no row has both"):
        read_reranking(write(tmp_path / "r.jsonl", rows[1:2]))


def test_a_domain_of_bright(tmp_path):
    documents = tmp_path / "documents.parquet"
    pq.write_table(
        pa.Table.from_pylist([{"id": "a/1.txt", "content": "x"}, {"id": "b/2.txt", "content": "y"}]),
        documents,
    )
    example = {
        "id": "0",
        "query": "why?",
        "gold_ids": ["a/1.txt"],
        "gold_ids_long": ["b/2.txt"],
        "excluded_ids": ["N/A"],
    }
    examples = write(tmp_path / "e.jsonl", [example, {**example, "id": "1", "excluded_ids": ["b/2.txt"]}])
    data = read_bright(examples, documents)
    assert data.judgments == {"0": {"a/1.txt": 1}, "1": {"a/1.txt": 1}}
    assert data.excluded == {"0": [], "1": ["b/2.txt"]}
    write(examples, [example])
    assert read_bright(examples, documents, long=True).judgments == {"0": {"b/2.txt": 1}}
    with pytest.raises(WorkbenchError, match=r"e\.jsonl, line 1: no document has the id 'c'"):
        read_bright(write(examples, [{**example, "gold_ids": ["c"]}]), documents)
    with pytest.raises(WorkbenchError, match=r"line 1: 'a/1\.txt' is both to be found and excluded"):
        read_bright(write(examples, [{**example, "excluded_ids": ["a/1.txt"]}]), documents)


def test_a_header_is_known_by_any_of_its_columns(tmp_path):
    table = read_table(write(tmp_path / "a.tsv", "\ufeffText\tOther\nx\ty\n"), ("text", "label"))
    assert (table.has_header, table.columns, table.has(("TEXT",))) == (True, ["Text", "Other"], "Text")
    table = read_table(write(tmp_path / "a.tsv", "x\ty\n"), ("text", "label"))
    assert (table.has_header, table.rows[0].values) == (False, {"1": "x", "2": "y"})
