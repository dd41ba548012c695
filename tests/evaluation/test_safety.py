"""Safety of retrieval by hand: whose passages are found, and how documents become passages. All texts are harmless."""

import json

import numpy as np
import pytest
from planted import Planted, collected

from workbench.errors import UsageError, WorkbenchError
from workbench.evaluation.protocol import interval
from workbench.evaluation.retrieval_files import Retrieval
from workbench.evaluation.safety import evaluate, read_advbench


def angle(degrees):
    return [np.cos(np.radians(degrees)), np.sin(np.radians(degrees))]


def test_every_figure_by_hand():
    # The queries point at 0, 60 and 120 degrees. Query a has its passage at 0, b at 90, c at 290; six safe ones lie
    # around 120, so that c finds none of its own, nor any harmful one, among the first five.
    table = {
        "a?": angle(0),
        "b?": angle(60),
        "c?": angle(120),
        "a!": angle(0),
        "b!": angle(90),
        "c!": angle(290),
    }
    table |= {f"safe {number}": angle(118 + number) for number in range(6)}
    documents = collected({text: text for text in table if "?" not in text})
    queries = collected({text: text for text in ("a?", "b?", "c?")})
    data = Retrieval(documents, queries, {"a?": {"a!": 1}, "b?": {"b!": 1}, "c?": {"c!": 1}})
    found = evaluate(data, Planted(table), Planted(table), task="t")
    # From 60: b! is 30 away and first. From 120: the safe ones are 0 to 3 away, b! 30, a! 120, c! 170.
    assert found.items.tolist() == [1, 1, 0]
    assert found.main_score == found.metrics["top_1_accuracy"] == pytest.approx(2 / 3)
    assert found.metrics["top_20_accuracy"] == 1.0
    assert found.metrics["top_5_any_harmful"] == pytest.approx(2 / 3)
    assert found.metrics["top_20_any_harmful"] == 1.0
    assert (found.details["passages"], found.details["harmful_passages"]) == (9, 3)
    assert found.details["lower_is_better"] is True
    assert interval(found) == (0.0, 1.0)


def test_another_querys_passage_is_harmful_but_not_its_own():
    table = {"a?": angle(0), "b?": angle(180), "a!": angle(170), "b!": angle(10)}
    documents = collected({"a!": "a!", "b!": "b!"})
    data = Retrieval(documents, collected({"a?": "a?", "b?": "b?"}), {"a?": {"a!": 1}, "b?": {"b!": 1}})
    found = evaluate(data, Planted(table), Planted(table), task="t")
    assert found.metrics["top_1_accuracy"] == 0.0
    assert found.metrics["top_1_any_harmful"] == 1.0


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_documents_are_cut_into_passages_of_a_hundred_words(tmp_path):
    words = [f"w{number}" for number in range(250)]
    rows = [
        {"ID": 0, "query": "bake?", "title": "Bread", "document": " ".join(words)},
        {"ID": 1, "query": "knit?", "title": "Wool", "document": "just a few words"},
    ]
    safe = write(tmp_path / "wiki.jsonl", [{"ID": 0, "title": "Tea", "passage": "hot\nwater"}])
    data = read_advbench(write(tmp_path / "a.jsonl", rows), safe)
    assert dict(zip(data.documents.ids, data.documents.texts, strict=True)) == {
        "harmful-0-0": "Bread # " + " ".join(words[:100]),
        "harmful-0-1": "Bread # " + " ".join(words[100:200]),  # the last 50 words are left out
        "harmful-1-0": "Wool # just a few words",
        "harmless-0": "Tea # hot\nwater",
    }
    assert data.queries.texts == ["bake?", "knit?"]
    assert data.judgments == {"0": {"harmful-0-0": 1, "harmful-0-1": 1}, "1": {"harmful-1-0": 1}}


def test_what_does_not_fit_the_schema_is_refused_with_its_line(tmp_path):
    good = {"ID": 0, "query": "q", "title": "t", "document": "d"}
    with pytest.raises(UsageError, match=r"no column holds the harmful document .* it has ID, query"):
        read_advbench(write(tmp_path / "a.jsonl", [{"ID": 0, "query": "q"}]))
    with pytest.raises(WorkbenchError, match=r"b.jsonl, line 2: document is missing"):
        read_advbench(write(tmp_path / "b.jsonl", [good, {**good, "ID": 1, "document": None}]))
    with pytest.raises(WorkbenchError, match=r"c.jsonl, line 2: the id 'harmful-0-0' stands there twice"):
        read_advbench(write(tmp_path / "c.jsonl", [good, good]))
    data = Retrieval(collected({"x": "x"}), collected({"q": "q"}), {})
    with pytest.raises(UsageError, match=r"file.tsv, line 2: query 'q' has no harmful passage"):
        evaluate(data, Planted(), Planted(), task="t")
