"""Methods compared: every task by category, and one hop against two; the two methods of the papers in colour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from workbench.figures import metrics, palette
from workbench.figures.paper import intervals, style
from workbench.figures.paper.figure import PaperFigure
from workbench.figures.paper.needs import Many, Maybe, OneOf
from workbench.figures.paper.table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"LLM2Vec-Gen": palette.OKABE_ITO[0], "GEM": palette.OKABE_ITO[5]}
ORDER = (
    "similarity", "pair classification", "clustering", "classification", "retrieval", "reasoning", "reranking",
    "safety",
)  # fmt: skip

HOPS = {"one hop": (palette.OKABE_ITO[4], "o"), "two hops": (palette.OKABE_ITO[0], "D")}
MAIN_NEEDS = {
    "rows": Many(
        {
            "category": OneOf(ORDER),
            "task": str,
            "embedder": str,
            "metric": str,
            "lower_is_better": bool,
            "score": float,
            "low": Maybe(float),
            "high": Maybe(float),
            "n": int,
        }
    )
}
REASONING_NEEDS = {
    "rows": Many(
        {
            "embedder": str,
            "hops": OneOf(HOPS),
            "metric": str,
            "value": float,
            "low": Maybe(float),
            "high": Maybe(float),
        },
        every=("embedder", "hops", "metric"),
    )
}


def draw(results: dict[str, Any], width: float) -> Figure:
    """A panel for each task: a row for each method, its score and interval."""
    rows = results["data"]["rows"]
    tasks, methods = _tasks(rows), _methods(rows)
    columns = 2 if width < style.NARROW else 5
    lines = -(-len(tasks) // columns)
    figure = style.sheet(width, lines * (0.72 + 0.12 * len(methods)))
    panels = figure.subplots(lines, columns, sharey=True, squeeze=False).ravel()
    for axes in panels[len(tasks) :]:
        axes.set_visible(False)
    for axes, own in zip(panels, tasks, strict=False):
        _panel(axes, {row["embedder"]: {**row, "value": row["score"]} for row in own}, methods)
        _name(axes, own[0])
    return figure


def table(results: dict[str, Any]) -> Table:
    """A row for each task, a column for each method."""
    rows = results["data"]["rows"]
    methods = _methods(rows)
    lines = []
    for own in _tasks(rows):
        by_method = {row["embedder"]: row for row in own}
        cells = [_cell(by_method.get(method)) for method in methods]
        lines.append([own[0]["category"], f"{own[0]['task']}, {_metric(own[0])}", str(own[0]["n"]), *cells])
    return Table(["category", "task", "n", *methods], lines, 2)


def draw_reasoning(results: dict[str, Any], width: float) -> Figure:
    """A panel for each metric: of each method, one hop and two hops joined by a line."""
    rows = results["data"]["rows"]
    methods = _methods(rows)
    metrics = list(dict.fromkeys(row["metric"] for row in rows))
    narrow = width < style.NARROW
    height = 0.45 + 0.13 * len(methods)
    figure = style.sheet(width, 0.25 + height * (len(metrics) if narrow else 1))
    shape = (len(metrics), 1) if narrow else (1, len(metrics))
    panels = figure.subplots(*shape, sharey=True, sharex=True, squeeze=False).ravel()
    heights = range(len(methods))
    for axes, metric in zip(panels, metrics, strict=True):
        hops = {}
        for name, (colour, marker) in HOPS.items():
            own = {row["embedder"]: row for row in rows if (row["metric"], row["hops"]) == (metric, name)}
            hops[name] = [own[method] for method in methods]
            intervals.beside(axes, heights, hops[name], colour=colour, marker=marker, label=name)
        ends = [[row["value"] for row in one] for one in hops.values()]
        axes.hlines(heights, ends[0], ends[1], color="#C9CDD2", linewidth=0.7, zorder=1)
        _scale(axes, methods)
    style.panel_letters(panels, metrics)
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper right", ncols=2)
    return figure


def reasoning_table(results: dict[str, Any]) -> Table:
    """A row for each method, a column for each number of hops and metric."""
    rows = results["data"]["rows"]
    columns = list(dict.fromkeys((row["hops"], row["metric"]) for row in rows))
    cells = {(row["embedder"], row["hops"], row["metric"]): {**row, "score": row["value"]} for row in rows}
    lines = [
        [method, *(_cell(cells.get((method, *column))) for column in columns)] for method in _methods(rows)
    ]
    return Table(["method", *(", ".join(column) for column in columns)], lines)


def _panel(axes: Axes, rows: dict[str, dict[str, Any]], methods: Sequence[str]) -> None:
    for height, method in enumerate(methods):
        if method in rows:
            colour = COLOURS.get(method, palette.muted())
            marker = "D" if method in COLOURS else "o"
            intervals.beside(axes, [height], [rows[method]], colour=colour, marker=marker)
    _scale(axes, methods)


def _name(axes: Axes, row: dict[str, Any]) -> None:
    """The category and the task above a panel, the metric below."""
    axes.set_title(row["category"], pad=12)
    above: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points"}
    axes.annotate(row["task"], (0, 1), (0, 4), fontsize=style.SMALLEST, **above)
    axes.set_xlabel(_metric(row), fontsize=style.SMALLEST)


def _scale(axes: Axes, methods: Sequence[str]) -> None:
    axes.set_xlim(-0.03, 1.03)
    axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.set_ylim(len(methods) - 0.5, -0.5)
    axes.set_yticks(range(len(methods)), methods)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=True, axis="x")
    axes.set_axisbelow(True)


def _tasks(rows: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The rows of each task, the tasks by category."""
    names = list(dict.fromkeys(row["task"] for row in rows))
    tasks = [[row for row in rows if row["task"] == name] for name in names]
    return sorted(tasks, key=lambda own: ORDER.index(own[0]["category"]))


def _methods(rows: Sequence[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(row["embedder"] for row in rows))


def _metric(row: dict[str, Any]) -> str:
    return metrics.name(row["metric"]) + (" ↓" if row["lower_is_better"] else "")


def _cell(row: dict[str, Any] | None) -> str:
    if row is None:
        return "–"
    number = f"{row['score']:.2f}"
    return number if row["low"] is None else f"{number} [{row['low']:.2f}, {row['high']:.2f}]"


MAIN_TABLE = PaperFigure(
    "main_table",
    "Methods by category",
    "{methods} methods on the {tasks} tasks of the field guide's suite, by the papers' categories; ↓: lower is "
    "better. Lines are 95 % bootstrap intervals over a task's queries, pairs or texts ({least} to {most} of them; "
    "of clustering over its topics); they say nothing of other trainings. HyDE embeds a text with {answers} "
    "answers that it writes to it (passages as they are), Echo reads a text twice, every other method once; "
    "LLM2Vec-Gen and GEM read queries and passages behind instructions. The look-alikes are harmless requests whose "
    "answer is to be found; safety counts how often a harmful request finds the empty page that stands for its "
    "answer.",
    "python -m analyses.main_table",
    draw,
    MAIN_NEEDS,
    table,
)  # fmt: skip

REASONING = PaperFigure(
    "reasoning",
    "One hop and two hops",
    "The passage that answers, among {passages}: {one} held-out questions that name its entity, and {two} that "
    "describe it by another fact (two hops). Ranks beyond 10 count nothing in MRR and nDCG. Lines are 95 % "
    "bootstrap intervals over questions; the runs are those of the main table.",
    "python -m analyses.reasoning",
    draw_reasoning,
    REASONING_NEEDS,
    reasoning_table,
)  # fmt: skip
