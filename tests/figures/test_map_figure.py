"""The map: every text is a point that knows its row, text is escaped, and a neighbourhood is drawn where asked."""

import numpy as np
import pytest

from workbench.figures.map import OWN, WEBGL_FROM, MapData, neighbour_map

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
