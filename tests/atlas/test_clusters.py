"""Clusters: groups that are there are found, centroids, terms and trust by hand, bad sizes refused."""

import json

import numpy as np
import pytest
from stores import SHAPE, SIZE, built, numbers

from workbench.atlas import clusters
from workbench.atlas.clusters import (
    NOISE,
    Centres,
    clusters_of,
    gather,
    label,
    mean_soft_prompts,
    read_centres,
    tfidf_terms,
)
from workbench.atlas.plans import ClusterPlan
from workbench.atlas.sample import columns
from workbench.atlas.store import Made, open_store
from workbench.decoding.decode import decode
from workbench.embedders.config import LLM2VecGenConfig
from workbench.embedders.llm2vec_gen import LLM2VecGen
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


WORDS = ("violin strings", "lion meat", "gold metal")


def planted(texts):
    """The vectors of a text that starts with its cluster's number; soft prompts that say which text it is."""
    which = [int(text.split()[0]) for text in texts]
    own = np.stack([numbers(text, SIZE) for text in texts])
    soft_prompts = np.stack([numbers("soft " + text, 16).reshape(SHAPE) for text in texts])
    return Made((np.eye(SIZE)[which] * 4 + 0.1 * own).astype(np.float32), soft_prompts)


@pytest.fixture
def store(tmp_path):
    texts = [f"{n % 3} the {WORDS[n % 3]} {'abcdefgh'[n % 8]}{n}" for n in range(30) if n not in (1, 2, 5)]
    rows = [{"id": f"r{n}", "text": text, "half": "lo" if n < 20 else "hi"} for n, text in enumerate(texts)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    built(tmp_path / "s", tmp_path / "a.jsonl", make=planted)
    return open_store(str(tmp_path / "s"))


@pytest.mark.parametrize("plan", [ClusterPlan(), ClusterPlan(method="kmeans", size=3)])
def test_planted_clusters_are_found_with_their_members_and_words(store, plan):
    found = clusters_of(store, plan, terms=2)
    assert [len(cluster.rows) for cluster in found.clusters] == [10, 9, 8]
    for cluster, number in zip(found.clusters, (0, 1, 2), strict=True):
        members = {
            id for id, text in zip(found.ids, found.texts, strict=True) if text.startswith(str(number))
        }
        assert {found.ids[row] for row in cluster.rows} == members
        assert set(cluster.terms) == set(WORDS[number].split())
        mean = np.mean([planted([found.texts[row]]).embedding[0] for row in cluster.rows], axis=0)
        np.testing.assert_allclose(cluster.centroid, mean, rtol=1e-5, atol=1e-6)
    assert (found.outside, str(found.sample)) == (0, "showing 27 of 27")


def test_clusters_of_a_sample_are_rows_of_the_store(store):
    found = clusters_of(store, ClusterPlan(method="kmeans", size=3, rows=12, by="half", seed=4))
    assert str(found.sample) == "showing 12 of 27"
    everything = columns(store, ["id", "text", "half"])
    assert found.ids == [everything["id"][row] for row in found.sample.rows]
    halves = [everything["half"][row] for row in found.sample.rows]
    assert halves.count("lo") == 9, "20 of 27 rows, of 12: 8.9"
    members = [[found.texts[row][0] for row in cluster.rows] for cluster in found.clusters]
    assert all(len(set(numbers)) == 1 for numbers in members)


def test_the_mean_of_soft_prompts_is_that_of_what_is_stored(store, monkeypatch):
    monkeypatch.setattr(clusters, "PART", 3)
    known = columns(store, ["id", "text"])
    ids, texts = known["id"][5:13], known["text"][5:13]
    stored = [planted([text]).soft_prompts[0].astype(np.float16).astype(np.float64) for text in texts]
    np.testing.assert_allclose(mean_soft_prompts(store, ids[::-1]), np.mean(stored, axis=0), rtol=1e-6)
    with pytest.raises(ValueError, match="no mean"):
        mean_soft_prompts(store, [])


def test_a_centre_says_what_the_backbone_says_behind_its_soft_prompts(tiny_backbone):
    embedder = LLM2VecGen.untrained(tiny_backbone, LLM2VecGenConfig(n_compression=3, dimension=24))
    encoding = embedder.represent(["What is gold?", "A lion eats meat.", "Six strings.", "Who painted it?"])
    halves = encoding.soft_prompts.unflatten(0, (2, 2)).mean(dim=1)
    vectors = encoding.embedding.unflatten(0, (2, 2)).mean(dim=1).numpy()
    pooled = embedder.module.alignment(embedder.module.pool(halves)).detach().numpy()
    np.testing.assert_allclose(pooled, vectors, atol=1e-6)
    centres = read_centres(embedder, vectors, halves.numpy(), max_new_tokens=6)
    assert centres.decoded == decode(embedder, halves, max_new_tokens=6)
    again = embedder.encode_document(centres.decoded)
    np.testing.assert_allclose(centres.decoded_embeddings, again, atol=1e-5)


def test_the_trust_of_centres_by_hand():
    vectors = np.array([[1, 0], [0, 2], [3, 3]], dtype=np.float32)
    said = np.array([[1, 1], [0, 5], [-1, 0]], dtype=np.float32)
    centres = Centres(vectors, ["a", "b", "c"], said)
    half = 0.5**0.5
    # Cosines of (1,0): .707, 0, -1; of (0,2): .707, 1, 0; of (3,3): 1, .707, -.707.
    np.testing.assert_allclose(centres.round_trip, [half, 1, -half], atol=1e-6)
    np.testing.assert_allclose(centres.others, [-0.5, half / 2, (1 + half) / 2], atol=1e-6)
    assert np.isnan(Centres(vectors[:1], ["a"], said[:1]).others).all()
    with pytest.raises(ValueError, match="2 sentences for centres"):
        Centres(vectors, ["a", "b"], said)
