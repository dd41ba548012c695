"""Decoded samples over the steps, by hand: equal texts become one stretch, means leave out what is not there."""

import pytest

from workbench.decoding.differences import Span
from workbench.decoding.samples import progress, shared, stretches
from workbench.training.watched import Sample


def sample(step, row, decoded, cosine=None, response="It is gold."):
    return Sample(step, row, f"query {row}", response, decoded, cosine)


SAMPLES = [
    sample(20, 3, "It is gold.", 0.75),
    sample(0, 3, "", 0.0),
    sample(5, 3, "It is lead.", 0.25),
    sample(10, 3, "It is lead.", 0.5),
    sample(0, 4, "red", None, ""),
    sample(10, 4, "It", -0.25, "It will be"),
]


def test_steps_with_the_same_text_become_one_stretch():
    found = stretches(SAMPLES, 3)
    assert [(one.first, one.last, one.decoded, one.cosine) for one in found] == [
        (0, 0, "", 0.0),
        (5, 10, "It is lead.", 0.5),
        (20, 20, "It is gold.", 0.75),
    ]
    assert found[1].compared.right == (Span("It is ", "same"), Span("lead.", "own"))
    assert found[1].compared.left == (Span("It is ", "same"), Span("gold.", "own"))
    assert stretches(SAMPLES, 5) == []


def test_a_text_that_comes_back_is_a_stretch_of_its_own():
    back = [sample(step, 0, text) for step, text in enumerate(("a", "b", "a"))]
    assert [one.decoded for one in stretches(back, 0)] == ["a", "b", "a"]


def test_the_means_of_a_step_by_hand():
    """Of 3 + 3 words, "It is lead." shares 2 with "It is gold.": 2 * 2 / 6. "It" shares 1 with "It will be": 2 / 4.
    At step 0 one sample has no response, and the other says nothing: 0."""
    assert shared(SAMPLES[2]) == pytest.approx(2 / 3)
    assert progress(SAMPLES) == [
        (0, 0.0, 0.0),
        (5, pytest.approx(2 / 3), 0.25),
        (10, pytest.approx((2 / 3 + 1 / 2) / 2), (0.5 - 0.25) / 2),
        (20, 1.0, 0.75),
    ]
    assert progress([sample(0, 1, "a", None, "")]) == [(0, None, None)]
    assert progress([]) == []
