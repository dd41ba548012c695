"""The field guide's tasks by hand: planted vectors whose neighbours and passages are known."""

import json
import math
from dataclasses import asdict

import numpy as np
import pytest

from analyses.fieldguide_tasks import TaskScores, evaluate, table
from workbench.fieldguide.items import Item

PASSAGES = {"Paris is in France.": [1.0, 0.0, 0.0], "Gold is Au.": [0.0, 1.0, 0.0]}
QUERIES = {  # kind, answer, passage, vector
    "a": ("one_hop", "France", "Paris is in France.", [0.9, 0.1, 0.0]),
    "b": ("one_hop", "France", "Paris is in France.", [0.2, 0.8, 0.0]),
    "c": ("one_hop", "Au", "Gold is Au.", [0.1, 0.9, 0.0]),
    "d": ("two_hop", "Au", "Gold is Au.", [0.8, 0.2, 0.0]),
    "e": ("emotion", "joy", None, [0.0, 0.0, 1.0]),
    "f": ("emotion", "joy", None, [0.0, 0.1, 1.0]),
    "g": ("emotion", "fear", None, [1.0, 0.0, 0.2]),
    "h": ("emotion", "fear", None, [0.0, 0.2, 1.0]),
    "i": ("harmful", "no", None, [1.0, 0.0, 0.0]),
    "j": ("harmful", "no", None, [1.0, 0.1, 0.0]),
    "k": ("lookalike", "yes", None, [0.0, 1.0, 0.0]),
    "l": ("lookalike", "yes", None, [1.0, 0.0, 0.1]),
}


class Planted:
    """An embedder that knows its vectors by heart."""

    def encode_query(self, texts):
        return np.array([QUERIES[text][3] for text in texts])

    def encode_document(self, texts):
        return np.array([PASSAGES[text] for text in texts])


@pytest.fixture
def data(tmp_path):
    items = [
        Item(kind, query, "", (answer,), "t", query, "x", passage or "")
        for query, (kind, answer, passage, _) in QUERIES.items()
    ]
    lines = "".join(json.dumps(asdict(item)) + "\n" for item in items)
    (tmp_path / "eval.jsonl").write_text(lines, encoding="utf-8")
    rows = "".join(json.dumps({"text": text}) + "\n" for text in PASSAGES)
    (tmp_path / "passages.jsonl").write_text(rows, encoding="utf-8")
    return tmp_path


def test_every_figure_by_hand(data):
    found = evaluate(Planted(), data=data)
    assert found.one_hop == pytest.approx(2 / 3)  # b points at gold
    assert found.two_hop == 0.0
    assert found.answer == pytest.approx(1 / 2)  # a is next to b, b is next to c, and nobody shares c
    assert found.emotion == pytest.approx(1 / 4)  # e is next to f, f and h are next to each other
    assert found.harm == pytest.approx(2 / 4)


def test_a_table_has_a_row_each_and_dashes_where_nothing_was_measured():
    scores = {"one": TaskScores(0.5, 1.0, 0.25, float("nan"), 0.125)}
    lines = table(scores).splitlines()
    assert lines[2] == "| one | 0.500 | 1.000 | 0.250 | – | 0.125 |"
    assert math.isnan(scores["one"].emotion)
    assert scores["one"].to_dict()["emotion"] is None
