"""The map of many texts: one point a text, coloured by group, with one point's neighbours shown."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float

from workbench.figures import palette

OWN = -1
"""The row number of the user's own text."""
WEBGL_FROM = 4000


@dataclass(frozen=True)
class MapData:
    """What is drawn; row i of everything belongs to point i."""

    texts: Sequence[str]
    groups: Sequence[str]
    decoded: Sequence[str]
    coords: Float[np.ndarray, "n 2"]
    own: tuple[str, Float[np.ndarray, " 2"]] | None = None
    """The user's own text and its place."""

    def at(self, row: int) -> Float[np.ndarray, " 2"]:
        """The place of a row, or of the user's own text (`OWN`)."""
        return self.own[1] if row == OWN and self.own is not None else self.coords[row]


def neighbour_map(
    data: MapData, *, focus: int | None = None, neighbours: Sequence[int] = (), dark: bool = False
) -> go.Figure:
    """A scatter plot; `focus` is ringed and joined to `neighbours` by lines. A point's customdata is its row."""
    figure = go.Figure()
    for number, group in enumerate(palette.groups(data.groups)):
        figure.add_trace(_points(data, group, number, dark))
    if focus is not None:
        _add_neighbourhood(figure, data, focus, neighbours, dark)
    if data.own is not None:
        _add_own(figure, data.own, dark)
    _lay_out(figure, data, dark)
    return figure


def _points(data: MapData, group: str, number: int, dark: bool) -> go.Scatter | go.Scattergl:
    rows = [row for row, name in enumerate(data.groups) if name == group]
    kind = go.Scattergl if len(data.texts) >= WEBGL_FROM else go.Scatter
    marker = {
        "color": palette.colour(number, dark),
        "symbol": palette.symbol(number),
        "size": 9,
        "opacity": 0.9,
        "line": {"width": 0.8, "color": palette.ground(dark)},
    }
    return kind(
        x=data.coords[rows, 0],
        y=data.coords[rows, 1],
        mode="markers",
        name=palette.label(group.replace("_", " ") or "no group", 24, 1),
        customdata=rows,
        text=[_hover(data, row) for row in rows],
        hovertemplate="%{text}<extra>%{fullData.name}</extra>",
        marker=marker,
        selected={"marker": {"opacity": marker["opacity"]}},
        unselected={"marker": {"opacity": marker["opacity"]}},
    )


def _hover(data: MapData, row: int) -> str:
    decoded = f"<br>→ {palette.label(data.decoded[row])}" if data.decoded[row] else ""
    return f"<b>{palette.label(data.texts[row])}</b>{decoded}"


def _add_neighbourhood(figure: go.Figure, data: MapData, focus: int, rows: Sequence[int], dark: bool) -> None:
    centre = data.at(focus)
    path = np.array([point for row in rows for point in (centre, data.coords[row], (np.nan, np.nan))])
    if len(path):
        line = {"color": palette.ink(dark), "width": 1}
        figure.add_scatter(
            x=path[:, 0],
            y=path[:, 1],
            mode="lines",
            line=line,
            opacity=0.45,
            hoverinfo="skip",
            showlegend=False,
        )
    rings = [(focus, 20, 2.5), *((row, 14, 1.2) for row in rows)]
    figure.add_scatter(
        x=[data.at(row)[0] for row, _, _ in rings],
        y=[data.at(row)[1] for row, _, _ in rings],
        mode="markers",
        marker={
            "symbol": "circle-open",
            "size": [size for _, size, _ in rings],
            "color": palette.ink(dark),
            "line": {"width": [width for _, _, width in rings]},
        },
        hoverinfo="skip",
        showlegend=False,
    )


def _add_own(figure: go.Figure, own: tuple[str, np.ndarray], dark: bool) -> None:
    text, place = own
    figure.add_scatter(
        x=[place[0]],
        y=[place[1]],
        mode="markers+text",
        name="your text",
        customdata=[OWN],
        text=["<b>your text</b>"],
        textposition="top center",
        textfont={"color": palette.ink(dark), "size": 13},
        hovertext=[f"<b>{palette.label(text)}</b>"],
        hovertemplate="%{hovertext}<extra>your text</extra>",
        marker={
            "symbol": "star",
            "size": 19,
            "color": palette.ink(dark),
            "line": {"width": 1, "color": palette.ground(dark)},
        },
        showlegend=False,
        selected={"marker": {"opacity": 1}},
        unselected={"marker": {"opacity": 1}},
    )


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
