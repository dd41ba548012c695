"""Clustering by hand and against mteb's own evaluation, in both of its definitions."""

import numpy as np
import pytest
from mteb.abstasks import AbsTaskClustering, AbsTaskClusteringLegacy
from planted import Planted, places, scored, split, texts

from workbench.errors import UsageError
from workbench.evaluation.clustering import evaluate, evaluate_fast
from workbench.evaluation.files import Labelled
from workbench.evaluation.protocol import interval

CORNERS = {"a1": [0, 0], "a2": [0, 0.1], "b1": [9, 9], "b2": [9, 9.1]}


def labelled(rows, labels):
    return Labelled(list(rows), list(labels), places(len(labels)))


def test_the_v_measure_by_hand():
    right = labelled(CORNERS, "aabb")
    # The clusters are {a1, a2} and {b1, b2}. Labels x, y, x, y are spread evenly over both: homogeneity 0.
    wrong = labelled(CORNERS, "xyxy")
    # Labels x, x, y, z: complete but not homogeneous. H(labels) = 1.5 bits, H(labels | clusters) = 0.5 bits, so
    # homogeneity is 2/3, completeness 1, and the v-measure 2 * 2/3 / (5/3) = 0.8 with the two clusters of two labels.
    found = evaluate([right, wrong], Planted(CORNERS), task="t")
    assert found.items == pytest.approx([1.0, 0.0], abs=1e-9)
    assert found.main_score == pytest.approx(0.5)
    assert found.metrics["v_measure_std"] == pytest.approx(0.5)
    assert (found.n, found.main_metric) == (2, "v_measure")
    assert interval(evaluate([right], Planted(CORNERS), task="t")) is None


def test_a_set_of_one_label_counts_one_as_in_mteb():
    assert evaluate([labelled(["a1", "b1"], "xx")], Planted(CORNERS), task="t").main_score == 1.0


def test_mteb_finds_the_same_in_sets():
    (one, first), (other, second) = texts(300), texts(40, ("ant", "bee"), start=700)
    second[3] = "ant"
    model = Planted()
    ours = evaluate([labelled(one, first), labelled(other, second)], model, task="t")
    data = split(sentences=[one, other], labels=[first, second])
    theirs = scored(model, AbsTaskClusteringLegacy, data, "v_measure")
    assert 0.05 < ours.main_score < 0.99
    assert theirs["v_measures"] == pytest.approx(ours.items.tolist(), abs=1e-9)
    assert theirs["main_score"] == pytest.approx(ours.main_score, abs=1e-9)
    assert theirs["v_measure_std"] == pytest.approx(ours.metrics["v_measure_std"], abs=1e-9)


@pytest.mark.parametrize(
    ("ours_takes", "theirs_takes"),
    [
        ({}, {"max_fraction_of_documents_to_embed": None}),
        ({"max_texts": 70}, {"max_fraction_of_documents_to_embed": None, "max_document_to_embed": 70}),
        ({"max_fraction": 0.5}, {"max_fraction_of_documents_to_embed": 0.5}),
    ],
)
def test_mteb_finds_the_same_in_draws(ours_takes, theirs_takes, monkeypatch):
    monkeypatch.setattr("workbench.evaluation.clustering.DRAWN", 200)
    rows, labels = texts(160)
    model = Planted()
    ours = evaluate_fast(labelled(rows, labels), model, task="t", **ours_takes)
    settings = {"max_documents_per_cluster": 200, **theirs_takes}
    theirs = scored(model, AbsTaskClustering, split(sentences=rows, labels=labels), "v_measure", **settings)
    assert theirs["v_measures"]["Level 0"] == pytest.approx(ours.items.tolist(), abs=1e-9)
    assert theirs["main_score"] == pytest.approx(ours.main_score, abs=1e-9)
    assert np.std(ours.items) > 0


def test_what_cannot_be_clustered_is_refused():
    with pytest.raises(UsageError, match="no set to cluster"):
        evaluate([], Planted(), task="t")
    with pytest.raises(UsageError, match="exclude each other"):
        evaluate_fast(labelled("ab", "xy"), Planted(), task="t", max_texts=3, max_fraction=0.5)
    with pytest.raises(UsageError, match=r"no text is left of 2 with max_fraction=0.1"):
        evaluate_fast(labelled("ab", "xy"), Planted(), task="t", max_fraction=0.1)
