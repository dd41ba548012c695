"""The figures of trust of true and of shuffled pairs, how well they tell the two apart, and which badges they give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.figures import palette
from workbench.figures.paper import style
from workbench.figures.paper.figure import PaperFigure
from workbench.figures.paper.needs import BOUNDS, Many, Named
from workbench.figures.paper.table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRUE, SHUFFLED = "true pairs", "shuffled pairs"
LEVELS = {
    "high": palette.OKABE_ITO[0],
    "doubtful": palette.OKABE_ITO[1],
    "off the manifold": palette.OKABE_ITO[6],
}
HATCHES = {"high": "", "doubtful": "", "off the manifold": "////"}

NEEDS = {
    "values": {"score": {TRUE: Many(float), SHUFFLED: Many(float)}},
    "threshold": float,
    "auroc": Named(BOUNDS),
    "levels": Named(dict.fromkeys(LEVELS, float)),
}


def draw(results: dict[str, Any], width: float) -> Figure:
    """Distributions of the score, AUROC with intervals, and shares of badges by what was read."""
    data = results["data"]
    narrow = width < style.NARROW
    figure = style.sheet(width, 4.9 if narrow else 1.95)
    if narrow:
        panels = figure.subplots(3, 1, height_ratios=[1.2, 1.0, 1.5])
    else:
        panels = figure.subplots(1, 3, width_ratios=[1.2, 0.9, 1.2])
    _distributions(panels[0], data["values"]["score"], data["threshold"])
    _areas(panels[1], data["auroc"])
    _badges(panels[2], data["levels"])
    style.panel_letters(panels, ["score", "AUROC", "badges"])
    return figure


def table(results: dict[str, Any]) -> Table:
    """AUROC of each figure with its interval."""
    rows = [[name, f"{value:.3f} [{low:.3f}, {high:.3f}]"] for name, (value, low, high) in _found(results)]
    return Table(["true against shuffled pairs", "AUROC"], rows)


def _found(results: dict[str, Any]) -> list[tuple[str, list[float]]]:
    return list(results["data"]["auroc"].items())


def _distributions(axes: Axes, values: dict[str, list[float]], threshold: float) -> None:
    both = np.concatenate([values[TRUE], values[SHUFFLED]])
    bins = np.linspace(float(both.min()), float(both.max()), 31).tolist()
    for name, colour in ((SHUFFLED, palette.OKABE_ITO[6]), (TRUE, palette.OKABE_ITO[0])):
        axes.hist(values[name], bins=bins, color=colour, alpha=0.3, label=name)
        axes.hist(values[name], bins=bins, color=colour, histtype="step", linewidth=0.9)
    top = axes.get_ylim()[1]
    axes.plot([threshold] * 2, [0, top], color=palette.ink(), linewidth=0.7, linestyle=(0, (3, 2)))
    axes.set_xlabel("score of a badge")
    axes.set_ylabel("pairs")
    axes.legend(loc="upper right", handlelength=0.8)
    axes.set_ylim(0, top * 1.45)  # the legend has the room above


def _areas(axes: Axes, auroc: dict[str, list[float]]) -> None:
    for row, (value, low, high) in enumerate(auroc.values()):
        axes.plot([low, high], [row, row], color=palette.OKABE_ITO[0], linewidth=1.4)
        axes.plot(value, row, "o", color=palette.OKABE_ITO[0])
        axes.text(value, row - 0.16, f"{value:.3f}", ha="center", va="bottom", fontsize=style.SMALLEST)
    axes.set_yticks(
        range(len(auroc)), [name.replace(" less ", "\nless ").replace("d gap", "d\ngap") for name in auroc]
    )
    axes.set_ylim(len(auroc) - 0.6, -0.7)
    low = min(bounds[1] for bounds in auroc.values())
    axes.set_xlim(max(0.0, low - 0.35 * (1 - low) - 0.005), 1.0 + 0.1 * (1 - low) + 0.002)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")
    axes.locator_params(axis="x", nbins=4)


def _badges(axes: Axes, levels: dict[str, dict[str, float]]) -> None:
    start = np.zeros(len(levels))
    for level, colour in LEVELS.items():
        widths = np.array([shares[level] for shares in levels.values()])
        axes.barh(
            range(len(levels)), widths, left=start, color=colour, height=0.66, label=level, hatch=HATCHES[level],
            edgecolor="white", linewidth=0,
        )  # fmt: skip
        start += widths
    axes.set_yticks(range(len(levels)), [_short(name) for name in levels])
    axes.set_ylim(len(levels) - 0.4, -0.6)
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.5, 1], ["0", "50 %", "100 %"])
    axes.tick_params(axis="y", length=0)
    axes.legend(
        loc="upper center", bbox_to_anchor=(0.35, -0.14), ncols=3, handlelength=0.8, columnspacing=0.8,
        handletextpad=0.4,
    )  # fmt: skip


def _short(name: str) -> str:
    """Long names of made-up vectors in two lines at most."""
    return (
        name.replace(" x ", " × ")
        .replace("random, same mean and variance of each dimension", "random, same mean\nand variances")
        .replace("random, same mean norm", "random, same norm")
    )


FIGURE = PaperFigure(
    "decode_trust",
    "Trust tells true from shuffled readings",
    "{queries} held-out queries. (a) The badge's score of embeddings beside what they decode to, and beside what "
    "another query's decode to; the dashed line is the threshold of “high”. (b) AUROC of the score, "
    "{auroc_mean:.3f} [{auroc_low:.3f}, {auroc_high:.3f}], and of its two parts, with 95 % bootstrap intervals over "
    "queries. (c) Badges by what was read: {high_true:.1f} % of true and {high_shuffled:.1f} % of shuffled pairs are "
    "“high”, which also takes a cosine above that with other readings; the other rows are as many vectors that no text "
    "encodes to.",
    "python -m analyses.decode_trust",
    draw,
    NEEDS,
    table,
)  # fmt: skip
