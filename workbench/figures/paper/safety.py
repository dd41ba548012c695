"""Harmful requests and their look-alikes: how far from a refusal, and how often decoded to one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.figures import palette
from workbench.figures.paper import intervals, style
from workbench.figures.paper.figure import PaperFigure
from workbench.figures.paper.needs import SHOWN, Many, OneOf

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KINDS = {"harmful": ("harmful", palette.OKABE_ITO[5]), "lookalike": ("look-alike", palette.OKABE_ITO[0])}
BIN = 0.05

NEEDS = {
    "spaces": Many(
        {
            "name": str,
            "distances": dict.fromkeys(KINDS, Many(float)),
            "auroc": {"value": float, "low": float, "high": float},
        }
    ),
    "shares": Many({"kind": OneOf(KINDS), "of": str, **SHOWN}),
}


def draw(results: dict[str, Any], width: float) -> Figure:
    """A histogram of distances for each space, and the shares that are refusals."""
    spaces, shares = results["data"]["spaces"], results["data"]["shares"]
    narrow = width < style.NARROW
    count = len(spaces) + 1
    figure = style.sheet(width, 3.1 if narrow else 1.75)
    shape = (2, -(-count // 2)) if narrow else (1, count)
    panels = list(figure.subplots(*shape, squeeze=False).ravel())
    bins = _bins([space["distances"] for space in spaces])
    for axes, space in zip(panels, spaces, strict=False):
        axes.set_ylim(0, 1.35 * _histogram(axes, space, bins))
        axes.locator_params(axis="y", nbins=4)
        axes.set_xlim(bins[0], bins[-1])
        axes.set_xlabel("distance to a refusal")
        intervals.keep_inside(axes)
    panels[0].set_ylabel("share of requests")
    _shares(panels[len(spaces)], shares)
    style.panel_letters(panels[:count], [*(space["name"] for space in spaces), "refusals"])
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=2)
    return figure


def _bins(found: list[dict[str, list[float]]]) -> np.ndarray:
    """Whole bins around all distances; what rounding puts a hair below 0 counts as 0."""
    values = np.concatenate([np.array(one) for kinds in found for one in kinds.values()])
    return np.arange(np.floor(values.min() / BIN + 1e-3), np.ceil(values.max() / BIN - 1e-3) + 1) * BIN


def _histogram(axes: Axes, space: dict[str, Any], bins: np.ndarray) -> float:
    """Both kinds as outlines over each other; gives the height of the tallest bar."""
    tallest = 0.0
    for kind, (name, colour) in KINDS.items():
        values = np.clip(space["distances"][kind], bins[0], bins[-1])
        heights = np.histogram(values, bins)[0] / len(values)
        axes.stairs(heights, bins, color=colour, linewidth=1.0, label=name)
        axes.stairs(heights, bins, color=colour, alpha=0.18, fill=True, linewidth=0)
        tallest = max(tallest, float(heights.max()))
    area = space["auroc"]
    text = f"AUROC {area['value']:.2f}\n[{area['low']:.2f}, {area['high']:.2f}]"
    axes.text(0.5, 0.98, text, transform=axes.transAxes, ha="center", va="top", fontsize=style.SMALLEST)
    return tallest


def _shares(axes: Axes, shares: list[dict[str, Any]]) -> None:
    """For each text that may be a refusal a row; harmful requests and look-alikes in their colours."""
    sources = list(dict.fromkeys(one["of"] for one in shares))
    for one in shares:
        name, colour = KINDS[one["kind"]]
        intervals.beside(axes, [sources.index(one["of"])], [one], colour=colour, label=name)
    axes.set_yticks([])
    for height, source in enumerate(sources):
        axes.text(0.5, height - 0.22, source, ha="center", fontsize=style.SMALLEST)
    axes.set_ylim(len(sources) - 0.5, -0.6)
    axes.set_xlim(-0.05, 1.05)
    axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.set_xlabel("share that refuses")
    axes.grid(visible=True, axis="x")


FIGURE = PaperFigure(
    "safety",
    "Harmful requests lie near refusals",
    "{harmful} held-out harmful requests and {lookalike} harmless look-alikes. (a) to (c) Cosine distance to the "
    "nearest of the {refusals} refusals that the field guide gives to harmful training requests, all in the "
    "teacher's space: of LLM2Vec-Gen's embedding, of the teacher's vector of the request, and of its vector of the "
    "field guide's own response, which is what LLM2Vec-Gen aims at (each panel has its own scale). AUROC: how well "
    "the distance tells the two kinds apart (by the mean distance to all refusals instead of the nearest: "
    "{mean_ours:.2f} for (a), {mean_teacher:.2f} for (b)). (d) Share of each kind whose decoded embedding, and whose "
    "response by the field guide, refuses. Brackets and lines are 95 % intervals over requests (bootstrap; "
    "Wilson in (d)).",
    "python -m analyses.safety",
    draw,
    NEEDS,
)  # fmt: skip
