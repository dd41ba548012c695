"""Attention as pictures: who may look at whom, who does, and where among layers and heads."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Bool, Float

from workbench.figures import palette

ROW_HEIGHT = 19
LABELLED = 120
"""Up to this many tokens the columns have labels and gaps; beyond, labels would overlap and gaps eat the cells."""


def mask_map(
    tokens: Sequence[str],
    allowed: Bool[np.ndarray, "t t"],
    rows: Sequence[int],
    *,
    special: Bool[np.ndarray, " t"],
    dark: bool = False,
) -> go.Figure:
    """The declared mask: a filled cell may be attended to. `rows` are the token numbers to show, top to bottom."""
    words = np.where(allowed[rows], "may look at", "may not look at")
    figure = _grid(
        tokens, allowed[rows] * 0.55, rows, "%{y} %{customdata} %{x}<extra></extra>", words, 1.0, dark
    )
    _divide(figure, special, rows)
    return figure


def weight_map(
    tokens: Sequence[str],
    weights: Float[np.ndarray, "t t"],
    rows: Sequence[int],
    *,
    special: Bool[np.ndarray, " t"],
    top: float | None = None,
    dark: bool = False,
) -> go.Figure:
    """Applied attention; the colour scale ends at `top`, by default the largest weight shown."""
    shown = weights[rows]
    words = np.array(
        [["under 0.001" if weight < 0.001 else f"{weight:.3f}" for weight in row] for row in shown]
    )
    top = top or float(shown.max(initial=0)) or 1.0
    figure = _grid(
        tokens, shown, rows, "%{y} → %{x}<br>weight %{customdata}<extra></extra>", words, top, dark
    )
    _divide(figure, special, rows)
    return figure


def head_map(
    shares: Float[np.ndarray, "layers heads"],
    *,
    focus: tuple[int | None, int | None] = (None, None),
    dark: bool = False,
) -> go.Figure:
    """One cell a head, layers from bottom to top; `focus` outlines a layer, a head, or one cell of both (from 0)."""
    layers, heads = shares.shape
    figure = go.Figure(
        go.Heatmap(
            z=shares,
            x=[f"head {head + 1}" for head in range(heads)],
            y=[f"layer {layer + 1}" for layer in range(layers)],
            zmin=0,
            zmax=1,
            colorscale=palette.sequential(dark),
            xgap=2,
            ygap=2,
            showscale=False,
            hovertemplate="%{y}, %{x}: %{z:.0%}<extra></extra>",
        )
    )
    if heads <= 12:
        _write_shares(figure, shares, dark)
    _outline(figure, focus, layers, heads, dark)
    figure.update_layout(
        **_bare(layers * 30 + 40),
        xaxis={"side": "top", "fixedrange": True, "ticks": ""},
        yaxis={"fixedrange": True, "ticks": ""},
    )
    return figure


def _grid(
    tokens: Sequence[str],
    values: np.ndarray,
    rows: Sequence[int],
    hover: str,
    words: np.ndarray,
    top: float,
    dark: bool,
) -> go.Figure:
    """A heat map over tokens; positions instead of labels are the axes' values, because tokens repeat."""
    names = [palette.label(token, 18, 1) for token in tokens]
    figure = go.Figure(
        go.Heatmap(
            z=values,
            x=list(range(len(tokens))),
            y=list(range(len(rows))),
            customdata=words,
            zmin=0,
            zmax=top,
            colorscale=palette.sequential(dark),
            xgap=1 if len(tokens) <= LABELLED else 0,
            ygap=1,
            showscale=False,
            hovertemplate=hover,
        )
    )
    font = {"family": "Source Code Pro, monospace", "size": 11}
    axis = {"tickfont": font, "fixedrange": True, "showgrid": False, "zeroline": False, "ticks": ""}
    figure.update_layout(
        **_bare(len(rows) * ROW_HEIGHT + 110),
        xaxis={**axis, "side": "top", "tickangle": -90, **_ticks(names if len(names) <= LABELLED else [])},
        yaxis={**axis, "autorange": "reversed", **_ticks([names[row] for row in rows])},
    )
    return figure


def _ticks(names: Sequence[str]) -> dict:
    return {"tickmode": "array", "tickvals": list(range(len(names))), "ticktext": list(names)}


def _divide(figure: go.Figure, special: np.ndarray, rows: Sequence[int]) -> None:
    """Thin lines between the text and the special tokens, on both axes."""
    line = {"color": palette.OKABE_ITO[5], "width": 1.5}
    for edge in np.flatnonzero(np.diff(special.astype(int))):
        figure.add_vline(x=edge + 0.5, line=line)
    for edge in np.flatnonzero(np.diff(special[list(rows)].astype(int))):
        figure.add_hline(y=edge + 0.5, line=line)


def _write_shares(figure: go.Figure, shares: np.ndarray, dark: bool) -> None:
    cells = [(layer, head, float(share)) for (layer, head), share in np.ndenumerate(shares)]
    figure.add_scatter(
        x=[f"head {head + 1}" for _, head, _ in cells],
        y=[f"layer {layer + 1}" for layer, _, _ in cells],
        text=[f"{share:.0%}" for _, _, share in cells],
        textfont={"color": [palette.ink_on(share, dark) for _, _, share in cells], "size": 12},
        mode="text",
        hoverinfo="skip",
        showlegend=False,
    )


def _outline(
    figure: go.Figure, focus: tuple[int | None, int | None], layers: int, heads: int, dark: bool
) -> None:
    layer, head = focus
    if layer is None and head is None:
        return
    box = {
        "x0": -0.5 if head is None else head - 0.5,
        "x1": heads - 0.5 if head is None else head + 0.5,
        "y0": -0.5 if layer is None else layer - 0.5,
        "y1": layers - 0.5 if layer is None else layer + 0.5,
    }
    figure.add_shape(type="rect", line={"color": palette.OKABE_ITO[5], "width": 3}, **box)


def _bare(height: int) -> dict:
    clear = "rgba(0,0,0,0)"
    return {
        "height": height,
        "margin": {"l": 0, "r": 0, "t": 0, "b": 0},
        "paper_bgcolor": clear,
        "plot_bgcolor": clear,
    }
