"""Agreement of lenses: overlaps by hand, intervals that hold the mean, a control that pairs what does not belong."""

import numpy as np
import pytest

from workbench.errors import UsageError
from workbench.lenses.agreement import agreement
from workbench.lenses.reading import LensReading


def reading(lens, ids, text="gold", layers=None):
    """`ids[layer][special][rank]`."""
    ids = np.array(ids)
    layers = layers or tuple(range(len(ids)))
    names = [[[str(token) for token in row] for row in layer] for layer in ids.tolist()]
    scores = np.tile(np.linspace(1, 0.5, ids.shape[2]), (*ids.shape[:2], 1))
    labels = [f"◆{n + 1}" for n in range(ids.shape[1])]
    return LensReading(
        lens, text, layers, labels, names, ids, scores, np.zeros(ids.shape, bool), "probability"
    )


def test_overlaps_by_hand():
    """Layer 0: {1,2,3} and {2,3,4} share 2 of 4; {5,6,7} twice: 1. Layer 1: nothing shared; {1} of {1,2,3,4,5}."""
    a = reading("logit", [[[1, 2, 3], [5, 6, 7]], [[1, 2, 3], [1, 2, 3]]])
    b = reading("tuned", [[[4, 3, 2], [7, 5, 6]], [[4, 5, 6], [1, 4, 5]]])
    found = agreement([[a], [b]], k=3)
    np.testing.assert_allclose(found.score, [(0.5 + 1) / 2, (0 + 0.2) / 2])
    np.testing.assert_allclose(found.pairs["logit", "tuned"], found.score)
    assert (found.lenses, found.layers, found.cells) == (("logit", "tuned"), (0, 1), 2)
    np.testing.assert_allclose(found.low, [0.5, 0.0])
    np.testing.assert_allclose(found.high, [1.0, 0.2])
    # Each of the two cells meets the other: layer 0 {1,2,3}-{5,6,7} and {5,6,7}-{2,3,4}; layer 1 {1,2,3}-{1,4,5}, ..
    np.testing.assert_allclose(found.control, [0, 0.1])


def test_only_the_first_k_ranks_count():
    a, b = reading("logit", [[[1, 2, 3]]]), reading("tuned", [[[1, 4, 2]]])
    assert agreement([[a], [b]], k=1).score[0] == 1
    assert agreement([[a], [b]], k=3).score[0] == pytest.approx(2 / 4)
    assert np.isnan(agreement([[a], [b]]).control[0])
    assert agreement([[a], [b]]).to_dict()["control"] == [None]


def test_a_reading_without_tokens_agrees_with_nothing():
    a, b = reading("logit", [[[-1, -1], [1, -1]]]), reading("latent", [[[-1, -1], [1, 2]]])
    np.testing.assert_allclose(agreement([[a], [b]]).score, [(0 + 0.5) / 2])


def test_the_mean_of_three_lenses_is_over_their_pairs_and_common_layers():
    a = reading("logit", [[[1, 2]], [[1, 2]], [[1, 2]]], layers=(0, 2, 4))
    b = reading("tuned", [[[9, 8]], [[1, 2]], [[1, 3]]], layers=(0, 2, 4))
    c = reading("patchscope", [[[4, 1]], [[7, 8]]], layers=(4, 1))
    found = agreement([[a], [b], [c]])
    assert found.layers == (4,)
    np.testing.assert_allclose(found.score, [(1 / 3 + 1 / 3 + 1 / 3) / 3])
    assert set(found.pairs) == {("logit", "tuned"), ("logit", "patchscope"), ("tuned", "patchscope")}


def test_the_interval_holds_the_mean_and_narrows_with_texts():
    draw = np.random.default_rng(0)

    def lens(name, texts):
        return [reading(name, draw.integers(6, size=(2, 4, 3)), text=str(n)) for n in range(texts)]

    few, many = (agreement([lens("logit", n), lens("tuned", n)], k=3) for n in (2, 40))
    for found in (few, many):
        assert (found.low <= found.score).all()
        assert (found.score <= found.high).all()
    assert ((many.high - many.low) < 0.6 * (few.high - few.low)).all()
    # The 95 % interval of a mean is 2 * 1.96 standard errors wide.
    wide = 2 * 1.96 * 0.25 / np.sqrt(many.cells)
    assert ((many.high - many.low) < 1.6 * wide).all()
    # Independent readings: the control is the score, but for chance.
    np.testing.assert_allclose(many.control, many.score, atol=0.08)


def test_the_same_seed_gives_the_same_figures():
    draw = np.random.default_rng(1)
    lenses = [[reading(name, draw.integers(5, size=(1, 6, 3)))] for name in ("logit", "tuned")]
    a, b, other = (agreement(lenses, seed=seed) for seed in (3, 3, 4))
    for name in ("score", "low", "high", "control"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    assert (other.control != a.control).any()


def test_what_cannot_be_compared_is_refused():
    a = reading("logit", [[[1, 2]]])
    for lenses, words in (
        ([[a]], "at least two lenses"),
        ([[a], []], "at least two lenses"),
        ([[a], [reading("tuned", [[[1, 2]]], text="iron")]], "same texts"),
        ([[a], [reading("tuned", [[[1, 2]]], layers=(1,))]], "no layer in common"),
    ):
        with pytest.raises(UsageError, match=words):
            agreement(lenses)
