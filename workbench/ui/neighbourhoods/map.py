"""The map itself: how it is coloured, what is marked on it, and what it says of itself."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from workbench.atlas.named import Named
from workbench.atlas.points import Points
from workbench.atlas.projection import place
from workbench.decoding.trust import Readings
from workbench.figures.colouring import NONE, OTHER, Colouring, colouring
from workbench.figures.map import OWN, MapData, Marks, neighbour_map
from workbench.figures.prints.map import map_print
from workbench.ui import parts, prints, state
from workbench.ui.neighbourhoods import clusters, controls, selection
from workbench.ui.neighbourhoods.controls import Choice
from workbench.ui.neighbourhoods.source import Source

COLOUR, CHART = "colour", "map"
REST = (OTHER, NONE, clusters.SMALLER, clusters.OUTSIDE)
"""Groups without a colour."""
LAST = "Where map and list disagree, the list is right."


class Drawn(NamedTuple):
    """What is drawn on the map."""

    own: Readings | None
    at: int | None
    neighbours: list[int]
    selected: selection.Rows
    let: list[int] | None
    arrows: list[Any]


def choose(points: Points) -> Choice:
    """Draws the controls above the map."""
    help = "Click a point to read it. With lasso or box, drag around points to select them."
    return controls.choose([*points.metadata, clusters.WANTED], COLOUR, help)


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
        parts.spaced(colours.name), REST,
    )  # fmt: skip
    visible = None if drawn.let is None else np.array(drawn.let, dtype=np.int64)
    at = drawn.at if drawn.at is None or drawn.at != OWN or spot is not None else None
    marks = Marks(at, drawn.neighbours, drawn.selected, visible, drawn.arrows)
    figure = neighbour_map(data, marks=marks, dark=state.is_dark())
    alt = f"A map of {len(points):,} texts, coloured by {parts.spaced(colours.name)}."
    controls.chart(figure, choice.drag, CHART, source.key, alt)
    prints.figure_of(lambda: map_print(data, marks=marks, says=[says]), "map")


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
