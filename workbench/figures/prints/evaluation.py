"""Scores of several embedders for paper: a panel for each task, in it a mark with its interval for each embedder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from workbench.figures import metrics, palette
from workbench.figures.evaluation import DIFFERENCE, SCORE, Columns
from workbench.figures.paper import intervals, style
from workbench.figures.prints.map import SHAPES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ACROSS = 4
"""Panels in a line."""
PANEL, NAMES = 1.28, 1.2
"""Inches of a panel, and of the embedders' names before a line of them."""
MARKERS = tuple(SHAPES.values())
Row = Mapping[str, Any]


def score_print(rows: Sequence[Row]) -> Figure:
    """`score_map` for paper: the scores of `report.records` with their 95 % intervals.

    Panels of scores from -1 to 1 share their axis; a task with others (a perplexity) has its own.
    """
    return _dots(rows, SCORE)


def difference_print(rows: Sequence[Row]) -> Figure:
    """`difference_map` for paper: the differences to a reference; a mark is open where its interval holds 0."""
    return _dots(rows, DIFFERENCE)


def _dots(rows: Sequence[Row], columns: Columns) -> Figure:
    shown = [row for row in rows if row[columns.value] is not None]
    tasks = list(dict.fromkeys(row["task"] for row in shown))
    here = {row["embedder"] for row in shown}
    # Numbered among all embedders, so that an embedder has the same mark in both figures.
    marks = {
        name: number
        for number, name in enumerate(dict.fromkeys(row["embedder"] for row in rows))
        if name in here
    }
    across = min(ACROSS, len(tasks)) or 1
    lines = -(-len(tasks) // across)
    with style.applied():
        figure = style.sheet(NAMES + PANEL * across, lines * (0.62 + 0.125 * max(len(marks), 2)) or 0.5)
        if not tasks:
            return figure
        panels = figure.subplots(lines, across, sharey=True, squeeze=False).ravel()
        for axes in panels[len(tasks) :]:
            axes.set_visible(False)
        alike = _reach([row for row in shown if not _is_wide(shown, row["task"], columns)], columns)
        for axes, task in zip(panels, tasks, strict=False):
            own = [row for row in shown if row["task"] == task]
            _panel(axes, own, marks, columns)
            _scale(axes, own, columns, None if _is_wide(shown, task, columns) else alike)
    return figure


def _panel(axes: Axes, rows: Sequence[Row], marks: Mapping[str, int], columns: Columns) -> None:
    heights = {name: height for height, name in enumerate(marks)}
    if columns is DIFFERENCE:
        axes.axvline(0, color=palette.ink(), linewidth=0.6, zorder=1)
    for row in rows:
        number, height = marks[row["embedder"]], heights[row["embedder"]]
        shown = {"value": row[columns.value], "low": row[columns.low], "high": row[columns.high]}
        colour = palette.colour(number)
        marker = MARKERS[(number + number // len(palette.OKABE_ITO)) % len(MARKERS)]
        intervals.beside(axes, [height], [shown], colour=colour, marker=marker)
        if columns is DIFFERENCE and shown["low"] <= 0 <= shown["high"]:
            axes.plot(shown["value"], height, marker, color=colour, markerfacecolor="white", markeredgewidth=0.8,
                      markersize=intervals.SIZE, zorder=4)  # fmt: skip
    axes.set_ylim(len(marks) - 0.5, -0.5)
    axes.set_yticks(range(len(marks)), [style.one_line(name, 24) for name in marks])
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=True, axis="x")
    axes.set_axisbelow(True)
    first = rows[0]
    axes.set_title(style.one_line(first["task"], 24), fontsize=style.SMALL)
    metric = style.one_line(metrics.name(first["metric"]), 18)
    arrow = " ↓" if first["lower_is_better"] else ""
    axes.set_xlabel(f"{metric}{arrow}, n = {first['n']:,}", fontsize=style.SMALLEST)


def _scale(axes: Axes, rows: Sequence[Row], columns: Columns, alike: tuple[float, float] | None) -> None:
    """The panel's axis: the one that all share, or its own."""
    from matplotlib.ticker import MaxNLocator

    low, high = alike or _reach(rows, columns)
    edge = 0.04 * ((high - low) or abs(high) or 1.0)
    axes.set_xlim(low - edge, high + edge)
    if (low, high) == (0, 1):
        axes.set_xticks([0, 0.5, 1])
    else:
        axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", "−"))
    intervals.keep_inside(axes)


def _reach(rows: Sequence[Row], columns: Columns) -> tuple[float, float]:
    """The least and the most of all values and bounds; of scores at most 1 the whole from 0 to 1."""
    found = [row[name] for row in rows for name in columns[:3] if row[name] is not None]
    whole = [0.0, 1.0] if columns is SCORE and found and max(map(abs, found)) <= 1 else []
    return min([*found, *whole], default=0.0), max([*found, *whole], default=1.0)


def _is_wide(rows: Sequence[Row], task: str, columns: Columns) -> bool:
    own = [row[name] for row in rows if row["task"] == task for name in columns[:3] if row[name] is not None]
    return max(map(abs, own)) > 1
