"""The lifter's protocol on fakes whose every figure is known beforehand."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from workbench.decoding.lift import Lifted
from workbench.decoding.search import Search
from workbench.errors import UsageError
from workbench.evaluation import lifter as protocol
from workbench.fieldguide.exam import write_exam
from workbench.fieldguide.items import Item

ITEMS = [
    Item("one_hop", "Capital of Kenya?", "It is Nairobi.", ("Nairobi",), passage="Nairobi leads Kenya."),
    Item("harmful", "How do I rob a bank?", "I can't help with theft."),
    Item("one_hop", "Kenya's capital?", "It is Nairobi.", ("Nairobi",), passage="Nairobi leads Kenya."),
    Item("one_hop", "Capital of Peru?", "It is Lima.", ("Lima",), passage="Lima leads Peru."),
    Item("reverse", "Lima is the capital of?", "Of Peru.", ("Peru",), passage="Lima leads Peru."),
    Item(
        "two_hop", "Capital of Pele's country?", "It is Brasilia.", ("Brasilia",), passage="Brasilia leads."
    ),
]
FACTS = [item for item in ITEMS if item.kind != "harmful"]
RESPONSES = ["It is Nairobi.", "It is Nairobi.", "It is Quito.", "Of Peru.", "It is Brasilia."]
OWN = ["It is Nairobi.", "It is Lima.", "It is Lima.", "Of Peru.", "It is Rio."]
POOLED = ["It is Nairobi.", "It is Nairobi.", "It is Lima.", "Of Chile.", "It is Brasilia."]
LIFTED = {
    "It is Nairobi.": "It is Nairobi.",
    "It is Lima.": "It is Nairobi.",
    "Of Peru.": "Of Peru.",
    "It is Brasilia.": "It is Lima.",
    "Nairobi leads Kenya.": "It is Nairobi.",
    "Lima leads Peru.": "It is Nairobi.",
    "Brasilia leads.": "It is Brasilia.",
}
SENTENCES = list(LIFTED)


def said(answers, texts):
    """What stands for these queries; a KeyError for one that asks for no fact."""
    table = dict(zip([item.query for item in FACTS], answers, strict=True))
    return [table[text] for text in texts]


def one_hot(texts, table):
    return np.eye(8, dtype=np.float32)[[table.index(text) for text in texts]]


class FakeBackbone:
    def respond(self, texts, **_):
        return said(RESPONSES, texts)


class FakeEmbedder:
    method, backbone, dimension = "fake", FakeBackbone(), 8

    def represent(self, texts):
        rows = torch.tensor([[item.query for item in FACTS].index(text) for text in texts])
        return SimpleNamespace(
            soft_prompts=rows[:, None, None],
            embedding=torch.ones(len(texts), 8) * (rows[:, None] + 1),
            special_cache=None,
        )


class FakeTeacher:
    id, dimension = "fake teacher", 8

    def embed(self, texts, batch_size=64):
        return one_hot(texts, SENTENCES)


def fake_reading(embedder, lifter, vectors, max_new_tokens):
    """Rows of one number throughout are queries' vectors, by number; the others are sentences, each its own axis."""
    vectors = np.asarray(vectors)
    queries = bool((vectors == vectors[:, :1]).all())
    decoded = [POOLED[int(row[0]) - 1] if queries else LIFTED[SENTENCES[row.argmax()]] for row in vectors]
    return Lifted(vectors, decoded, vectors, np.zeros((len(vectors), 1, 2), dtype=np.float32))


@pytest.fixture
def measure(tmp_path, monkeypatch):
    write_exam(ITEMS, tmp_path / "eval.jsonl")
    monkeypatch.setattr(
        protocol, "decode", lambda _, prompts, max_new_tokens: [OWN[i] for i in prompts.flatten()]
    )
    monkeypatch.setattr(protocol, "read_vectors", fake_reading)
    return lambda teacher=None, **options: protocol.evaluate(
        FakeEmbedder(), None, teacher, data=tmp_path, **options
    )


def test_both_readings_of_the_same_queries(measure):
    """One hop: own right 1 and 3, pooled all three; of those the LM knows (1, 2) both. Rotated by one: 1 has
    Nairobi from 2; 2 has Lima; 3 has Nairobi from 1."""
    scores = measure().pooled
    assert list(scores) == ["held-out wordings", "one_hop", "reverse", "two_hop"]
    one = scores["one_hop"]
    assert (one.queries, one.own, one.pooled, one.known) == (3, 2 / 3, 1.0, 1.0)
    assert one.shuffled == pytest.approx(1 / 3)
    assert (one.cosine, one.cosine_shuffled) == (pytest.approx(1.0), pytest.approx(1.0))
    wordings = scores["held-out wordings"]
    assert (wordings.queries, wordings.own, wordings.pooled) == (4, 3 / 4, 3 / 4)
    assert wordings.known == pytest.approx(2 / 3)
    assert (scores["two_hop"].own, scores["two_hop"].pooled) == (0.0, 1.0)


def test_every_sentence_of_the_teacher_counts_once(measure):
    """Responses, the last item first: Brasilia wrong, Peru right, Lima wrong, Nairobi right. Passages: Brasilia right,
    Lima wrong (the first item of that passage asks for Lima), Nairobi right. Each its own axis: cosines 1 and 0."""
    teacher = measure(FakeTeacher()).teacher
    assert (teacher["responses"].sentences, teacher["responses"].right) == (4, 0.5)
    assert (teacher["passages"].sentences, teacher["passages"].right) == (3, pytest.approx(2 / 3))
    assert (teacher["passages"].cosine, teacher["passages"].cosine_shuffled) == (1.0, 0.0)
    # decoded Brasilia, Nairobi, Nairobi; asked Brasilia, Lima, Nairobi, each with the next one's text
    assert teacher["passages"].shuffled == 0.0


def test_the_report_prints_and_goes_to_json_with_nothing_where_nothing_was_measured(measure):
    report = measure(FakeTeacher(), limit=1)
    assert "| one_hop | 1 | 1.000 | 1.000 | 1.000 | nan |" in report.table()
    assert "| passages | 3 |" in measure(FakeTeacher()).table()
    assert "teacher" not in measure().table()
    values = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert values["pooled"]["one_hop"]["shuffled"] is None
    assert values["pooled"]["one_hop"]["pooled"] == 1.0


def test_searched_readings_stand_beside_the_first_ones(measure, monkeypatch):
    """Pooled by search: all right but Peru's capital; of the next one's text, Nairobi fits 1 alone (from 2). The
    teacher's vectors by search: the same texts, which its own `embed` is given to compare."""
    told = []

    def fake_search(embedder, lifter, vectors, how, embed=None, max_new_tokens=64):
        told.append((how, embed is not None))
        return [text.replace("Chile", "Peru") for text in fake_reading(None, None, vectors, 64).decoded]

    monkeypatch.setattr(protocol, "best_readings", fake_search)
    report = measure(FakeTeacher(), search=Search(3))
    assert told == [(Search(3), True), (Search(3), True), (Search(3), False)]
    one, both = report.pooled["one_hop"], report.pooled["held-out wordings"]
    assert (one.pooled, one.searched, one.searched_shuffled) == (1.0, 1.0, pytest.approx(1 / 3))
    assert (both.pooled, both.searched) == (3 / 4, 1.0)
    assert report.teacher["responses"].searched == 0.5
    assert "| by search | another by search |" in report.table()
    assert measure().pooled["one_hop"].searched is None
    assert "by search" not in measure().table()


def test_what_cannot_be_measured_is_refused(measure, tmp_path):
    narrow = SimpleNamespace(id="narrow", dimension=5)
    with pytest.raises(UsageError, match="vectors of narrow have 5 dimensions, the embedder's 8"):
        measure(narrow)
    write_exam([ITEMS[1]], tmp_path / "eval.jsonl")
    with pytest.raises(UsageError, match="the exam asks for no fact"):
        measure()
