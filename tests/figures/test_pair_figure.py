"""Two maps in one figure, and a run's curve: what is drawn where, and that labels stay text."""

import numpy as np

from workbench.figures.map import MapData, Marks
from workbench.figures.pair import approach_chart, pair_map

HOSTILE = "<script>alert(1)</script>"
PLACES = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [-1.0, 0.5]], dtype=np.float32)


def data(coords=PLACES, **changes):
    return MapData([f"text {n}" for n in range(4)], ["a", "b", "a", "b"], [""] * 4, coords, **changes)


def drawn(left=None, right=None, **options):
    return pair_map(
        ("Left", data(), left or Marks()), (HOSTILE, data(3 * PLACES), right or Marks()), **options
    )


def test_both_maps_have_the_same_groups_in_one_legend():
    figure = drawn()
    by_side = {axis: [t for t in figure.data if (t.xaxis or "x") == axis] for axis in ("x", "x2")}
    assert [t.name for t in by_side["x"]] == [t.name for t in by_side["x2"]] == ["a", "b"]
    assert [t.legendgroup for t in figure.data] == ["a", "b", "a", "b"]
    assert [t.showlegend for t in by_side["x2"]] == [False, False]
    for one, other in zip(by_side["x"], by_side["x2"], strict=True):
        assert one.marker.color == other.marker.color
        assert one.customdata.tolist() == other.customdata.tolist()
        np.testing.assert_array_equal(3 * one.x, other.x)


def test_both_maps_show_the_same_part_of_the_plane_and_move_together():
    figure = drawn()
    assert figure.layout.xaxis.range == figure.layout.xaxis2.range
    assert figure.layout.xaxis.range[0] < -3
    assert figure.layout.xaxis.range[1] > 3
    assert (figure.layout.xaxis2.matches, figure.layout.yaxis2.matches) == ("x", "y")
    assert figure.layout.xaxis.domain[1] < figure.layout.xaxis2.domain[0]
    wide = drawn(around=np.array([[-9.0, -9.0], [9.0, 9.0]]))
    assert wide.layout.xaxis.range[0] < -9


def test_what_is_selected_stands_out_on_both():
    figure = drawn(Marks(selected=(1, 2)), Marks(selected=(1, 2)))
    chosen = [[int(t.customdata[i]) for i in t.selectedpoints] for t in figure.data]
    assert chosen == [[2], [1], [2], [1]]


def test_the_text_looked_at_is_ringed_on_both_beside_its_own_neighbours():
    figure = drawn(Marks(0, [1]), Marks(0, [2, 3]))
    rings = {t.xaxis or "x": len(t.x) for t in figure.data if t.marker.symbol == "circle-open"}
    assert rings == {"x": 2, "x2": 3}


def test_numbers_have_one_scale():
    numbers = data(numbers=np.array([0.0, 0.5, 1.0, np.nan]), name="shared")
    figure = pair_map(("a", numbers, Marks()), ("b", numbers, Marks()))
    scales = [t.marker.showscale for t in figure.data if t.name == "shared"]
    assert scales == [False, None]


def test_titles_stay_text():
    titles = [note.text for note in drawn().layout.annotations]
    assert titles == ["<b>Left</b>", "<b>&lt;script&gt;alert(1)&lt;/script&gt;</b>"]


def test_a_run_s_curve_with_what_chance_reaches():
    figure = approach_chart(
        [0, 10], [0.2, 1.0], [0.5, 0.0], chance=0.1, shuffled=[0.8, 0.9], marked=(0, 10, 10)
    )
    assert [list(t.y) for t in figure.data] == [[0.2, 1.0], [0.1, 0.1], [0.5, 0.0], [0.8, 0.9]]
    assert [t.line.dash for t in figure.data] == [None, "dot", None, "dot"]
    assert [shape.x0 for shape in figure.layout.shapes] == [0, 10]
