"""What is said along the way between two texts, each reading with its figures of trust."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from workbench.figures import palette
from workbench.figures.paper import style
from workbench.figures.paper.figure import PaperFigure
from workbench.figures.paper.needs import Many, OneOf
from workbench.figures.paper.table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {
    "high": palette.OKABE_ITO[0],
    "doubtful": palette.OKABE_ITO[1],
    "off the manifold": palette.OKABE_ITO[5],
}
MARKS = {"high": "o", "doubtful": "D", "off the manifold": "X"}
LINE = 0.115
"""Inches of a line of text."""

NEEDS = {
    "steps": Many(
        {"share": float, "text": str, "cosine": float, "null": float, "score": float, "level": OneOf(COLOURS)}
    ),
    "threshold": float,
}


def draw(results: dict[str, Any], width: float) -> Figure:
    """A row for each step, the first text on top: its reading, its cosine beside others', its score."""
    data = results["data"]
    steps, threshold = data["steps"], data["threshold"]
    share = 0.56 if width < style.NARROW else 0.5
    letters = style.letters_in(width * share - 0.35)
    said = [
        textwrap.wrap(step["text"], letters, max_lines=3, placeholder=" …") or ["(nothing)"] for step in steps
    ]
    row = LINE * max(map(len, said)) + 0.07
    figure = style.sheet(width, row * len(steps) + 0.62)
    ratios = [share, (1 - share) / 2, (1 - share) / 2]
    words, cosines, scores = figure.subplots(1, 3, sharey=True, width_ratios=ratios)
    _write(words, steps, said)
    places = range(len(steps))
    cosines.plot(
        [step["null"] for step in steps], places, "|", color=palette.muted(), markersize=6, label="others"
    )
    for level, colour in COLOURS.items():
        rows = [place for place in places if steps[place]["level"] == level]
        for axes, name in ((cosines, "cosine"), (scores, "score")):
            values = [steps[place][name] for place in rows]
            axes.plot(values, rows, MARKS[level], color=colour, markersize=4, label=level if rows else None)
    scores.axvline(threshold, color=palette.muted(), linewidth=0.7, linestyle=(0, (3, 2)))
    cosines.set(xlim=(min(0, *(step["cosine"] for step in steps)) - 0.06, 1.06), xlabel="cosine")
    top = max(threshold, *(step["score"] for step in steps))
    scores.set(xlim=(min(0, *(step["score"] for step in steps)) - 0.08 * top, 1.12 * top), xlabel="score")
    for axes in (cosines, scores):
        axes.tick_params(axis="y", length=0, labelleft=False)
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        axes.spines["left"].set_visible(False)
    handles, labels = cosines.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower right", ncols=4, handletextpad=0.2, columnspacing=0.8)
    return figure


def table(results: dict[str, Any]) -> Table:
    """A row for each step."""
    header = ["along the way", "reading", "cosine", "others", "score", "badge"]
    rows = [
        [f"{step['share']:.3f}", step["text"], f"{step['cosine']:.2f}", f"{step['null']:.2f}",
         f"{step['score']:+.1f}".replace("-", "−"), step["level"]]
        for step in results["data"]["steps"]
    ]  # fmt: skip
    return Table(header, rows, text_columns=2)


def _write(axes: Axes, steps: list[dict[str, Any]], said: list[list[str]]) -> None:
    """The readings; one that says what the step before said stands back."""
    axes.set_ylim(len(steps) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    axes.set_xticks([])
    axes.tick_params(axis="y", length=0)
    axes.set_yticks(range(len(steps)), [f"{100 * step['share']:.3g} %" for step in steps])
    axes.spines[:].set_visible(False)
    before = None
    for place, (step, lines) in enumerate(zip(steps, said, strict=True)):
        colour = palette.muted() if step["text"] == before else palette.ink()
        axes.text(0.01, place, "\n".join(lines), va="center", fontsize=style.SMALLEST, color=colour)
        before = step["text"]


FIGURE = PaperFigure(
    "interpolation",
    "What is said along the way between two texts",
    "Readings of {steps} blocks of soft prompts on the straight way from “{start}” (0 %) to “{end}” (100 %), "
    "questions fixed in the script; a reading that repeats the one before is grey. Beside them the cosine of the "
    "vector with its reading (the bar: with other readings) and the badge's score, whose threshold for “high” is "
    "the dashed line. {high} of the {between} blocks between the ends are “high”.",
    "python -m analyses.interpolation",
    draw,
    NEEDS,
    table,
)  # fmt: skip
