"""GEM's attention mask as declared, beside the attention that is applied."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.figures import palette
from workbench.figures.paper import style
from workbench.figures.paper.figure import PaperFigure
from workbench.figures.paper.needs import Many, Maybe, OneOf

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NEEDS = {
    "tokens": Many(str, "t"),
    "special": Many(OneOf((0, 1)), "t"),
    "declared": Many(Many(float, "t"), "t"),
    "applied": Many(Many(Maybe(float), "t"), "t"),
}
PARTS = ("text", "special tokens", "suffix")


def draw(results: dict[str, Any], width: float) -> Figure:
    """Two panels: tokens by tokens, rows look and columns are looked at."""
    data = results["data"]
    tokens, special = data["tokens"], np.array(data["special"], dtype=bool)
    declared, applied = np.array(data["declared"], dtype=float), np.array(data["applied"], dtype=float)
    narrow = width < style.NARROW
    side = width - 1.05 if narrow else (width - 1.35) / 2
    figure = style.sheet(width, 2 * side + 1.0 if narrow else side + 1.0)
    panels = figure.subplots(2 if narrow else 1, 1 if narrow else 2, sharey=not narrow)
    named = len(tokens) * style.SMALLEST <= side * 72
    # Half strength says "may look": the full one stands for a weight of 1 in the other panel.
    style.cells(panels[0], np.where(declared > 0, 0.5, 0.0), top=1.0)
    mesh = style.cells(panels[1], np.sqrt(applied), top=1.0)
    for axes in panels:
        _mark(axes, tokens, special, named)
    style.panel_letters(panels, ["declared mask", "applied attention"], pad=14.0 if named else 4.0)
    bar = figure.colorbar(mesh, ax=list(panels), shrink=0.4 if narrow else 0.6, pad=0.02, aspect=25)
    bar.set_ticks([0, 0.1**0.5, 0.25**0.5, 0.5**0.5, 1], labels=["0", "0.1", "0.25", "0.5", "1"])
    bar.set_label("weight")
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    return figure


def _mark(axes: Axes, tokens: list[str], special: np.ndarray, named: bool) -> None:
    """Lines between the three parts and their names; names of the tokens too, where they fit."""
    edges = np.flatnonzero(np.diff(special.astype(int))) + 0.5
    for edge in edges:
        axes.axvline(edge, color=palette.OKABE_ITO[5], linewidth=0.8)
        axes.axhline(edge, color=palette.OKABE_ITO[5], linewidth=0.8)
    axes.set_aspect("equal")
    ends = np.array([-0.5, *edges, len(tokens) - 0.5])
    middles, names = (ends[1:] + ends[:-1]) / 2, PARTS[: len(ends) - 1]
    if not named:
        axes.set_xticks(middles, names)
        axes.set_yticks(middles, names, rotation=90, va="center")
        return
    short = [style.shorten(token, 12) for token in tokens]
    axes.set_xticks(range(len(tokens)), short, rotation=90, fontsize=style.SMALLEST)
    axes.set_yticks(range(len(tokens)), short, fontsize=style.SMALLEST)
    for middle, name in zip(middles, names, strict=True):
        axes.annotate(
            name, (middle, -0.5), (0, 3), textcoords="offset points", ha="center", va="bottom",
            color=palette.OKABE_ITO[5],
        )  # fmt: skip


FIGURE = PaperFigure(
    "gem_mask",
    "What GEM declares, and what it applies",
    "The attention mask that GEM declares (a), and the attention that the shipped model applies, the mean over "
    "{layers} layers of {heads} heads (b), on “{text}”, a sentence fixed in the script. Rows look, columns "
    "are looked at: {prefix} tokens of text, {special} special tokens, and {suffix} tokens of what the model says "
    "behind them. A suffix may see the special tokens and itself. The largest weight outside the mask is {leak:.1g}; "
    "the derivative of the suffix's logits with respect to the text is {gradient:.1g} at most with the special tokens' "
    "states held constant, and {through:.2g} where they are free. In (a) all that may be seen has one shade.",
    "python -m analyses.gem_mask",
    draw,
    NEEDS,
)  # fmt: skip
