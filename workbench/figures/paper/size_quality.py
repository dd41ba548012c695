"""Size against quality: what the model knows, what its embedding keeps, what it finds, over parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.figures import palette
from workbench.figures.paper import intervals, style
from workbench.figures.paper.figure import PaperFigure
from workbench.figures.paper.needs import SHOWN, Many

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANELS = {"exam": "exam, right", "kept": "decoded facts kept", "two_hop": "two hops, R@1"}

NEEDS = {
    "points": Many({"parameters": int, "shipped": bool, **dict.fromkeys(PANELS, SHOWN)}),
    "teacher": float,
}


def draw(results: dict[str, Any], width: float) -> Figure:
    """Three panels over parameters on a logarithmic axis; the shipped model is a diamond."""
    points = sorted(results["data"]["points"], key=lambda point: point["parameters"])
    narrow = width < style.NARROW
    figure = style.sheet(width, 1.45 * len(PANELS) if narrow else 1.6)
    shape = (len(PANELS), 1) if narrow else (1, len(PANELS))
    panels = list(figure.subplots(*shape, squeeze=False, sharey=True).ravel())
    others = [point for point in points if not point["shipped"]]
    own = [point for point in points if point["shipped"]]
    for axes, key in zip(panels, PANELS, strict=True):
        values = [point[key]["value"] for point in points]
        axes.plot([point["parameters"] for point in points], values, color=palette.muted(), linewidth=0.7,
                  linestyle=(0, (1, 2)))  # fmt: skip
        at = [point["parameters"] for point in others]
        intervals.upright(axes, at, [point[key] for point in others], colour=palette.OKABE_ITO[0])
        at = [point["parameters"] for point in own]
        intervals.upright(axes, at, [point[key] for point in own], colour=palette.OKABE_ITO[5], marker="D")
        axes.set_xscale("log")
        axes.margins(x=0.1)
        axes.set_xticks(
            [point["parameters"] for point in points],
            [f"{point['parameters'] / 1e6:.2g}" for point in points],
        )
        axes.set_xticks([], minor=True)
        axes.set_ylim(0, 1)
        axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
        axes.grid(visible=True, axis="y")
        axes.set_xlabel("parameters, millions")
        if narrow or axes is panels[0]:
            axes.set_ylabel("share")
    intervals.reference(panels[-1], results["data"]["teacher"])
    style.panel_letters(panels, list(PANELS.values()))
    return figure


FIGURE = PaperFigure(
    "size_quality",
    "Size against quality",
    "{sizes} field guides of different size. Diamonds: the shipped one ({pretraining_shipped:,} steps of "
    "pretraining); circles: others ({pretraining:,} steps of the same recipe). Every embedder had the same short "
    "training, {steps} steps on {queries:,} queries with its own model's responses, without the closed-form "
    "alignment; the shipped one is trained for longer. (a) Of the {exam:,} items of the exam, answered right by the "
    "model. (b) Of the facts that the model itself answers right ({known_least} to {known_most}, not the same "
    "ones), those that the embedding decodes to. (c) {two_hop} two-hop questions that find their passage first; "
    "dashed: the teacher, on the question. Lines are 95 % Wilson intervals over questions; one training each.",
    "python -m analyses.size_quality",
    draw,
    NEEDS,
)  # fmt: skip
