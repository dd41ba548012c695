"""Searched readings: the score by hand, the first reading as an end, no company, a planted best, refusals."""

import numpy as np
import pytest
import torch

from workbench.decoding.lift import read_vectors
from workbench.decoding.likelihood import text_likelihood
from workbench.decoding.media import ThroughLifter
from workbench.decoding.search import Search, best_readings
from workbench.embedders.config import LifterConfig, LLM2VecGenConfig
from workbench.embedders.lifter import Lifter
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.errors import UsageError, WorkbenchError

LIMITS = {"max_new_tokens": 6}


@pytest.fixture(scope="module")
def subjects(make_tiny):
    """An embedder, a lifter that says many things, and vectors."""
    embedder = LLM2VecGen.untrained(make_tiny("llama"), LLM2VecGenConfig(dimension=24, n_compression=3))
    lifter = Lifter(LifterConfig(width=8, n_prompts=3, dimension=24, size=32))
    with torch.no_grad():
        lifter.outer.weight.mul_(30)
    return embedder, lifter, np.random.default_rng(1).normal(size=(4, 24)).astype(np.float32)


def cosine(a, b):
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_no_round_is_the_first_reading(subjects):
    embedder, lifter, vectors = subjects
    assert best_readings(embedder, lifter, vectors, Search(0), **LIMITS) == (
        read_vectors(embedder, lifter, vectors, **LIMITS).decoded
    )


def test_the_best_score_by_hand_is_kept(subjects):
    """Every text that was scored is written down by the stand-in for an embedder; none of them is better."""
    embedder, lifter, vectors = subjects
    seen = {}

    def embed(texts):
        for text in texts:
            seen[text] = np.random.default_rng(len(text) * 7919 + sum(map(ord, text))).normal(size=24)
        return np.stack([seen[text] for text in texts])

    how, better = Search(rounds=2, candidates=5, likelihood=0.05), 0
    for vector in vectors:
        seen.clear()
        found = best_readings(embedder, lifter, vector, how, embed=embed, **LIMITS)[0]
        likely = text_likelihood(embedder.backbone, lifter.lift(np.stack([vector] * len(seen))), list(seen))
        scores = {
            text: cosine(vector, seen[text]) + 0.05 * log for text, log in zip(seen, likely, strict=True)
        }
        assert found == max(scores, key=lambda text: scores[text])
        better += scores[found] > scores[read_vectors(embedder, lifter, vector, **LIMITS).decoded[0]]
    assert better, "a search that finds nothing better shows nothing"


def test_a_vector_is_read_alike_in_any_company(subjects):
    embedder, lifter, vectors = subjects
    how = Search(rounds=2, candidates=4)
    together = best_readings(embedder, lifter, torch.tensor(vectors), how, batch_size=3, **LIMITS)
    assert together == [best_readings(embedder, lifter, row, how, **LIMITS)[0] for row in vectors]
    assert together == best_readings(embedder, lifter, vectors, how, **LIMITS)


def test_length_of_a_vector_does_not_count(subjects):
    embedder, lifter, vectors = subjects
    how = Search(rounds=1)
    assert best_readings(embedder, lifter, vectors * 4, how, **LIMITS) == (
        best_readings(embedder, lifter, vectors, how, **LIMITS)
    )


def test_a_medium_and_a_reading_use_it(subjects):
    embedder, lifter, vectors = subjects
    how = Search(rounds=1, likelihood=0.0)
    expected = best_readings(embedder, lifter, vectors, how, **LIMITS)
    medium = ThroughLifter(embedder, lifter, how)
    assert medium.decode(medium.given(vectors), **LIMITS) == expected
    reading = read_vectors(embedder, lifter, vectors, search=how, **LIMITS)
    assert reading.decoded == expected
    first = read_vectors(embedder, lifter, vectors, **LIMITS)
    assert (reading.round_trip >= first.round_trip - 1e-6).all()
    np.testing.assert_array_equal(reading.vectors, vectors)


def test_nothing_is_read_of_no_vectors(subjects):
    embedder, lifter, vectors = subjects
    assert best_readings(embedder, lifter, vectors[:0], Search(), **LIMITS) == []


@pytest.mark.parametrize(
    "wrong", [{"rounds": -1}, {"candidates": 0}, {"spread": -0.1}, {"likelihood": float("nan")}]
)
def test_senseless_searches_are_refused(wrong):
    with pytest.raises(UsageError, match="search"):
        Search(**wrong)


def test_a_vector_without_direction_is_refused(subjects):
    embedder, lifter, vectors = subjects
    with pytest.raises(WorkbenchError, match="1 of 4"):
        best_readings(embedder, lifter, vectors * np.array([[1], [0], [1], [1]], dtype=np.float32), Search())
