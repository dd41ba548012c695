"""Readings of lenses as pictures: layers x special tokens with the top token in each cell, and how far lenses agree.

Every result has two drawings: plotly to look at (`..._map`), matplotlib to print (`..._print`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from workbench.figures import palette
from workbench.lenses.agreement import Agreement
from workbench.lenses.reading import LensReading

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW_HEIGHT = 30
LONGEST = 11
"""Letters of a token that fit into a cell; the tooltips show all of it."""
OUTLINE = palette.OKABE_ITO[5]
"""Around cells whose word does not occur in the text."""


class Cell(NamedTuple):
    """A cell of the grid: its place (layers from below), what is written into it, and whether it is outlined."""

    row: int
    column: int
    token: str
    score: float
    novel: bool


def lens_map(readings: Sequence[LensReading], *, dark: bool = False) -> go.Figure:
    """A grid for each reading, one below the other: the last layer on top, colour is the score of the top token."""
    names, gap = [palette.label(title(reading), 80, 1) for reading in readings], 0.3 / (len(readings) + 2)
    figure = make_subplots(rows=len(readings), cols=1, subplot_titles=names, vertical_spacing=gap)
    for number, reading in enumerate(readings, 1):
        found = cells(reading)
        figure.add_trace(_heat(reading, dark), row=number, col=1)
        figure.add_trace(_letters(found, dark), row=number, col=1)
        for cell in found:
            if cell.novel:
                box = {"x0": cell.column - 0.46, "x1": cell.column + 0.46}
                box |= {"y0": cell.row - 0.44, "y1": cell.row + 0.44}
                line = {"color": OUTLINE, "width": 2}
                figure.add_shape(type="rect", line=line, row=number, col=1, **box)
        figure.update_xaxes(_ticks(reading.labels), row=number, col=1)
        figure.update_yaxes(_ticks([f"layer {layer}" for layer in reading.layers]), row=number, col=1)
    height = sum(len(reading.layers) * ROW_HEIGHT + 80 for reading in readings)
    _bare(figure, height, dark)
    return figure


def lens_print(readings: Sequence[LensReading]) -> Figure:
    """`lens_map` for paper."""
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.patches import Rectangle

    colours = LinearSegmentedColormap.from_list("workbench", [tuple(stop) for stop in palette.sequential()])
    tall = [len(reading.layers) * 0.24 + 0.6 for reading in readings]
    wide = 1.0 + 0.68 * max(len(reading.labels) for reading in readings)
    figure, places = _pages(wide, tall)
    for axes, reading in zip(places, readings, strict=True):
        axes.imshow(reading.scores[:, :, 0], cmap=colours, vmin=0, vmax=1, aspect="auto", origin="lower")
        for cell in cells(reading):
            shade = palette.ink_on(_share(cell.score))
            axes.text(cell.column, cell.row, _short(cell.token), ha="center", va="center", fontsize=6, color=shade,
                      parse_math=False)  # fmt: skip
            if cell.novel:
                corner = (cell.column - 0.46, cell.row - 0.44)
                axes.add_patch(Rectangle(corner, 0.92, 0.88, fill=False, edgecolor=OUTLINE, linewidth=1.2))
        axes.set_title(title(reading), fontsize=8, loc="left", color=palette.ink(), parse_math=False)
        axes.set_xticks(range(len(reading.labels)), reading.labels, fontsize=7)
        axes.set_yticks(
            range(len(reading.layers)), [f"layer {layer}" for layer in reading.layers], fontsize=7
        )
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    return figure


def agreement_map(found: Agreement, *, dark: bool = False) -> go.Figure:
    """The agreement of lenses by layer with its 95 % interval, beside the control."""
    layers = list(found.layers)
    figure = go.Figure()
    band = {"line": {"width": 0}, "hoverinfo": "skip", "showlegend": False, "mode": "lines"}
    figure.add_scatter(x=layers, y=found.high, **band)
    figure.add_scatter(x=layers, y=found.low, fill="tonexty", fillcolor="rgba(0,114,178,0.22)", **band)
    figure.add_scatter(
        x=layers,
        y=found.score,
        name="same special token",
        mode="lines+markers",
        line={"color": palette.colour(0, dark)},
        customdata=np.stack([found.low, found.high], axis=1),
        hovertemplate="layer %{x}: %{y:.2f} (%{customdata[0]:.2f} to %{customdata[1]:.2f})<extra></extra>",
    )
    figure.add_scatter(
        x=layers,
        y=found.control,
        name="another special token (control)",
        mode="lines+markers",
        line={"color": palette.colour(6, dark), "dash": "dash"},
        hovertemplate="layer %{x}: %{y:.2f}<extra></extra>",
    )
    _bare(figure, 320, dark)
    figure.update_xaxes(title="layer", dtick=1)
    figure.update_yaxes(title=f"overlap of the top {found.k}", rangemode="tozero")
    figure.update_layout(showlegend=True, legend={"orientation": "h", "y": 1.1})
    return figure


def agreement_print(found: Agreement) -> Figure:
    """`agreement_map` for paper."""
    figure, [axes] = _pages(3.6, [2.4])
    blue, grey = palette.colour(0), palette.colour(6)
    axes.fill_between(found.layers, found.low, found.high, color=blue, alpha=0.22, linewidth=0)
    axes.plot(found.layers, found.score, "o-", color=blue, markersize=3, label="same special token")
    axes.plot(found.layers, found.control, "o--", color=grey, markersize=3, label="another one (control)")
    axes.set_xticks(found.layers)
    axes.set_xlabel("layer", fontsize=8)
    axes.set_ylabel(f"overlap of the top {found.k}", fontsize=8)
    axes.set_ylim(bottom=0)
    axes.tick_params(labelsize=7)
    axes.legend(fontsize=7, frameon=False)
    return figure


def cells(reading: LensReading) -> list[Cell]:
    """Every cell's top token, the first layer first."""
    return [
        Cell(
            row, column, ranks[0], float(reading.scores[row, column, 0]), bool(reading.novel[row, column, 0])
        )
        for row, layer in enumerate(reading.tokens)
        for column, ranks in enumerate(layer)
    ]


def title(reading: LensReading) -> str:
    """What stands above a grid."""
    return f"{reading.lens} lens ({reading.score_name})"


def _heat(reading: LensReading, dark: bool) -> go.Heatmap:
    words = [
        [
            "<br>".join(
                f"{palette.label(token, 40, 1)} {score:.3f}"
                for token, score in zip(ranks, scores, strict=True)
            )
            for ranks, scores in zip(layer, row, strict=True)
        ]
        for layer, row in zip(reading.tokens, reading.scores.tolist(), strict=True)
    ]
    return go.Heatmap(
        z=reading.scores[:, :, 0],
        customdata=words,
        zmin=0,
        zmax=1,
        colorscale=palette.sequential(dark),
        xgap=2,
        ygap=2,
        showscale=False,
        hovertemplate="%{customdata}<extra></extra>",
    )


def _letters(found: Sequence[Cell], dark: bool) -> go.Scatter:
    return go.Scatter(
        x=[cell.column for cell in found],
        y=[cell.row for cell in found],
        text=[palette.label(_short(cell.token), LONGEST + 1, 1) for cell in found],
        textfont={"color": [palette.ink_on(_share(cell.score), dark) for cell in found], "size": 11},
        mode="text",
        hoverinfo="skip",
        showlegend=False,
    )


def _short(token: str) -> str:
    return token if len(token) <= LONGEST else f"{token[: LONGEST - 1]}…"


def _share(score: float) -> float:
    return min(max(score, 0.0), 1.0)


def _ticks(names: Sequence[str]) -> dict:
    values = list(range(len(names)))
    quiet = {"fixedrange": True, "showgrid": False, "zeroline": False, "ticks": ""}
    return {**quiet, "tickmode": "array", "tickvals": values, "ticktext": list(names)}


def _bare(figure: go.Figure, height: int, dark: bool) -> None:
    clear = "rgba(0,0,0,0)"
    figure.update_layout(
        height=height, margin={"l": 0, "r": 0, "t": 40, "b": 0}, paper_bgcolor=clear, plot_bgcolor=clear,
        font={"color": palette.ink(dark)}, showlegend=False,
    )  # fmt: skip


def _pages(wide: float, tall: Sequence[float]) -> tuple[Figure, list[Axes]]:
    """A figure of panels one below the other, outside pyplot: nothing global is kept."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(wide, sum(tall)), layout="constrained")
    places = figure.subplots(len(tall), 1, squeeze=False, height_ratios=list(tall))
    return figure, list(places[:, 0])
