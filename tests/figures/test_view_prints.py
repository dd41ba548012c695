"""Prints of the app's views: what they show, that they are the same when made again, and what strange texts do."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from workbench.figures.map import MapData, Marks
from workbench.figures.paper import style
from workbench.figures.paper.export import as_bytes
from workbench.figures.prints.attention import CELL, MOST, attention_print, head_print
from workbench.figures.prints.evaluation import difference_print, score_print
from workbench.figures.prints.map import RASTER_FROM, map_print
from workbench.figures.prints.pair import approach_print, pair_print
from workbench.figures.prints.training import losses_print, samples_print
from workbench.lenses.attention import SpecialAttention

HOSTILE = "<script>alert(1)</script> $x$ \x01\u202e\ud800\n" + "long " * 60
PLACES = np.array([[0, 0], [1, 0], [0, 1], [-1, 0.5]], dtype=np.float32)


def seen(text=3, special=2, suffix=2, name="␣gold"):
    """Two layers of three heads; every token looks at all before it alike."""
    n = text + special + suffix
    marked = (np.arange(n) >= text) & (np.arange(n) < text + special)
    tokens = [name] * text + [f"◆{k + 1}" for k in range(special)] + ["␣Au"] * suffix
    declared = np.tril(np.ones((n, n), bool))
    weights = (declared / declared.sum(1, keepdims=True)).astype(np.float32)
    return SpecialAttention(tokens, marked, declared, np.tile(weights, (2, 3, 1, 1)), 0.0, False)


def data(groups=("a_b", "c", "a_b", "none"), **changes):
    return MapData(["t"] * 4, list(groups), [""] * 4, PLACES, rest=("none",), **changes)


def row(task, embedder, score, low, high, difference=None, **changes):
    found = {"task": task, "embedder": embedder, "score": score, "low": low, "high": high, "n": 1200}
    found |= {"metric": "accuracy", "lower_is_better": False, "difference": difference}
    found |= {"difference_low": low, "difference_high": high}
    return found | changes


def scores(name="mine"):
    return [
        row("emotion", name, 0.5, 0.25, 0.75),
        row("emotion", "theirs", 0.625, 0.5, 0.75),
        row("perplexity", name, 20.0, None, None, lower_is_better=True),
    ]


LOSSES = [
    {"step": step, "loss": 2.0 / step, "loss_align": 1.0 / step, "learning_rate": 1e-4} for step in (1, 2, 4)
]
PRINTS = {
    "attention": lambda: attention_print(seen()),
    "heads": lambda: head_print(seen().on_text()),
    "map": lambda: map_print(
        data(own=(HOSTILE, PLACES[0])),
        marks=Marks(1, [0, 2], arrows=[("question", "q", PLACES[1]), ("answer", "a", PLACES[3])]), says=[HOSTILE],
    ),
    "pair": lambda: pair_print((HOSTILE, data(), Marks()), ("b", data(), Marks(selected=[1])), says=HOSTILE),
    "approach": lambda: approach_print([0, 100], [0.5, 1.0], [0.7, 0.0], chance=0.1, shuffled=[0.9, 0.9]),
    "scores": lambda: score_print(scores(HOSTILE)),
    "losses": lambda: losses_print(LOSSES, log=True),
    "samples": lambda: samples_print([0, 10], [0.1, 0.5], [None, 0.5]),
}  # fmt: skip


def said(figure):
    """The letters of an SVG, as they can be selected; it must be XML."""
    root = ET.fromstring(as_bytes(figure, "svg"))
    return [text.text or "" for text in root.iter("{http://www.w3.org/2000/svg}text")]


def marks_of(axes):
    return {
        (line.get_color(), float(x), float(y))
        for line in axes.lines
        if line.get_marker() not in ("", "None", None)
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
    }


@pytest.mark.parametrize("name", PRINTS)
def test_a_print_is_the_same_when_made_again_and_holds_its_fonts(name):
    for kind, fonts in (("pdf", b"/FontFile2"), ("svg", b"font-family: 'DejaVu Sans'")):
        first = as_bytes(PRINTS[name](), kind)
        assert fonts in first
        assert as_bytes(PRINTS[name](), kind) == first
    assert said(PRINTS[name]())


@pytest.mark.parametrize("name", ["map", "pair", "scores"])
def test_strange_text_stays_text_in_one_short_line(name):
    figure = PRINTS[name]()
    words = said(figure)
    assert any("<script>" in word for word in words)
    assert not re.search("[\x01\u202e\n]", "".join(words))
    assert b"<script>" not in as_bytes(figure, "svg")
    wide = figure.get_figwidth() * 72
    for text in figure.findobj(lambda one: hasattr(one, "get_text") and one.get_text().strip()):
        box = text.get_window_extent().transformed(figure.dpi_scale_trans.inverted())
        assert box.x0 > -0.1
        assert box.x1 * 72 < wide + 1, text.get_text()


def test_a_label_is_one_line_that_xml_can_hold():
    assert style.one_line("a\n b\tc", 9) == "a b c"
    assert style.one_line("a\x00\ud800\u202eb", 9) == "a��b"
    assert style.one_line("abcdef", 4) == "abc…"


def test_attention_shows_the_rows_behind_the_text_and_leaves_the_first_token_out_of_the_colours():
    figure = attention_print(seen(), 1, None)
    declared, applied, bar = figure.axes
    assert [tick.get_text() for tick in declared.get_yticklabels()] == ["◆1", "◆2", "␣Au", "␣Au"]
    assert [tick.get_text() for tick in applied.get_xticklabels()][:4] == ["␣gold"] * 3 + ["◆1"]
    assert applied.get_xlabel() == "layer 2, mean of 3 heads"
    assert bar.get_ylim() == (0, pytest.approx(0.25))
    whole = attention_print(seen(), whole=True)
    assert len(whole.axes[0].get_yticklabels()) == 7
    # two edges: text | special | suffix, and of the rows one
    assert [line.get_xdata()[0] for line in declared.lines if line.get_xdata()[0] > 0] == [2.5, 4.5]


def test_many_tokens_lose_their_names_and_fit():
    figure = attention_print(seen(text=400, special=8, suffix=0))
    assert not figure.axes[0].get_xticklabels()
    assert figure.get_figwidth() < 6.5
    assert [text.get_text() for text in figure.axes[0].texts] == ["text", "special tokens"]
    assert 408 * CELL > MOST


def test_heads_stand_with_the_last_layer_on_top():
    axes = head_print(np.array([[0.1, 0.2], [0.3, 0.4]], np.float32)).axes[0]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["layer 2", "layer 1"]
    assert [text.get_text() for text in axes.texts] == ["30%", "40%", "10%", "20%"]


def test_the_map_has_the_points_in_the_app_s_colours_and_names_its_groups():
    from workbench.figures import palette

    figure = map_print(data())
    found = marks_of(figure.axes[0])
    assert {
        (palette.colour(0), 0.0, 0.0),
        (palette.colour(1), 1.0, 0.0),
        (palette.muted(), -1.0, 0.5),
    } <= found
    assert [text.get_text() for text in figure.legends[0].texts] == ["a b", "c", "none"]
    hidden = map_print(data(), marks=Marks(visible=np.array([1])))
    assert {(x, y) for _, x, y in marks_of(hidden.axes[0])} == {(1.0, 0.0)}
    assert [text.get_text() for text in hidden.legends[0].texts] == ["c"]


def test_a_large_map_is_a_picture_below_letters_that_can_be_selected():
    n = RASTER_FROM
    rng = np.random.default_rng(0)
    groups = [f"group {k % 3}" for k in range(n)]
    big = MapData(["x"] * n, groups, [""] * n, rng.normal(size=(n, 2)).astype(np.float32))
    figure = map_print(big, says=["A map of many texts."])
    svg = as_bytes(figure, "svg")
    assert b"<image" in svg
    assert {"A map of many texts.", "group 0", "group 2"} <= set(said(figure))
    assert len(as_bytes(figure, "pdf")) < 2_000_000
    assert svg == as_bytes(map_print(big, says=["A map of many texts."]), "svg")
    assert b"<image" not in as_bytes(map_print(data()), "svg")


@pytest.mark.parametrize("n", [0, 1])
def test_a_map_of_nothing_or_one_text_is_drawn(n):
    one = MapData(["x"] * n, [""] * n, [""] * n, np.zeros((n, 2), np.float32))
    assert as_bytes(map_print(one), "pdf")
    assert len(marks_of(map_print(one).axes[0])) == n


def test_numbers_have_one_scale_over_both_maps():
    numbers = data(numbers=np.array([0.0, 0.5, 1.0, np.nan]), name="shared_neighbours")
    figure = pair_print(("a", numbers, Marks()), ("b", numbers, Marks(selected=[0])))
    left, right, bar = figure.axes
    assert bar.get_ylim() == (0, 1)
    assert (left.get_xlim(), left.get_ylim()) == (right.get_xlim(), right.get_ylim())
    assert [text.get_text() for text in figure.legends[0].texts] == ["none"]


def test_scores_have_their_marks_and_intervals_and_a_perplexity_its_own_axis():
    emotion, perplexity, *_ = score_print(scores()).axes
    assert {(x, y) for _, x, y in marks_of(emotion)} == {(0.5, 0), (0.625, 1)}
    ends = [segment[:, 0].tolist() for lines in emotion.collections for segment in lines.get_segments()]
    assert ends == [[0.25, 0.75], [0.5, 0.75]]
    assert emotion.get_xlim() == pytest.approx((-0.04, 1.04))
    low, high = perplexity.get_xlim()
    assert low < 20 < high
    assert perplexity.get_xlabel() == "accuracy ↓, n = 1,200"
    assert not score_print([]).axes


def test_differences_are_open_where_they_hold_zero_and_keep_their_marks():
    from workbench.figures import palette

    rows = [
        row("emotion", "reference", 0.5, None, None),
        row("emotion", "clear", 0.5, 0.25, 0.75, 0.5),
        row("emotion", "unclear", 0.5, -0.25, 0.5, 0.125),
    ]
    [axes] = difference_print(rows).axes
    open_ = [line for line in axes.lines if line.get_markerfacecolor() == "white"]
    assert [line.get_xdata()[0] for line in open_] == [0.125]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["clear", "unclear"]
    assert {colour for colour, *_ in marks_of(axes)} == {palette.colour(1), palette.colour(2)}


def test_losses_are_drawn_as_logged_with_the_rate_below():
    figure = losses_print(LOSSES)
    above, below = figure.axes
    assert [line.get_label() for line in above.lines] == ["loss", "alignment"]
    np.testing.assert_allclose(above.lines[0].get_ydata(), [2, 1, 0.5])
    np.testing.assert_allclose(below.lines[0].get_ydata(), [1e-4] * 3)
    logged = losses_print([{"step": 1, "loss": 1.0, "loss_x": -1.0}, {"step": 2, "loss": 0.5}], log=True)
    assert [line.get_label() for line in logged.axes[0].lines] == ["loss"]
    assert logged.axes[0].get_yscale() == "log"
    assert "0.5" in said(logged)
    for empty in (losses_print([], log=True), losses_print([{"step": 1, "loss": -1.0}], log=True)):
        assert said(empty) == ["step", "loss"]


def test_samples_leave_out_what_is_not_known():
    [axes] = samples_print([0, 10], [0.1, 0.5], [None, 0.5]).axes
    assert [line.get_xdata().tolist() for line in axes.lines] == [[0, 10], [10]]
    assert said(samples_print([0], [None], [None])) == ["step", "mean"]


def test_a_run_s_curve_has_both_lines_beside_chance():
    [axes] = approach_print(
        [0, 100], [0.5, 1.0], [0.7, 0.0], chance=0.1, shuffled=[0.9, 0.8], marked=[0, 0]
    ).axes
    shown = [np.asarray(line.get_ydata()).tolist() for line in axes.lines]
    assert shown[:4] == [[0.5, 1.0], [0.1, 0.1], [0.7, 0.0], [0.9, 0.8]]
    assert len(shown) == 5
