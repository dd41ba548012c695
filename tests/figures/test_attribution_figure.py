"""Figures of the causal lenses show the numbers that they are given, around zero where they have two sides."""

import io

import numpy as np
import pytest

from workbench.figures import palette
from workbench.figures.attribution import (
    LABELLED,
    attribution_map,
    attribution_print,
    flow_map,
    flow_print,
    patch_map,
    patch_print,
    verification_map,
    verification_print,
)
from workbench.lenses.attention_flow import AttentionFlow
from workbench.lenses.attribution_map import AttributionMap
from workbench.lenses.patching import PatchReading
from workbench.lenses.verification import Verification
from workbench.lenses.words import Words

VALUES = np.array([[0.5, -2.0, 0.0], [1.0, 0.25, 0.0]], dtype=np.float32)


@pytest.fixture
def found():
    logs = np.zeros(3, np.float32)
    tokens, rest = ["␣of", "␣of", "$<b>$"], ([1, 1, 2], VALUES, logs, logs, "ablation", "zero")
    return AttributionMap("t", "d", "special tokens", ["◆1", "◆2"], tokens, *rest)


@pytest.fixture
def flow():
    weights = np.array([[[[0.5, 0.2, 0.3], [0.1, 0.9, 0.0]]]], dtype=np.float32)
    words = Words(["What", "of"], np.array([-1, 0, 1]))
    rest = (words, weights, weights[0, 0] / 2, "sdpa", 0.0, False)
    return AttentionFlow("t", ["<|user|>", "What", "␣of"], ["◆1", "◆2"], *rest)


@pytest.fixture
def reading():
    target, source = np.array([[-1, -2, -3], [-1, -4, -3]]), np.array([[-9, -8], [-4, -8]])
    logs = target.astype(np.float32), source.astype(np.float32)
    return PatchReading("s", "t", "◆1", None, "c d", "a b", "a d", ["a", "b", "."], ["c", "d"], *logs)


@pytest.fixture
def checked():
    return Verification(
        "special tokens, ablation, zero", "resampled", ["t"], np.zeros(2, int), ["◆1", "◆2"], ["a", "<i>"],
        np.array([0.5, -1.0]), np.array([0.25, 2.0]), -1.0, (-1.0, 0.5), 0.0, (-0.5, 0.5),
    )  # fmt: skip


def ink(figure):
    """What a printed figure's letters say."""
    axes = figure.axes[0]
    return [[label.get_text() for label in side.get_ticklabels()] for side in (axes.xaxis, axes.yaxis)]


def drawn(figure):
    """The bytes of a printed figure: it can be written."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=50)
    return file.getvalue()


def test_a_map_is_centred_at_zero(found):
    figure = attribution_map(found)
    trace = figure.data[0]
    np.testing.assert_array_equal(trace.z, VALUES)
    assert (trace.zmin, trace.zmax) == (-2, 2)
    assert list(trace.x) == [0, 1, 2]
    assert list(figure.layout.xaxis.ticktext) == ["␣of", "␣of", "$&lt;b&gt;$"]
    assert "<b>" not in figure.to_json()
    printed = attribution_print(found)
    picture = printed.axes[0].images[0]
    np.testing.assert_array_equal(picture.get_array(), VALUES)
    assert picture.get_clim() == (-2, 2)
    assert ink(printed) == [["␣of", "␣of", "$<b>$"], ["◆1", "◆2"]]
    assert drawn(printed).startswith(b"\x89PNG")


def test_what_feeds_the_special_tokens_begins_at_zero(flow):
    figure = flow_map(flow)
    np.testing.assert_allclose(figure.data[0].z, [[0.2, 0.3], [0.9, 0.0]])
    assert (figure.data[0].zmin, figure.data[0].zmax) == (0, pytest.approx(0.9))
    assert list(figure.layout.yaxis.ticktext) == ["◆1", "◆2"]
    np.testing.assert_allclose(
        flow_print(flow, "rollout").axes[0].images[0].get_array(), [[0.1, 0.15], [0.45, 0]]
    )
    assert "share of rollout" in flow_map(flow, "rollout").to_json()


def test_a_patch_shows_both_answers(reading):
    trace = patch_map(reading).data[0]
    np.testing.assert_array_equal(trace.z, [[0, -2, 0], [5, 0, np.nan]])
    assert [list(row) for row in trace.text] == [["a", "b", "."], ["c", "d", ""]]
    assert (trace.zmin, trace.zmax) == (-5, 5)
    printed = patch_print(reading)
    assert [text.get_text() for text in printed.axes[0].texts][:5] == ["a", "b", ".", "c", "d"]
    assert drawn(printed)


def test_every_effect_is_a_point(checked):
    figure = verification_map(checked, dark=True)
    np.testing.assert_array_equal(figure.data[0].x, checked.predicted)
    np.testing.assert_array_equal(figure.data[0].y, checked.real)
    assert "rank correlation -1.000 [-1.000, 0.500]" in figure.layout.title.text.replace("<br>", " ")
    assert "<i>" not in figure.to_json()
    points = verification_print(checked).axes[0].collections[0].get_offsets()
    np.testing.assert_array_equal(points, np.stack([checked.predicted, checked.real], axis=1))


def test_many_columns_lose_their_labels(found):
    n = LABELLED + 1
    logs = np.zeros(n, np.float32)
    long = AttributionMap(
        "t", "d", "words", ["a"], ["x"] * n, [1] * n, logs[None], logs, logs, "gradient", "mean"
    )
    assert list(attribution_map(long).layout.xaxis.ticktext) == []
    assert (attribution_map(long).data[0].zmin, attribution_map(long).data[0].zmax) == (-1, 1)


@pytest.mark.parametrize("dark", [False, True])
def test_the_two_sides_differ_to_every_eye_and_fade_into_the_ground(dark):
    stops = palette.diverging(dark)
    assert stops[2] == [0.5, palette.ground(dark)]
    rgb = np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for _, colour in stops])
    # red less blue is what protanopes, deuteranopes (and brightness) still see as another colour: its sign is the side
    side = (rgb[:, 0] - rgb[:, 2]) / 255
    assert side[1] > 0.3
    assert side[3] < -0.3
    assert side[0] > 0.15 > -0.15 > side[4]
    light = rgb @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(light)[:2] * (1 if not dark else -1) > 0).all()
    assert (np.diff(light)[2:] * (-1 if not dark else 1) > 0).all()
