"""Two maps of the same texts beside each other, and how a training run comes near its last step."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float

from workbench.figures import palette
from workbench.figures.map import MapData, Marks, neighbour_map

HEIGHT = 500
GAP = 0.03
"""Between the maps, as a share of the figure's width."""
MARGIN = 0.1
"""Around the points, as a share of the map's size."""


def pair_map(
    left: tuple[str, MapData, Marks],
    right: tuple[str, MapData, Marks],
    *,
    around: Float[np.ndarray, "m 2"] | None = None,
    dark: bool = False,
) -> go.Figure:
    """Two maps, each (title, data, marks) with one legend, that pan and zoom together; customdata is a row.

    Both show the same part of the plane: all points of both, or all of `around`.
    """
    figure = neighbour_map(left[1], marks=left[2], dark=dark)
    figure.for_each_trace(lambda trace: trace.update(legendgroup=trace.name))
    if left[1].numbers is not None:  # one scale for both, beside the right one
        figure.update_traces(marker_showscale=False, selector={"mode": "markers"})
    other = neighbour_map(right[1], marks=right[2], dark=dark)
    other.for_each_trace(
        lambda trace: trace.update(xaxis="x2", yaxis="y2", showlegend=False, legendgroup=trace.name)
    )
    figure.add_traces(other.data)
    places = np.concatenate([left[1].coords, right[1].coords]) if around is None else around
    _lay_out(figure, places)
    for side, (title, _, _) in enumerate((left, right)):
        figure.add_annotation(
            text=f"<b>{palette.label(title, 56, 1)}</b>", x=side * (0.5 + GAP / 2), y=1, xref="paper", yref="paper",
            xanchor="left", yanchor="bottom", showarrow=False, font={"size": 14, "color": palette.ink(dark)},
        )  # fmt: skip
    return figure


def approach_chart(
    steps: Sequence[int],
    overlaps: Sequence[float],
    residuals: Sequence[float],
    *,
    chance: float,
    shuffled: Sequence[float],
    marked: Sequence[int] = (),
    dark: bool = False,
) -> go.Figure:
    """Two lines over the steps of a run, both from 0 to 1: the neighbours shared with the last step, and the residual.

    Beside each, dotted, what texts paired at random reach: `chance` of the neighbours, and `shuffled` residuals. The
    `marked` steps are upright lines.
    """
    figure = go.Figure()
    lines = (
        ("neighbours shared", overlaps, [chance] * len(steps)),
        ("residual", residuals, shuffled),
    )
    for number, (name, values, others) in enumerate(lines):
        line = {"color": palette.colour(number, dark), "width": 2.5}
        figure.add_scatter(
            x=list(steps), y=list(values), mode="lines+markers", name=name, marker={"size": 6}, line=line,
            hovertemplate="%{y:.2f}",
        )  # fmt: skip
        figure.add_scatter(
            x=list(steps), y=list(others), mode="lines", name=f"{name}, at random", showlegend=False,
            line={**line, "width": 1.5, "dash": "dot"}, hovertemplate="%{y:.2f}",
        )  # fmt: skip
    for step in dict.fromkeys(marked):
        figure.add_vline(x=step, line={"color": palette.ink(dark), "width": 1})
    _dress(figure, dark)
    return figure


def _dress(figure: go.Figure, dark: bool) -> None:
    """Axes, legend and grounds of a chart over steps."""
    axis = {
        "gridcolor": "rgba(128,128,128,.22)",
        "zeroline": False,
        "tickfont": {"color": palette.muted(dark), "size": 12},
        "title": {"font": {"color": palette.muted(dark), "size": 13}},
    }
    figure.update_xaxes(**axis, title_text="step", separatethousands=True)
    figure.update_yaxes(**axis, range=[-0.03, 1.05], nticks=5)
    figure.update_layout(
        height=210,
        uirevision="approach",
        margin={"l": 0, "r": 0, "t": 24, "b": 0},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        hovermode="x unified",
        hoverlabel={"bgcolor": palette.ground(dark), "font": {"color": palette.ink(dark), "size": 13}},
        legend={
            "orientation": "h", "y": 1, "yanchor": "bottom", "x": 0,
            "font": {"size": 13, "color": palette.ink(dark)},
        },
    )  # fmt: skip


def _lay_out(figure: go.Figure, places: np.ndarray) -> None:
    low, high = places.min(0), places.max(0)
    edge = MARGIN * float(max((high - low).max(), 1e-6))
    x, y = ([float(a) - edge, float(b) + edge] for a, b in zip(low, high, strict=True))
    half = (1 - GAP) / 2
    plain = {"visible": False, "fixedrange": False}
    figure.update_layout(
        height=HEIGHT,
        margin={"t": 28},
        xaxis={**plain, "range": x, "domain": [0, half]},
        yaxis={**plain, "range": y, "scaleanchor": "x"},
        xaxis2={**plain, "range": x, "domain": [1 - half, 1], "anchor": "y2", "matches": "x"},
        yaxis2={**plain, "range": y, "anchor": "x2", "matches": "y"},
    )
