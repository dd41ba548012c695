"""The map of many texts: one point a text, coloured by group or number, with what was looked at drawn on top."""

import html
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float, Int

from workbench.figures import map_marks, palette

OWN = -1
"""The row number of the user's own text."""
WEBGL_FROM = 4000
"""From so many points on they are drawn by WebGL, smaller, and their labels are short."""
DIMMED = 0.16


@dataclass(frozen=True)
class MapData:
    """What is drawn; row i of everything belongs to point i."""

    texts: Sequence[str]
    groups: Sequence[str]
    decoded: Sequence[str]
    coords: Float[np.ndarray, "n 2"]
    own: tuple[str, Float[np.ndarray, " 2"]] | None = None
    """The user's own text and its place."""
    numbers: Float[np.ndarray, " n"] | None = None
    """Numbers to colour by in the place of the groups, NaN where there is none."""
    name: str = ""
    """What the numbers are."""
    rest: Sequence[str] = ()
    """Groups that are none: what is left over has no colour, and stands behind the others."""

    def at(self, row: int) -> Float[np.ndarray, " 2"]:
        """The place of a row, or of the user's own text (`OWN`)."""
        return self.own[1] if row == OWN and self.own is not None else self.coords[row]


@dataclass(frozen=True)
class Marks:
    """What is drawn on top of the points."""

    focus: int | None = None
    """The row that is ringed."""
    neighbours: Sequence[int] = ()
    """Rows that are joined to it by lines."""
    selected: Sequence[int] = ()
    """Rows that stand out: where there are some, the others are dimmed."""
    visible: Int[np.ndarray, " m"] | None = None
    """The rows that are drawn; None = all."""
    arrows: Sequence[tuple[str, str, Float[np.ndarray, " 2"]]] = field(default_factory=list)
    """Places joined by arrows in this order: (name, text, place)."""


def neighbour_map(
    data: MapData,
    *,
    focus: int | None = None,
    neighbours: Sequence[int] = (),
    marks: Marks | None = None,
    dark: bool = False,
) -> go.Figure:
    """A scatter plot with `marks`, or with `focus` and `neighbours` alone. A point's customdata is its row."""
    marks = marks or Marks(focus, neighbours)
    figure = go.Figure()
    rows = np.arange(len(data.texts)) if marks.visible is None else np.asarray(marks.visible)
    if data.numbers is not None:
        _add_numbers(figure, data, rows, marks, dark)
    else:
        _add_groups(figure, data, rows, marks, dark)
    if marks.focus is not None:
        map_marks.add_neighbourhood(figure, data.at(marks.focus), data.coords[list(marks.neighbours)], dark)
    if data.own is not None:
        map_marks.add_own(figure, data.own, OWN, dark)
    map_marks.add_arrows(figure, marks.arrows, dark)
    _lay_out(figure, data, dark)
    return figure


def _add_groups(figure: go.Figure, data: MapData, rows: np.ndarray, marks: Marks, dark: bool) -> None:
    """One trace a group; colours are decided by all points, not by those that are drawn."""
    groups = np.asarray(data.groups, dtype=object)
    coloured = [group for group in palette.groups(data.groups) if group not in data.rest]
    plain = {"color": palette.muted(dark), "symbol": "circle-open", "line": {"width": 1}}
    styles = dict.fromkeys(data.rest, plain) | {
        group: {"color": palette.colour(number, dark), "symbol": palette.symbol(number)}
        for number, group in enumerate(coloured)
    }
    for rank, (group, style) in enumerate(styles.items()):
        mine = rows[groups[rows] == group]
        name = palette.label(group.replace("_", " ") or "no group", 24, 1)
        if len(mine):
            figure.add_trace(_points(data, mine, name, style, marks, dark))
            figure.data[-1].legendrank = 2000 if group in data.rest else 1000 + rank


def _add_numbers(figure: go.Figure, data: MapData, rows: np.ndarray, marks: Marks, dark: bool) -> None:
    """One trace on a colour scale, and one in grey for the points that have no number."""
    assert data.numbers is not None
    has = np.isfinite(data.numbers[rows])
    for mine, name in ((rows[~has], "none"), (rows[has], data.name)):
        if not len(mine):
            continue
        style: dict = {"color": palette.muted(dark)}
        if name == data.name:
            title = {"text": palette.label(data.name, 24, 1), "side": "right"}
            bar = {"thickness": 10, "len": 0.5, "y": 0.98, "yanchor": "top", "x": 1, "title": title}
            bar["tickfont"] = {"color": palette.muted(dark)}
            style = {
                "color": data.numbers[mine].astype(np.float32),
                "colorscale": palette.ramp(dark),
                "colorbar": bar,
            }
        figure.add_trace(_points(data, mine, palette.label(name, 24, 1), style, marks, dark))
    figure.update_layout(showlegend=bool((~has).any()))


def _points(
    data: MapData, rows: np.ndarray, name: str, style: dict, marks: Marks, dark: bool
) -> go.Scatter | go.Scattergl:
    many = len(data.texts) >= WEBGL_FROM
    edge = {"width": 0 if many else 0.8, "color": palette.ground(dark)}
    marker = {"size": 5 if many else 9, "opacity": 0.8 if many else 0.9, "line": edge, **style}
    shown = {"marker": {"opacity": marker["opacity"]}}
    chosen = np.flatnonzero(np.isin(rows, np.asarray(marks.selected, dtype=np.int64)))
    return (go.Scattergl if many else go.Scatter)(
        x=data.coords[rows, 0],
        y=data.coords[rows, 1],
        mode="markers",
        name=name,
        customdata=rows.astype(np.int32),
        text=[_short(str(data.texts[row])) if many else _hover(data, row) for row in rows.tolist()],
        hovertemplate="%{text}<extra>%{fullData.name}</extra>",
        marker=marker,
        selectedpoints=chosen if len(marks.selected) else None,
        selected=shown,
        unselected={"marker": {"opacity": DIMMED}} if len(marks.selected) else shown,
    )


def _hover(data: MapData, row: int) -> str:
    decoded = f"<br>→ {palette.label(data.decoded[row])}" if data.decoded[row] else ""
    return f"<b>{palette.label(data.texts[row])}</b>{decoded}"


def _short(text: str) -> str:
    """One line of a text, quickly: wrapping tens of thousands of them takes seconds."""
    line = " ".join(text[:96].split())
    return html.escape(line if len(line) <= 44 else line[:43] + "…")


def _lay_out(figure: go.Figure, data: MapData, dark: bool) -> None:
    low, high = (data.coords.min(0), data.coords.max(0)) if len(data.coords) else (-np.ones(2), np.ones(2))
    x, y = ([float(a) - 0.08, float(b) + 0.08] for a, b in zip(low, high, strict=True))
    figure.update_layout(
        height=570,
        uirevision="map",
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        xaxis={"visible": False, "range": x},
        yaxis={"visible": False, "range": y, "scaleanchor": "x"},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        clickmode="event+select",
        dragmode="pan",
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": palette.muted(dark), "activecolor": palette.ink(dark)},
        hoverlabel={"align": "left", "bgcolor": palette.ground(dark), "font": {"color": palette.ink(dark), "size": 13}},
        legend={
            "orientation": "h", "y": -0.01, "yanchor": "top", "x": 0, "itemsizing": "constant",
            "font": {"size": 12, "color": palette.muted(dark)},
        },
    )  # fmt: skip
