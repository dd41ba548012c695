"""Pair classification by hand and against mteb's own evaluation of the same vectors."""

import numpy as np
import pytest
from mteb.abstasks import AbsTaskPairClassification
from planted import Planted, places, scored, split, texts

from workbench.errors import WorkbenchError
from workbench.evaluation.files import Pairs
from workbench.evaluation.pair_classification import evaluate

#         cosine with q: p1 1, p2 0.8, p3 0.6, p4 0;  dot 1, 8, 6, 0
VECTORS = {"q": [1, 0], "p1": [1, 0], "p2": [8, 6], "p3": [6, 8], "p4": [0, 1]}


def asked(labels):
    others = ["p1", "p2", "p3", "p4"]
    return Pairs(["q"] * 4, others, np.array(labels, dtype=float), places(4))


def test_every_figure_by_hand():
    found = evaluate(asked([1, 0, 1, 0]), Planted(VECTORS), task="t")
    m = found.metrics
    assert m["cosine_ap"] == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert m["dot_ap"] == pytest.approx((1 / 2 + 2 / 3) / 2)  # in the order p2, p3, p1, p4
    assert m["euclidean_ap"] == pytest.approx((1 / 1 + 2 / 4) / 2)  # distances 0, sqrt(85), sqrt(89), sqrt(2)
    # Thresholds behind p1, p2, p3 (by cosine): 3, 2, 3 of 4 right; F1 2/3, 1/2, 4/5 with precision 2/3 and recall 1.
    assert (m["cosine_accuracy"], m["cosine_f1"]) == pytest.approx((0.75, 0.8))
    assert (m["cosine_precision"], m["cosine_recall"]) == pytest.approx((2 / 3, 1))
    assert found.main_score == m["max_ap"] == m["cosine_ap"]
    assert found.details["best_similarity"] == "cosine"
    np.testing.assert_allclose(found.pairs, [[1, 1], [0.8, 0], [0.6, 1], [0, 0]], atol=1e-7)


def test_the_best_similarity_need_not_be_the_cosine():
    found = evaluate(asked([0, 1, 1, 0]), Planted(VECTORS), task="t")
    assert (found.main_score, found.details["best_similarity"]) == (1.0, "dot")
    assert found.pairs[:, 0].tolist() == [1, 8, 6, 0]


def test_a_constant_embedder_gets_the_share_of_alike_pairs():
    found = evaluate(asked([1, 0, 0, 0]), lambda texts: np.ones((len(texts), 3)), task="t")
    assert found.main_score == 0.25
    assert (
        found.metrics["max_f1"] == found.metrics["max_accuracy"] == 0.0
    )  # no threshold lies between equal numbers


def test_mteb_finds_the_same():
    first, second = texts(80)[0], texts(80, ("ant", "cat", "bee", "dog"), start=7)[0]
    second[5] = first[5]
    labels = [int(a.split()[0] == b.split()[0]) for a, b in zip(first, second, strict=True)]
    labels[4], labels[11], labels[30] = 1 - labels[4], 1 - labels[11], 1 - labels[30]
    model = Planted()
    ours = evaluate(Pairs(first, second, np.array(labels, dtype=float), places(80)), model, task="t")
    data = split(sentence1=first, sentence2=second, labels=labels)
    theirs = scored(model, AbsTaskPairClassification, data, "max_ap")
    assert 0.6 < ours.main_score < 1
    for name, value in ours.metrics.items():
        assert theirs[name] == pytest.approx(value, abs=1e-6), name
    assert theirs["main_score"] == pytest.approx(ours.main_score, abs=1e-6)


def test_one_label_alone_is_refused():
    with pytest.raises(WorkbenchError, match="all 4 pairs have the same label"):
        evaluate(asked([1, 1, 1, 1]), Planted(VECTORS), task="t")
