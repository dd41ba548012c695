"""Lens figures show the tokens and scores that they are given, and outline what is novel; nothing is computed."""

import numpy as np
import pytest

from workbench.figures import lens
from workbench.figures.lens import agreement_map, agreement_print, lens_map, lens_print
from workbench.lenses.agreement import Agreement
from workbench.lenses.reading import LensReading

SCORES = np.array([[[0.9, 0.1], [0.2, 0.1]], [[0.5, 0.4], [1.0, 0.0]]])
NOVEL = np.array([[[False, True], [True, False]], [[False, False], [False, True]]])


def reading(name="logit"):
    tokens = [[["␣a<b", "x"], ["␣two", "x"]], [["␣extraordinarily", "x"], ["$4$", "x"]]]
    ids = np.arange(8).reshape(2, 2, 2)
    return LensReading(name, "gold", (0, 4), ["◆1", "◆2"], tokens, ids, SCORES, NOVEL, "probability")


def test_every_cell_holds_its_top_token_and_the_first_layer_is_below():
    figure = lens_map([reading()])
    heat, letters = figure.data
    np.testing.assert_array_equal(heat.z, SCORES[:, :, 0])
    assert (heat.zmin, heat.zmax) == (0, 1)
    assert list(letters.text) == ["␣a&lt;b", "␣two", "␣extraordi…", "$4$"]
    assert list(zip(letters.x, letters.y, strict=True)) == [(0, 0), (1, 0), (0, 1), (1, 1)]
    assert list(figure.layout.yaxis.ticktext) == ["layer 0", "layer 4"]
    assert list(figure.layout.xaxis.ticktext) == ["◆1", "◆2"]
    assert heat.customdata[1][0] == "␣extraordinarily 0.500<br>x 0.400"


def test_novel_words_are_outlined():
    boxes = lens_map([reading()]).layout.shapes
    assert [((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2) for box in boxes] == [(1, 0)]


@pytest.mark.parametrize("dark", [False, True])
def test_letters_can_be_read_on_their_cells(dark):
    from workbench.figures.palette import ink_on

    colours = lens_map([reading()], dark=dark).data[1].textfont.color
    assert list(colours) == [ink_on(share, dark) for share in (0.9, 0.2, 0.5, 1.0)]


def test_each_lens_has_a_panel():
    figure = lens_map([reading(), reading("patchscope")])
    assert [note.text for note in figure.layout.annotations] == [
        "logit lens (probability)", "patchscope lens (probability)"
    ]  # fmt: skip
    assert [trace.yaxis for trace in figure.data] == ["y", "y", "y2", "y2"]
    assert [box.yref for box in figure.layout.shapes] == ["y", "y2"]


def test_the_printed_grid_shows_the_same(tmp_path):
    figure = lens_print([reading(), reading("patchscope")])
    for axes, name in zip(figure.axes, ("logit", "patchscope"), strict=True):
        assert [text.get_text() for text in axes.texts] == ["␣a<b", "␣two", "␣extraordi…", "$4$"]
        assert [text.get_position() for text in axes.texts] == [(0, 0), (1, 0), (0, 1), (1, 1)]
        np.testing.assert_array_equal(axes.images[0].get_array(), SCORES[:, :, 0])
        assert axes.get_ylim()[0] < axes.get_ylim()[1], "the first layer is below"
        assert [patch.get_xy() for patch in axes.patches] == [(0.54, -0.44)]
        assert axes.get_title(loc="left") == f"{name} lens (probability)"
    for suffix in ("png", "pdf", "svg"):
        figure.savefig(tmp_path / f"f.{suffix}")
        assert (tmp_path / f"f.{suffix}").stat().st_size > 1000


def test_agreement_is_drawn_as_it_is():
    rows = [np.array(row) for row in ([0.2, 0.6], [0.1, 0.5], [0.3, 0.7], [0.05, 0.1])]
    found = Agreement(("logit", "tuned"), (0, 4), 5, 10, *rows, {("logit", "tuned"): rows[0]})
    high, low, score, control = agreement_map(found).data
    for trace, wanted in ((score, 0), (low, 1), (high, 2), (control, 3)):
        np.testing.assert_array_equal(trace.y, rows[wanted])
        assert list(trace.x) == [0, 4]
    [axes] = agreement_print(found).axes
    for line, wanted in zip(axes.lines, (0, 3), strict=True):
        np.testing.assert_array_equal(line.get_ydata(), rows[wanted])


def test_nothing_global_is_kept():
    import sys

    lens_print([reading()])
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()
    assert lens.cells(reading())[0].token == "␣a<b"
