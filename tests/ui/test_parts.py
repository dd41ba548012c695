"""Whatever comes from outside is escaped; numbers have sensible digits."""

import pytest

from workbench.decoding.differences import Span
from workbench.ui import parts
from workbench.ui.state import _plain

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.mark.parametrize(
    "html",
    [
        parts.marked([Span(HOSTILE, "own"), Span(HOSTILE, "same")], "answer"),
        parts.card(HOSTILE, HOSTILE, parts.marked([Span(HOSTILE, "same")], "answer")),
        parts.figure(HOSTILE, HOSTILE, HOSTILE, HOSTILE),
        parts.tokens([HOSTILE], [False], [0.5]),
        parts.neighbour_list([(HOSTILE, HOSTILE, 0.5)]),
        parts.passage(HOSTILE, HOSTILE, HOSTILE, HOSTILE + "!", 0.5, 0.1),
    ],
)
def test_text_is_escaped(html):
    assert "<img" not in html
    assert "&lt;img src=x" in html


def test_only_differences_are_marked():
    html = parts.marked([Span("Tokyo ", "own"), Span("is", "same")], "decoded")
    assert html == '<mark class="decoded">Tokyo </mark>is'


@pytest.mark.parametrize(
    ("value", "text"), [(0.876, "0.88"), (-0.004, "0.00"), (-0.5, "−0.50"), (1.0, "1.00")]
)
def test_cosines_have_two_digits(value, text):
    assert parts.cosine(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (6.7e-6, "7 × 10⁻⁶"), (9.6e-11, "1 × 10⁻¹⁰"), (20.0, "2 × 10¹")]
)
def test_small_numbers_are_powers_of_ten(value, text):
    assert parts.small(value) == text


def test_bars_stay_inside():
    assert "width:100.0%" in parts.scale(1.7)
    assert "width:0.0%" in parts.scale(-0.3)
    assert "left:" not in parts.scale(0.5, float("nan"))


def test_an_empty_reading_says_so():
    assert "stopped at once" in parts.card("a", "b", "")


def test_markdown_is_left_alone():
    assert _plain("*a* [b](c) <d>") == "\\*a\\* \\[b\\]\\(c\\) \\<d\\>"


def test_a_passage_compares_with_others_where_they_are_known():
    known, unknown = (parts.passage("a", "b", "c", "d", 0.9, others) for others in (0.1, float("nan")))
    assert "others 0.10" in known
    assert "cosine 0.90." in unknown
    assert "nan" not in unknown
