"""What causes the decoded tokens as pictures: maps, what feeds the special tokens, patches, and their verification.

Every result has two drawings: plotly to look at (`..._map`), matplotlib to print (`..._print`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float

from workbench.figures import palette
from workbench.lenses.attention_flow import AttentionFlow
from workbench.lenses.attribution_map import AttributionMap
from workbench.lenses.patching import PatchReading
from workbench.lenses.verification import Verification

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW_HEIGHT = 22
LABELLED = 120
"""Up to this many columns carry labels; beyond, they would overlap and only the tooltips name them."""
UNIT = "log-probability lost without it"


class Grid(NamedTuple):
    """A heat map: what both kinds of drawing show."""

    values: Float[np.ndarray, "rows columns"]
    rows: Sequence[str]
    columns: Sequence[str]
    unit: str
    around_zero: bool
    """Whether the colour scale has two sides."""
    cells: Sequence[Sequence[str]] | None = None
    """What is written into the cells."""

    @property
    def top(self) -> float:
        """The end of the colour scale."""
        return float(np.nanmax(np.abs(self.values), initial=0)) or 1.0


def attribution_map(found: AttributionMap, *, dark: bool = False) -> go.Figure:
    """Special tokens or words by decoded tokens: blue where the row helped, orange where it stood in the way."""
    return _heat(_of_map(found), dark)


def attribution_print(found: AttributionMap) -> Figure:
    """`attribution_map` for paper."""
    return _printed(_of_map(found))


def flow_map(
    flow: AttentionFlow, what: Literal["attention", "rollout"] = "attention", *, dark: bool = False
) -> go.Figure:
    """Special tokens by the words of the text that feed them."""
    return _heat(_of_flow(flow, what), dark)


def flow_print(flow: AttentionFlow, what: Literal["attention", "rollout"] = "attention") -> Figure:
    """`flow_map` for paper."""
    return _printed(_of_flow(flow, what))


def patch_map(reading: PatchReading, *, dark: bool = False) -> go.Figure:
    """The tokens of both answers, blue where the patch made them likelier."""
    return _heat(_of_patch(reading), dark)


def patch_print(reading: PatchReading) -> Figure:
    """`patch_map` for paper."""
    return _printed(_of_patch(reading))


def verification_map(found: Verification, *, dark: bool = False) -> go.Figure:
    """Every effect as a point: predicted to the right, real upwards."""
    names = [f"{label} → {token}" for label, token in zip(found.label, found.token, strict=True)]
    points = go.Scattergl(
        x=found.predicted,
        y=found.real,
        mode="markers",
        marker={"color": palette.colour(0, dark), "size": 6, "opacity": 0.5},
        text=[palette.label(name) for name in names],
        hovertemplate="%{text}<br>predicted %{x:.2f}, real %{y:.2f}<extra></extra>",
    )
    figure = go.Figure(points)
    axis = {
        "zerolinecolor": palette.muted(dark),
        "gridcolor": "rgba(128,128,128,0.2)",
        "color": palette.ink(dark),
    }
    figure.update_layout(
        **_bare(420),
        title={"text": palette.label(found.line(), 90), "font": {"size": 13, "color": palette.ink(dark)}},
        xaxis={**axis, "title": f"predicted: {found.predicted_by}"},
        yaxis={**axis, "title": f"real: {found.intervention}"},
    )
    figure.update_layout(margin={"l": 60, "r": 10, "t": 60, "b": 50})
    return figure


def verification_print(found: Verification) -> Figure:
    """`verification_map` for paper."""
    figure, axes = _page(5.0, 4.2)
    axes.scatter(found.predicted, found.real, s=9, alpha=0.5, color=palette.colour(0), linewidths=0)
    axes.axhline(0, color=palette.muted(), linewidth=0.6)
    axes.axvline(0, color=palette.muted(), linewidth=0.6)
    axes.set_xlabel(f"predicted: {found.predicted_by}")
    axes.set_ylabel(f"real: {found.intervention}")
    axes.set_title(found.line().replace("; ", "\n"), fontsize=8)
    return figure


def _of_map(found: AttributionMap) -> Grid:
    return Grid(found.values, found.labels, found.tokens, UNIT, True)


def _of_flow(flow: AttentionFlow, what: Literal["attention", "rollout"]) -> Grid:
    return Grid(flow.fed_by(what), flow.labels, flow.words.labels, f"share of {what}", False)


def _of_patch(reading: PatchReading) -> Grid:
    """Two rows of different lengths; where the shorter one has ended, there is no number."""
    width = max(len(reading.target_tokens), len(reading.source_tokens))
    values, cells = np.full((2, width), np.nan, np.float32), [[""] * width, [""] * width]
    sides = ((reading.target_tokens, reading.target_change), (reading.source_tokens, reading.source_change))
    for row, (tokens, change) in enumerate(sides):
        values[row, : len(tokens)] = change
        cells[row][: len(tokens)] = tokens
    columns = [str(place) for place in range(1, width + 1)]
    return Grid(
        values, ["target's answer", "source's answer"], columns, "change of log-probability", True, cells
    )


def _heat(grid: Grid, dark: bool) -> go.Figure:
    """Positions instead of labels are the axes' values, because tokens repeat."""
    rows, columns = ([palette.label(name, 18, 1) for name in names] for names in (grid.rows, grid.columns))
    named = [[f"{row} → {column}" for column in columns] for row in rows]
    cells = grid.cells or [[""] * len(columns)] * len(rows)
    trace = go.Heatmap(
        z=grid.values,
        x=list(range(len(columns))),
        y=list(range(len(rows))),
        customdata=named,
        text=[[palette.label(cell, 12, 1) for cell in row] for row in cells],
        texttemplate="%{text}" if grid.cells else None,
        zmin=-grid.top if grid.around_zero else 0,
        zmax=grid.top,
        colorscale=palette.diverging(dark) if grid.around_zero else palette.sequential(dark),
        colorbar={
            "title": {"text": grid.unit, "side": "right"},
            "thickness": 10,
            "tickfont": {"color": palette.ink(dark)},
        },
        xgap=1,
        ygap=1,
        hoverongaps=False,
        hovertemplate="%{customdata}<br>" + grid.unit + " %{z:+.3f}<extra></extra>",
    )
    figure = go.Figure(trace)
    font = {"family": "Source Code Pro, monospace", "size": 11, "color": palette.ink(dark)}
    axis = {"tickfont": font, "fixedrange": True, "showgrid": False, "zeroline": False, "ticks": ""}
    shown = columns if len(columns) <= LABELLED else []
    figure.update_layout(
        **_bare(len(rows) * ROW_HEIGHT + 140),
        font={"color": palette.ink(dark)},
        xaxis={**axis, "side": "top", "tickangle": -90, **_ticks(shown)},
        yaxis={**axis, "autorange": "reversed", **_ticks(rows)},
    )
    return figure


def _ticks(names: Sequence[str]) -> dict[str, Any]:
    return {"tickmode": "array", "tickvals": list(range(len(names))), "ticktext": list(names)}


def _bare(height: int) -> dict[str, Any]:
    clear = "rgba(0,0,0,0)"
    margin = {"l": 0, "r": 0, "t": 0, "b": 0}
    return {"height": height, "margin": margin, "paper_bgcolor": clear, "plot_bgcolor": clear}


class _Page(NamedTuple):
    figure: Figure
    axes: Axes


def _page(width: float, height: float) -> _Page:
    """An empty figure of so many inches, of nobody's global state."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return _Page(figure, figure.add_subplot())


def _printed(grid: Grid) -> Figure:
    from matplotlib.colors import LinearSegmentedColormap

    stops = palette.diverging() if grid.around_zero else palette.sequential()
    colours = LinearSegmentedColormap.from_list("workbench", [tuple(stop) for stop in stops])
    figure, axes = _page(1.6 + 0.26 * len(grid.columns), 1.2 + 0.24 * len(grid.rows))
    low = -grid.top if grid.around_zero else 0.0
    picture = axes.imshow(
        grid.values, cmap=colours, vmin=low, vmax=grid.top, aspect="auto", interpolation="nearest"
    )
    if len(grid.columns) <= LABELLED:
        axes.set_xticks(
            range(len(grid.columns)), list(grid.columns), rotation=90, fontsize=7, parse_math=False
        )
    axes.set_yticks(range(len(grid.rows)), list(grid.rows), fontsize=7, parse_math=False)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    for row, cells in enumerate(grid.cells or []):
        for column, cell in enumerate(cells):
            strong = abs(float(np.nan_to_num(grid.values[row, column]))) > 0.5 * grid.top
            colour = "#FFFFFF" if strong else palette.ink()
            axes.text(column, row, cell, ha="center", va="center", fontsize=5, color=colour, parse_math=False)
    figure.colorbar(picture, ax=axes, shrink=0.8, pad=0.01).set_label(grid.unit, fontsize=7)
    return figure
