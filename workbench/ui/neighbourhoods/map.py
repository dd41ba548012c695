"""The map itself: how it is coloured, what a drag of the mouse does, and what was clicked or encircled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import streamlit as st

from workbench.atlas.named import Named
from workbench.atlas.points import Points
from workbench.atlas.projection import place
from workbench.decoding.trust import Readings
from workbench.figures.colouring import NONE, OTHER, Colouring, colouring
from workbench.figures.map import OWN, MapData, Marks, neighbour_map
from workbench.figures.prints.map import map_print
from workbench.ui import parts, prints, state
from workbench.ui.neighbourhoods import clusters, focus, selection
from workbench.ui.neighbourhoods.source import Source

COLOUR, CHART = "colour", "map"
DRAGS = {"move": "pan", "lasso": "lasso", "box": "select"}
REST = (OTHER, NONE, clusters.SMALLER, clusters.OUTSIDE)
"""Groups without a colour."""
LAST = "Where map and list disagree, the list is right."


class Choice(NamedTuple):
    """How the map is drawn."""

    colour: str
    """A metadata column, or `clusters.WANTED`."""
    drag: str
    """What plotly calls the chosen one of DRAGS."""


class Drawn(NamedTuple):
    """What is drawn on the map."""

    own: Readings | None
    at: int | None
    neighbours: list[int]
    selected: selection.Rows
    let: list[int] | None
    arrows: list[Any]


def chosen(event: Mapping[str, Any] | None) -> int | None:
    """The row of the point that was clicked last, from a chart's selection event; None where there is none."""
    rows = picked(event)
    return rows[-1] if rows else None


def picked(event: Mapping[str, Any] | None) -> list[int]:
    """The rows of all points in a chart's selection event; lines and rings have none."""
    points = event["selection"]["points"] if event else []
    found = [point["customdata"] for point in points if point.get("customdata") is not None]
    return [int(row[0] if isinstance(row, list | tuple) else row) for row in found]


def encircled(event: Mapping[str, Any] | None) -> bool:
    """Whether a selection event is of a lasso or a box, not of a click."""
    return bool(event) and any(event["selection"].get(tool) for tool in ("lasso", "box"))


def controls(points: Points) -> Choice:
    """Draws the controls above the map."""
    names = [*points.metadata, clusters.WANTED]
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        options: dict[str, Any] = {"key": COLOUR, "bind": "query-params", "format_func": _spaced}
        if len(names) <= 4:
            colour = st.segmented_control("Colour", names, default=names[0], required=True, **options)
        else:
            colour = st.selectbox("Colour", names, width=220, **options)
        drag = st.segmented_control(
            "Drag to", list(DRAGS), default="move", key="drag", bind="query-params", required=True,
            help="Click a point to read it. With lasso or box, drag around points to select them.",
        )  # fmt: skip
    return Choice(colour or names[0], DRAGS[drag])


def draw(source: Source, choice: Choice, drawn: Drawn, named: Named | None) -> None:
    """Draws the map with its note, takes clicks and lassos from it, and gives it as a figure."""
    points = source.points
    says = _says(points, drawn.let, named)
    parts.show(parts.note(says))
    colours = _colours(points, choice.colour, named)
    spot = None
    if drawn.own is not None:
        spot = (drawn.own.texts[0], place(drawn.own.embeddings, points.embeddings, points.coords)[0])
    data = MapData(
        points.texts, colours.groups, points.decoded or [""] * len(points), points.coords, spot, colours.numbers,
        _spaced(colours.name), REST,
    )  # fmt: skip
    visible = None if drawn.let is None else np.array(drawn.let, dtype=np.int64)
    at = drawn.at if drawn.at is None or drawn.at != OWN or spot is not None else None
    marks = Marks(at, drawn.neighbours, drawn.selected, visible, drawn.arrows)
    figure = neighbour_map(data, marks=marks, dark=state.is_dark())
    figure.update_layout(dragmode=choice.drag)
    st.plotly_chart(
        figure,
        width="stretch",
        key=CHART,
        on_select=lambda: take(st.session_state.get(CHART), source.key),
        selection_mode=("points", "box", "lasso"),
        alt=f"A map of {len(points):,} texts, coloured by {_spaced(colours.name)}.",
        config={"displaylogo": False, "scrollZoom": True, "modeBarButtonsToRemove": ["autoScale2d"]},
    )
    prints.figure_of(lambda: map_print(data, marks=marks, says=[says]), "map")


def take(event: Mapping[str, Any] | None, key: str) -> None:
    """A click looks at a point, a lasso or a box selects; the own text can be looked at only."""
    rows = picked(event)
    if encircled(event):
        selection.choose(key, [row for row in rows if row != OWN])
    elif rows:
        focus.look_at(rows[-1])


def _colours(points: Points, name: str, named: Named | None) -> Colouring:
    if name != clusters.WANTED:
        return colouring(name, points.metadata[name])
    return Colouring("cluster", [""] * len(points) if named is None else clusters.labels(named, len(points)))


def _says(points: Points, let: list[int] | None, named: Named | None) -> str:
    said = [points.says]
    if len(points) < points.total:
        said.append(f"Showing {len(points):,} of {points.total:,}, drawn at random.")
    if let is not None:
        said.append(f"The filter lets {len(let):,} of {len(points):,} through.")
    if named is not None and len(named.sample) < named.sample.total:
        said.append(f"Clusters are of {len(named.sample):,} texts, drawn at random.")
    return " ".join([*said, LAST])


def _spaced(name: str) -> str:
    return name.replace("_", " ")
