"""Reranking by hand and against mteb's own evaluation of the same vectors."""

import numpy as np
import pytest
from datasets import Dataset
from mteb.abstasks import AbsTaskRetrieval
from planted import Planted, collected, scored, texts

from workbench.errors import UsageError
from workbench.evaluation.reranking import evaluate
from workbench.evaluation.retrieval_files import Retrieval

DIRECTIONS = {"q": [1, 0], "a": [1, 0.1], "b": [1, 0.5], "c": [0, 1], "d": [1, 0]}


def test_the_average_precision_by_hand():
    documents = collected({"a": "a", "b": "b", "c": "c", "d": "d"})
    # Of the candidates a, b, c the query ranks a, b, c; d, the best of all, is none of them.
    data = Retrieval(
        documents, collected({"q": "q"}), {"q": {"a": 1, "b": 0, "c": 1}}, {"q": ["a", "b", "c"]}
    )
    found = evaluate(data, Planted(DIRECTIONS), Planted(DIRECTIONS), task="t")
    assert found.main_score == pytest.approx((1 + 2 / 3) / 2)
    assert (found.protocol, found.main_metric) == ("reranking", "map_at_1000")
    assert found.metrics["mrr_at_10"] == 1.0


def test_mteb_finds_the_same():
    passages, _ = texts(80)
    passages[9] = passages[3]
    documents = {f"d{number}": text for number, text in enumerate(passages)}
    queries = {f"q{number}": text for number, text in enumerate(texts(12, start=300)[0])}
    draw = np.random.default_rng(4)
    candidates = {id: [f"d{row}" for row in draw.choice(80, size=10, replace=False)] for id in queries}
    candidates["q0"] = ["d9", "d1", "d3"]
    judgments = {
        id: {other: int(draw.integers(0, 2)) for other in listed} for id, listed in candidates.items()
    }
    judgments["q0"] = {"d9": 1, "d1": 0, "d3": 0}
    model = Planted()
    ours = evaluate(
        Retrieval(collected(documents), collected(queries), judgments, candidates), model, model, task="t"
    )
    data = {
        "corpus": Dataset.from_list([{"id": id, "text": text, "title": ""} for id, text in documents.items()]),
        "queries": Dataset.from_list([{"id": id, "text": text} for id, text in queries.items()]),
        "relevant_docs": judgments, "top_ranked": candidates,
    }  # fmt: skip
    theirs = scored(model, AbsTaskRetrieval, {"default": {"test": data}}, "map_at_1000")
    assert 0.3 < ours.main_score < 0.95
    for name, value in ours.metrics.items():
        assert theirs[name] == pytest.approx(value, abs=1.1e-5), name


def test_a_judged_query_without_candidates_is_refused():
    data = Retrieval(collected({"a": "a"}), collected({"q": "q"}), {"q": {"a": 1}})
    with pytest.raises(UsageError, match="query 'q' is judged, but has no candidates"):
        evaluate(data, Planted(), Planted(), task="t")
