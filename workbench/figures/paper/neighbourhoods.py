"""Questions by their wording and by their answer: two maps of the same questions, and what neighbours share."""

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

NEEDS = {
    "spaces": Many(str, 2),
    "maps": Many(Many(Many(float, 2), "texts"), 2),
    "groups": Many(int, "texts"),
    "answers": Many(str),
    "shares": Named(Named(BOUNDS, "sorts"), 2),
}
OTHERS = "#D3D6DA"
SHAPES = ("o", "D", "s", "^", "P", "*", "v")
BARS = (palette.OKABE_ITO[6], palette.OKABE_ITO[0])


def draw(results: dict[str, Any], width: float) -> Figure:
    """The maps side by side, coloured by answer, and the shares of nearest neighbours."""
    data = results["data"]
    groups = np.array(data["groups"])
    narrow = width < style.NARROW
    figure = style.sheet(width, 3.7 if narrow else 2.5)
    if narrow:
        grid = figure.add_gridspec(2, 2, height_ratios=[1.15, 1])
        panels = [
            figure.add_subplot(grid[0, 0]),
            figure.add_subplot(grid[0, 1]),
            figure.add_subplot(grid[1, :]),
        ]
    else:
        panels = list(figure.subplots(1, 3, width_ratios=[1, 1, 0.9]))
    for axes, points in zip(panels, data["maps"], strict=False):
        _map(axes, np.array(points, dtype=float), groups, data["answers"])
    _bars(panels[2], data["shares"])
    names = (
        data["spaces"]
        if not narrow
        else [name.replace("MiniLM on the query", "MiniLM, query") for name in data["spaces"]]
    )
    style.panel_letters(panels, [*names, "nearest neighbours"])
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=3 if narrow else 7, handletextpad=0.1, columnspacing=0.8,
        handlelength=1.0, markerscale=1.5,
    )  # fmt: skip
    return figure


def table(results: dict[str, Any]) -> Table:
    """A row for each space, a column for what is shared."""
    shares = results["data"]["shares"]
    sorts = list(next(iter(shares.values())))
    rows = [
        [name, *(f"{mean:.3f} [{low:.3f}, {high:.3f}]" for mean, low, high in found.values())]
        for name, found in shares.items()
    ]
    return Table(["nearest neighbours by", *sorts], rows)


def _map(axes: Axes, points: np.ndarray, groups: np.ndarray, answers: list[str]) -> None:
    other = groups < 0
    axes.plot(points[other, 0], points[other, 1], "o", color=OTHERS, markersize=1.3, markeredgewidth=0)
    for number, answer in enumerate(answers):
        own = points[groups == number]
        axes.plot(
            own[:, 0], own[:, 1], SHAPES[number % len(SHAPES)], color=palette.colour(number), markersize=2.8,
            markeredgewidth=0, label=style.shorten(answer, 22),
        )  # fmt: skip
    axes.set(xticks=[], yticks=[])
    axes.set_box_aspect(1)
    axes.spines[:].set_visible(True)
    axes.margins(0.03)


def _bars(axes: Axes, shares: dict[str, dict[str, list[float]]]) -> None:
    sorts = list(next(iter(shares.values())))
    for number, ((name, found), colour) in enumerate(zip(shares.items(), BARS, strict=True)):
        places = np.arange(len(sorts)) + (number - 0.5) * 0.38
        mean, low, high = np.array([found[sort] for sort in sorts]).T
        axes.barh(places, mean, height=0.36, color=colour, label=name)
        axes.errorbar(
            mean, places, xerr=[mean - low, high - mean], fmt="none", ecolor=palette.ink(), elinewidth=0.7,
        )  # fmt: skip
        for place, value, end in zip(places, mean, high, strict=True):
            axes.text(end + 0.02, place, f"{100 * value:.0f} %", va="center", fontsize=style.SMALLEST)
    axes.set_yticks(range(len(sorts)), [sort.replace(", ", ",\n") for sort in sorts])
    axes.set_ylim(len(sorts) + 0.35, -0.6)  # the legend has the room below
    axes.set_xlim(0, 1.12)
    axes.set_xticks([0, 0.5, 1], ["0", "50 %", "100 %"])
    axes.tick_params(axis="y", length=0)
    axes.legend(loc="lower right", handlelength=0.8)


FIGURE = PaperFigure(
    "neighbourhoods",
    "Neighbours by wording, and by answer",
    "{questions} held-out questions of one and two hops as MiniLM embeds the question (a) and as the shipped "
    "LLM2Vec-Gen embeds the answer to come (b); UMAP, coloured by the most frequent of {answers} answers. (c) What "
    "the {k} nearest neighbours of a question share with it, for the {asked} questions whose answer at least {k} "
    "others have; worded alike: at least half of the words in common. Neighbours share the answer "
    "{gain_mean:+.3f} [{gain_low:+.3f}, {gain_high:+.3f}] more often, and are worded alike with another answer "
    "{wording_mean:+.3f} [{wording_low:+.3f}, {wording_high:+.3f}] more often, than by MiniLM "
    "(95 % intervals; paired bootstrap over questions).",
    "python -m analyses.neighbourhoods",
    draw,
    NEEDS,
    table,
)  # fmt: skip
