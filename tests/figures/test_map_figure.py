"""The map: every text is a point that knows its row, text is escaped, and a neighbourhood is drawn where asked."""

import numpy as np
import pytest

from workbench.figures import palette
from workbench.figures.colouring import NONE, OTHER, colouring
from workbench.figures.map import OWN, WEBGL_FROM, MapData, Marks, neighbour_map

TEXTS = ["one", "<script>two</script>", "three"]


@pytest.fixture
def data():
    coords = np.array([[0, 0], [1, 0], [0, 1]], dtype=np.float32)
    return MapData(TEXTS, ["a", "b", "a"], ["eins", "zwei", "drei"], coords)


def rows(figure):
    return sorted(
        int(row) for trace in figure.data if trace.customdata is not None for row in trace.customdata
    )


def test_every_text_is_a_point_that_knows_its_row(data):
    figure = neighbour_map(data)
    assert rows(figure) == [0, 1, 2]
    assert [trace.name for trace in figure.data] == ["a", "b"]
    assert list(figure.data[0].customdata) == [0, 2]
    assert list(figure.data[0].y) == [0, 1]


def test_text_is_escaped(data):
    assert "<script>" not in neighbour_map(data).to_json()


def test_focus_is_ringed_and_joined_to_its_neighbours(data):
    figure = neighbour_map(data, focus=0, neighbours=[1, 2])
    lines, rings = figure.data[2], figure.data[3]
    np.testing.assert_array_equal(lines.x, [0, 1, np.nan, 0, 0, np.nan])
    assert list(rings.x) == [0, 1, 0]
    assert rings.customdata is None  # a click goes to the point below


def test_the_own_text_is_a_star(data):
    own = MapData(
        data.texts, data.groups, data.decoded, data.coords, own=("<i>mine</i>", np.array([0.5, 0.5]))
    )
    figure = neighbour_map(own, focus=OWN, neighbours=[0])
    assert rows(figure) == [OWN, 0, 1, 2]
    assert figure.data[-1].marker.symbol == "star"
    assert "<i>" not in figure.to_json()


def test_many_points_are_drawn_with_webgl():
    n = WEBGL_FROM
    data = MapData(["x"] * n, ["a"] * n, [""] * n, np.zeros((n, 2), np.float32))
    assert neighbour_map(data).data[0].type == "scattergl"


def test_an_empty_map_is_a_figure():
    empty = MapData([], [], [], np.zeros((0, 2), np.float32))
    assert len(neighbour_map(empty).data) == 0


def test_fifty_thousand_points_are_a_few_megabytes():
    n = 50_000
    texts = [
        f"What is the capital of the country number {i}, which lies between <hills> and the sea?"
        for i in range(n)
    ]
    coords = np.random.default_rng(0).standard_normal((n, 2)).astype(np.float32)
    figure = neighbour_map(
        MapData(texts, [f"group {i % 9}" for i in range(n)], [""] * n, coords),
        marks=Marks(selected=range(0, n, 2)),
    )
    assert len(figure.to_json()) < 5_000_000, "Streamlit's limit is 200 MB"
    assert len(rows(figure)) == n
    assert figure.data[0].text[0] == "What is the capital of the country number 0…"


def test_only_visible_points_are_drawn_and_colours_do_not_change_with_them(data):
    figure = neighbour_map(data, marks=Marks(visible=np.array([1])))
    assert rows(figure) == [1]
    assert figure.data[0].marker.color == neighbour_map(data).data[1].marker.color


def test_selected_points_stand_out_and_without_any_all_do(data):
    figure = neighbour_map(data, marks=Marks(selected=(2,)))
    assert [list(trace.selectedpoints) for trace in figure.data] == [[1], []]
    assert figure.data[0].unselected.marker.opacity < figure.data[0].selected.marker.opacity
    plain = neighbour_map(data).data[0]
    assert plain.selectedpoints is None
    assert plain.unselected.marker.opacity == plain.selected.marker.opacity


def test_numbers_have_a_scale_and_what_has_none_is_grey(data):
    numbered = MapData(
        data.texts, data.groups, data.decoded, data.coords, None, np.array([3.0, np.nan, 5.0]), "<year>"
    )
    grey, scaled = neighbour_map(numbered).data
    assert (list(grey.customdata), list(scaled.customdata)) == ([1], [0, 2])
    assert list(scaled.marker.color) == [3, 5]
    assert scaled.marker.colorbar.title.text == "&lt;year&gt;"


def test_arrows_join_three_places_and_close_ones_share_a_disc(data):
    stops = [
        ("own", "<q>", np.array([0.0, 0.0])),
        ("read", "r", np.array([1.0, 0.0])),
        ("real", "s", np.array([1.0, 0.01])),
    ]
    figure = neighbour_map(data, marks=Marks(arrows=stops))
    [arrow] = figure.layout.annotations
    assert (arrow.ax, arrow.ay, arrow.x, arrow.y) == (0, 0, 1, 0)
    assert [trace.text[0] for trace in figure.data[2:]] == ["<b>1</b>", "<b>2 3</b>"]
    assert "<q>" not in figure.to_json()
    apart = neighbour_map(data, marks=Marks(arrows=[*stops[:2], ("real", "s", np.array([0.0, 1.0]))]))
    assert len(apart.layout.annotations) == 2


def test_columns_become_groups_or_a_scale():
    assert colouring("a", ["x", None, "y", "", "x"]).groups == ["x", NONE, "y", NONE, "x"]
    many = [f"v{i}" for i in range(10)] + ["v9", "v8"]
    grouped = colouring("a", many).groups
    # The two most frequent and the first six others in alphabetical order have a colour; v6 and v7 have not.
    assert [grouped[i] for i in (0, 5, 6, 7, 8, 9)] == ["v0", "v5", OTHER, OTHER, "v8", "v9"]
    years = colouring("year", [*range(9), None])
    assert years.numbers is not None
    np.testing.assert_array_equal(years.numbers, [*range(9), np.nan])
    assert colouring("few", [1, 2, 3]).numbers is None
    assert colouring("yes", [True, False] * 9).groups[:2] == ["True", "False"]


def test_what_is_left_over_has_no_colour_and_stands_behind():
    coords = np.zeros((4, 2), np.float32)
    data = MapData("abcd", ["other", "other", "x", "other"], [""] * 4, coords, rest=("other", "none"))
    other, x = neighbour_map(data).data
    assert (other.name, x.name) == ("other", "x")
    assert x.marker.color == palette.colour(0), "the first colour is the first group's"
    assert other.marker.symbol == "circle-open"
    assert other.legendrank > x.legendrank
