"""Colours: contrast on both grounds, distinct also to colour-blind eyes; labels escaped."""

from itertools import combinations

import numpy as np
import pytest

from workbench.figures import palette


def linear(colour: str) -> np.ndarray:
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """WCAG contrast ratio."""
    bright, dim = sorted((float(linear(c) @ [0.2126, 0.7152, 0.0722]) for c in (one, other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


@pytest.mark.parametrize("dark", [False, True])
def test_letters_and_points_show_on_their_ground(dark):
    assert contrast(palette.ink(dark), palette.ground(dark)) > 12
    assert contrast(palette.muted(dark), palette.ground(dark)) > 4.5
    for index in range(8):
        assert contrast(palette.colour(index, dark), palette.ground(dark)) > (3 if dark else 2)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.15, 0.3, 0.5, 0.6, 0.7, 1.0])
def test_letters_show_on_every_cell(share, dark):
    stops = palette.sequential(dark)
    place = [stop for stop, _ in stops]
    channels = [[int(colour[i : i + 2], 16) for _, colour in stops] for i in (1, 3, 5)]
    cell = "#" + "".join(f"{round(np.interp(share, place, row)):02X}" for row in channels)
    assert contrast(palette.ink_on(share, dark), cell) > 4


# Machado et al. (2009), severity 1: what protanopes, deuteranopes and tritanopes see, in linear RGB.
BLIND = {
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


@pytest.mark.parametrize("kind", BLIND)
@pytest.mark.parametrize("dark", [False, True])
def test_colours_differ_to_colour_blind_eyes(kind, dark):
    seen = [
        np.clip(np.array(BLIND[kind]) @ linear(palette.colour(i, dark)), 0, 1) ** (1 / 2.2) for i in range(6)
    ]
    assert min(np.abs(a - b).max() for a, b in combinations(seen, 2)) > 0.09


def test_groups_beyond_the_eighth_differ_in_shape():
    looks = {(palette.colour(index), palette.symbol(index)) for index in range(48)}
    assert len(looks) == 48


def test_labels_are_escaped_wrapped_and_cut():
    assert palette.label("<b>x</b> & y") == "&lt;b&gt;x&lt;/b&gt; &amp; y"
    assert palette.label("word " * 100, 20, 2).count("<br>") == 1
    assert palette.label("word " * 100, 20, 2).endswith("…")
    assert palette.label("") == ""


def test_groups_come_by_size():
    assert palette.groups(["b", "a", "c", "b"]) == ["b", "a", "c"]
