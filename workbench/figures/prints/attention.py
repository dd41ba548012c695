"""Attention for paper: the declared mask beside the weights that are applied, and every head's share on the text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from workbench.figures import palette
from workbench.figures.paper import style
from workbench.figures.paper.gem_mask import PARTS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from workbench.lenses.attention import SpecialAttention

CELL = 0.115
"""Inches that a token's name needs."""
LEAST, MOST = 2.2, 5.2
"""Inches that a panel of few tokens, and one of many, is wide."""
BESIDE = 2.4
"""Up to so many inches two panels stand beside each other."""
WRITTEN = 12
"""Up to this many heads their shares are written into the cells."""


class Shown(NamedTuple):
    """The tokens of both panels: all are looked at, and those of `rows` look."""

    tokens: list[str]
    special: Bool[np.ndarray, " t"]
    rows: list[int]


def attention_print(
    seen: SpecialAttention, layer: int | None = None, head: int | None = None, *, whole: bool = False
) -> Figure:
    """`mask_map` and `weight_map` for paper: of one layer and head (from 0), or their means.

    The special tokens' rows are shown, and what stands behind them; with `whole` the text's own too. The colours leave
    the first token out. Above 5 inches of tokens their columns lose their names, and the three parts are named.
    """
    rows = list(range(len(seen.tokens))) if whole else np.flatnonzero(~seen.is_prefix).tolist()
    shown = Shown([style.one_line(token, 14) for token in seen.tokens], seen.is_special, rows)
    applied = seen.weights_of(layer, head)[rows]
    top = float(applied[:, 1:].max(initial=0)) or 1.0
    wide = min(max(len(seen.tokens) * CELL, LEAST), MOST)
    beside = wide <= BESIDE
    tall = len(rows) * CELL + 0.95
    with style.applied():
        figure = style.sheet(2 * wide + 1.5 if beside else wide + 1.2, tall if beside else 2 * tall)
        panels = figure.subplots(1 if beside else 2, 2 if beside else 1, sharey=beside)
        # Half strength says "may look": the full one stands for the largest weight in the other panel.
        style.cells(panels[0], np.where(seen.declared[rows], 0.5, 0.0), top=1.0)
        mesh = style.cells(panels[1], applied, top=top)
        for axes in panels:
            _mark(axes, shown, named=len(seen.tokens) * CELL <= MOST)
        style.panel_letters(panels, ["declared: may look at", "applied: looks at"], pad=14.0)
        where = (_where(layer, seen.layers, "layer"), _where(head, seen.heads, "head"))
        panels[1].set_xlabel(", ".join(where), color=palette.muted())
        beyond: Any = "max" if float(applied.max(initial=0)) > top else "neither"
        bar = figure.colorbar(mesh, ax=list(panels), shrink=0.6, pad=0.02, aspect=25, extend=beyond)
        bar.set_label("weight")
        bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    return figure


def head_print(shares: Float[np.ndarray, "layers heads"]) -> Figure:
    """`head_map` for paper: a cell for each head, the last layer on top."""
    layers, heads = shares.shape
    with style.applied():
        figure = style.sheet(min(1.4 + 0.42 * heads, 6.3), 0.7 + 0.2 * layers)
        axes = figure.add_subplot()
        mesh = style.cells(axes, shares[::-1], top=1.0)
        axes.set_xticks(range(heads), [str(head + 1) for head in range(heads)])
        axes.set_yticks(range(layers), [f"layer {layer}" for layer in range(layers, 0, -1)])
        axes.set_xlabel("head")
        if heads <= WRITTEN:
            for (layer, head), share in np.ndenumerate(shares[::-1]):
                axes.text(head, layer, f"{share:.0%}", ha="center", va="center", fontsize=style.SMALLEST,
                          color=palette.ink_on(float(share)))  # fmt: skip
        bar = figure.colorbar(mesh, ax=axes, pad=0.02, aspect=15, ticks=[0, 0.5, 1])
        bar.ax.set_yticklabels(["0%", "50%", "100%"])
        bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    return figure


def _mark(axes: Axes, shown: Shown, named: bool) -> None:
    """Lines between the text, the special tokens and the suffix, the columns' parts, and the names of the tokens."""
    line: dict[str, Any] = {"color": palette.OKABE_ITO[5], "linewidth": 0.8}
    columns = _edges(shown.special)
    for edge in columns:
        axes.axvline(edge, **line)
    for edge in _edges(shown.special[shown.rows]):
        axes.axhline(edge, **line)
    axes.set_aspect("auto")
    ends = np.array([-0.5, *columns, len(shown.tokens) - 0.5])
    for low, high, part in zip(ends, ends[1:], PARTS, strict=False):
        axes.text((low + high) / 2, -0.7, part if high - low > 4 else part.split()[0], ha="center", va="bottom",
                  color=palette.OKABE_ITO[5], fontsize=style.SMALLEST)  # fmt: skip
    axes.set_yticks(
        range(len(shown.rows)), [shown.tokens[row] for row in shown.rows], fontsize=style.SMALLEST
    )
    names = shown.tokens if named else []
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=style.SMALLEST)


def _edges(special: np.ndarray) -> np.ndarray:
    return np.flatnonzero(np.diff(special.astype(int))) + 0.5


def _where(chosen: int | None, count: int, what: str) -> str:
    return f"mean of {count} {what}s" if chosen is None else f"{what} {chosen + 1}"
