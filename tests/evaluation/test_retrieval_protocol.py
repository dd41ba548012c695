"""Retrieval by hand, with ties, graded judgments and exclusions, and against mteb's own evaluation."""

import numpy as np
import pytest
from datasets import Dataset
from mteb.abstasks import AbsTaskRetrieval
from planted import Planted, collected, scored, texts

from workbench.errors import WorkbenchError
from workbench.evaluation import reasoning
from workbench.evaluation.protocol import interval
from workbench.evaluation.ranking import CUTOFFS, figures, rank, rank_candidates
from workbench.evaluation.retrieval import evaluate
from workbench.evaluation.retrieval_files import Retrieval


def test_figures_by_hand():
    # Judgments 3, 2, 1, 0 and -1; found in the order 1, -1, 3, none, 0; the document judged 2 is not found.
    found = figures([1, -1, 3, 0, 0], [3, 2, 1, 0, -1], (1, 3, 5))
    gained, ideal = 1 / 1 + 3 / 2, 3 / 1 + 2 / np.log2(3) + 1 / 2
    assert found["ndcg_at_5"] == found["ndcg_at_3"] == pytest.approx(gained / ideal)
    assert found["ndcg_at_1"] == pytest.approx(1 / 3)
    assert found["map_at_5"] == pytest.approx((1 / 1 + 2 / 3) / 3)
    assert found["map_at_1"] == pytest.approx(1 / 3)
    assert (found["recall_at_1"], found["recall_at_3"]) == pytest.approx((1 / 3, 2 / 3))
    assert (found["precision_at_3"], found["precision_at_5"]) == pytest.approx((2 / 3, 2 / 5))
    assert (found["mrr_at_1"], found["hit_rate_at_1"]) == (1, 1)
    late = figures([0, 0, 1], [1], (1, 3))
    assert (late["mrr_at_1"], late["mrr_at_3"], late["hit_rate_at_1"], late["hit_rate_at_3"]) == (
        0,
        1 / 3,
        0,
        1,
    )
    assert set(figures([0, 0], [0, -1]).values()) == {0.0}, "a query without anything relevant counts 0"


def test_figures_are_those_of_trec_eval():
    import pytrec_eval

    measures = {
        f"{name}.{','.join(map(str, CUTOFFS))}" for name in ("ndcg_cut", "map_cut", "recall", "P", "success")
    }
    draw = np.random.default_rng(0)
    for _ in range(20):
        ids = [f"d{number}" for number in range(60)]
        judged = {id: int(draw.integers(-1, 4)) for id in draw.choice(ids, size=15, replace=False)}
        similarity = draw.integers(0, 20, size=(1, 60)) / 20  # many ties
        run = dict(zip(ids, similarity[0].tolist(), strict=True))
        theirs = pytrec_eval.RelevanceEvaluator({"q": judged}, measures).evaluate({"q": run})["q"]
        # A query (1, 0) has the cosine s with (s, sqrt(1 - s^2)).
        documents = np.stack([similarity[0], np.sqrt(1 - similarity[0] ** 2)], axis=1)
        (rows,) = rank(np.array([[1.0, 0.0]]), documents, ids)
        ours = figures([judged.get(ids[row], 0) for row in rows], list(judged.values()))
        renamed = {
            "ndcg": "ndcg_cut",
            "map": "map_cut",
            "recall": "recall",
            "precision": "P",
            "hit_rate": "success",
        }
        for k in CUTOFFS:
            for name, other in renamed.items():
                assert ours[f"{name}_at_{k}"] == pytest.approx(theirs[f"{other}_{k}"], abs=1e-9), (name, k)


def test_of_equally_similar_documents_the_later_id_stands_first():
    documents = np.array([[1.0, 0], [2, 0], [3, 0], [0, 1]])
    query = np.array([[5.0, 0]])
    assert rank(query, documents, ["b", "c", "a", "z"])[0].tolist() == [1, 0, 2, 3]
    assert rank(query, documents, ["b", "c", "a", "z"], limit=2)[0].tolist() == [1, 0]
    assert rank(query, documents, ["10", "9", "x", "z"])[0].tolist() == [
        2,
        1,
        0,
        3,
    ]  # as text: "9" is behind "10"
    assert rank(query, documents, ["b", "c", "a", "z"], excluded=[[1, 3]])[0].tolist() == [0, 2]
    assert rank_candidates(query, documents, ["b", "c", "a", "z"], [[3, 2, 0]])[0].tolist() == [0, 2, 3]


def test_a_rank_does_not_depend_on_its_company():
    draw = np.random.default_rng(1)
    queries, documents = draw.normal(size=(300, 5)), draw.normal(size=(50, 5))
    ids = [str(number) for number in range(50)]
    together = rank(queries, documents, ids, limit=7)
    for number in (0, 127, 128, 299):
        alone = rank(queries[number : number + 1], documents, ids, limit=7)[0]
        slow = sorted(
            range(50),
            key=lambda row: -queries[number] @ documents[row] / np.linalg.norm(documents[row]),
        )[:7]
        assert together[number].tolist() == alone.tolist() == slow


def some(judgments, **more):
    documents = collected({"d1": "east", "d2": "north", "d3": "north east", "q2": "far east"})
    queries = collected({"q1": "east?", "q2": "north?", "q3": "west?"})
    return Retrieval(documents, queries, judgments, **more)


SIDES = {
    "east": [1, 0], "north": [0, 1], "north east": [1, 1], "far east": [9, 1],
    "east?": [1, 0], "north?": [0, 1], "west?": [-1, 0],
}  # fmt: skip


def test_a_task_by_hand():
    model = Planted(SIDES)
    data = some({"q1": {"d3": 1}, "q2": {"d2": 2, "d3": 1}})
    found = evaluate(data, model, model, task="t")
    # q1 finds d1, q2 (the document), d3, d2: rank 3 -> 1 / log2(4). q2 finds d2, d3: ideal. q3 is not judged.
    assert found.items == pytest.approx([0.5, 1.0])
    assert found.main_score == pytest.approx(0.75)
    assert found.metrics["mrr_at_10"] == pytest.approx((1 / 3 + 1) / 2)
    assert found.metrics["recall_at_1"] == pytest.approx((0 + 1 / 2) / 2)
    assert found.details["queries_without_judgments"] == 1
    assert found.details["query_ids"] == ["q1", "q2"]
    assert "west?" not in model.asked
    low, high = interval(found)
    assert (low, high) == (0.5, 1.0)


def test_queries_and_documents_are_encoded_apart():
    def other(texts):
        return -Planted(SIDES)(texts)

    found = evaluate(some({"q1": {"d2": 1}}), Planted(SIDES), other, task="t")
    assert found.metrics["mrr_at_10"] == pytest.approx(1.0)  # cosines turned round: 0 is the best of them


def test_excluded_documents_and_the_querys_own_are_not_found():
    model = Planted(SIDES)
    data = some({"q1": {"d3": 1}}, excluded={"q1": ["d1", "no such document"]})
    found = reasoning.evaluate(data, model, model, task="t")
    assert (found.protocol, found.metrics["mrr_at_10"]) == ("reasoning", 0.5)
    own = some({"q2": {"d3": 1}})
    own.documents.texts[3] = "north"  # the document "q2" is as near as can be
    assert evaluate(own, model, model, task="t").metrics["mrr_at_10"] == pytest.approx(1 / 3)
    apart = evaluate(own, model, model, task="t", ignore_identical_ids=True)
    assert apart.metrics["mrr_at_10"] == pytest.approx(1 / 2)


def test_a_constant_embedder_gets_no_more_than_the_order_of_the_ids():
    data = some({"q1": {"d1": 1}})
    found = evaluate(
        data, lambda texts: np.ones((len(texts), 2)), lambda texts: np.ones((len(texts), 2)), task="t"
    )
    assert found.metrics["mrr_at_10"] == pytest.approx(1 / 4)  # behind q2, d3 and d2


@pytest.mark.parametrize("own_ids", [False, True])
def test_mteb_finds_the_same(own_ids):
    passages, _ = texts(120)
    passages[50] = passages[10]  # a tie
    questions, starts = texts(30, start=400)
    draw = np.random.default_rng(2)
    documents = {f"{number}": text for number, text in enumerate(passages)}
    queries = {f"{number}": text for number, text in enumerate(questions)}
    judgments = {
        id: {str(row): int(draw.integers(0, 4)) for row in draw.choice(120, size=8, replace=False)}
        for id, _ in zip(queries, starts[:-2], strict=False)
    }
    judgments["3"] = {"10": 2, "50": 1, "7": 0}
    model = Planted()
    ours = evaluate(
        Retrieval(collected(documents), collected(queries), judgments), model, model, task="t",
        ignore_identical_ids=own_ids,
    )  # fmt: skip
    data = {
        "corpus": Dataset.from_list([{"id": id, "text": text, "title": ""} for id, text in documents.items()]),
        "queries": Dataset.from_list([{"id": id, "text": text} for id, text in queries.items()]),
        "relevant_docs": judgments, "top_ranked": None,
    }  # fmt: skip
    theirs = scored(
        model, AbsTaskRetrieval, {"default": {"test": data}}, "ndcg_at_10", ignore_identical_ids=own_ids
    )
    assert 0.02 < ours.main_score < 0.9
    for name, value in ours.metrics.items():
        assert theirs[name] == pytest.approx(value, abs=1.1e-5), name  # mteb rounds to five digits
    assert theirs["main_score"] == pytest.approx(ours.main_score, abs=1.1e-5)


def test_what_cannot_be_retrieved_is_refused():
    with pytest.raises(WorkbenchError, match="no query has a judgment"):
        evaluate(some({}), Planted(SIDES), Planted(SIDES), task="t")
    broken = Planted({**SIDES, "far east": [np.nan, 1]})
    with pytest.raises(WorkbenchError, match=r"^file.tsv, line 5: the vector of this text is not finite$"):
        evaluate(some({"q1": {"d1": 1}}), broken, broken, task="t")
