"""Clusters: groups that are there are found, centroids and terms by hand, bad sizes refused."""

import numpy as np
import pytest

from workbench.atlas.clusters import NOISE, gather, label, tfidf_terms
from workbench.errors import UsageError, WorkbenchError

DRAW = np.random.default_rng(0)
CENTRES = np.eye(3, 8, dtype=np.float32)
TRUTH = np.repeat([0, 1, 2], [12, 9, 7])
VECTORS = (CENTRES[TRUTH] * 3 + 0.02 * DRAW.normal(size=(28, 8))).astype(np.float32)
TEXTS = [("the violin has strings", "a lion eats meat", "gold is a metal")[group] for group in TRUTH]


def same_partition(found, truth):
    return len(set(zip(found.tolist(), truth.tolist(), strict=True))) == len(set(truth.tolist()))


@pytest.mark.parametrize(("method", "size"), [("kmeans", 3), ("hdbscan", 5)])
def test_groups_that_are_there_are_found(method, size):
    labels = label(VECTORS, method, size=size)
    assert same_partition(labels, TRUTH)
    assert (labels == label(VECTORS * 7, method, size=size)).all(), "directions count, lengths do not"


def test_a_row_on_its_own_is_noise():
    alone = np.concatenate([VECTORS, -CENTRES[:1] - CENTRES[1:2]])
    assert label(alone, "hdbscan", size=5)[-1] == NOISE


def test_clusters_by_hand():
    vectors = np.array([[2.0, 0.0], [0.0, 1.0], [4.0, 0.3], [0.0, 3.0], [5.0, 5.0]], dtype=np.float32)
    clusters = gather(vectors, ["red apple", "blue sea", "red rose", "blue sky", "noise"],
                      np.array([1, 0, 1, 0, NOISE]), terms=1)  # fmt: skip
    assert [sorted(cluster.rows.tolist()) for cluster in clusters] == [[0, 2], [1, 3]]
    np.testing.assert_allclose(clusters[0].centroid, [3.0, 0.15])
    assert [cluster.terms for cluster in clusters] == [["red"], ["blue"]]
    assert clusters[0].rows.tolist() == [2, 0], "row 2 is nearer to the centroid's direction"


def test_the_largest_cluster_comes_first_and_every_row_is_in_one():
    clusters = gather(VECTORS, TEXTS, label(VECTORS, "kmeans", size=3))
    assert [len(cluster.rows) for cluster in clusters] == [12, 9, 7]
    assert sorted(np.concatenate([cluster.rows for cluster in clusters]).tolist()) == list(range(28))
    assert "violin" in clusters[0].terms
    assert "lion" in clusters[1].terms


def test_terms_of_texts_without_words():
    assert tfidf_terms([["the of and"], ["?!"]], 3) == [[], []]
    assert tfidf_terms([["gold"], ["the"]], 3) == [["gold"], []]
    assert tfidf_terms([], 3) == []


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: label(VECTORS, "kmeans", size=29), UsageError, "29 clusters of 28"),
        (lambda: label(VECTORS, "hdbscan", size=1), UsageError, "must be 2 to 28"),
        (lambda: label(VECTORS[:1]), WorkbenchError, "at least two rows"),
        (lambda: gather(VECTORS, TEXTS[:3], TRUTH), WorkbenchError, "differ"),
    ],
)
def test_what_cannot_be_clustered_is_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()
