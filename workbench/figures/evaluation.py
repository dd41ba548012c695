"""Scores of several embedders with their intervals: a row for each task, a mark for each embedder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from workbench.figures import metrics, palette

SYMBOLS = (*palette.SYMBOLS, "triangle-down", "x")
MARK, GAP, AXIS = 10, 16, 44
"""Pixels that a mark has to itself, between two tasks, and below a panel for its axis."""


class Columns(NamedTuple):
    """Where in a row the number and its bounds stand, and how the number is written."""

    value: str
    low: str
    high: str
    form: str


SCORE = Columns("score", "low", "high", ".3f")
DIFFERENCE = Columns("difference", "difference_low", "difference_high", "+.3f")


def score_map(rows: Sequence[Mapping[str, Any]], *, dark: bool = False) -> go.Figure:
    """The scores of `report.records` with their 95 % intervals, the first task on top.

    Scores from -1 to 1 share an axis; a task with others (a perplexity) has an axis of its own below.
    """
    return _dots(rows, SCORE, dark)


def difference_map(rows: Sequence[Mapping[str, Any]], *, dark: bool = False) -> go.Figure:
    """As `score_map`, of the differences to a reference; a mark is open where its interval holds 0."""
    figure = _dots(rows, DIFFERENCE, dark)
    figure.update_xaxes(zeroline=True, zerolinecolor=palette.ink(dark), zerolinewidth=1.5)
    return figure


def _dots(rows: Sequence[Mapping[str, Any]], columns: Columns, dark: bool) -> go.Figure:
    shown = [row for row in rows if row[columns.value] is not None]
    panels = _panels(shown, columns)
    if not panels:
        return go.Figure()
    here = {row["embedder"] for row in shown}
    # Numbered among all embedders, so that an embedder has the same mark in both figures.
    marks = {
        name: _style(index, dark)
        for index, name in enumerate(dict.fromkeys(row["embedder"] for row in rows))
        if name in here
    }
    task_height = MARK * len(marks) + GAP
    heights = [len(tasks) * task_height for tasks in panels]
    whole = sum(heights) + AXIS * len(panels)
    figure = make_subplots(
        rows=len(panels), cols=1, row_heights=heights, vertical_spacing=AXIS / whole if panels[1:] else 0
    )
    for panel, tasks in enumerate(panels, 1):
        for order, (name, style) in enumerate(marks.items()):
            shift = (order - (len(marks) - 1) / 2) * MARK / task_height
            own = {row["task"]: row for row in shown if row["embedder"] == name and row["task"] in tasks}
            heights_of = [tasks.index(task) + shift for task in own]
            for trace in _traces(list(own.values()), heights_of, columns, style):
                figure.add_trace(trace, row=panel, col=1)
        _axis(figure, panel, tasks, shown, dark)
    for name in marks:  # one entry of the legend stands for all of an embedder's marks
        first: Any = next(figure.select_traces({"legendgroup": name, "mode": "markers"}))
        first.showlegend = True
    _lay_out(figure, whole, dark)
    return figure


def _panels(rows: Sequence[Mapping[str, Any]], columns: Columns) -> list[list[str]]:
    """The tasks of each panel: first all that stay within -1 and 1, then each other one alone."""
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    numbers = {
        task: [
            row[name] for row in rows if row["task"] == task for name in columns[:3] if row[name] is not None
        ]
        for task in tasks
    }
    wide = [task for task in tasks if max(map(abs, numbers[task])) > 1]
    shared = [task for task in tasks if task not in wide]
    return [*([shared] if shared else []), *([task] for task in wide)]


def _style(index: int, dark: bool) -> dict[str, str]:
    """Colour and shape of an embedder; the shapes move on by one where the colours repeat."""
    shape = SYMBOLS[(index + index // len(palette.OKABE_ITO)) % len(SYMBOLS)]
    return {"color": palette.colour(index, dark), "symbol": shape}


def _traces(
    rows: Sequence[Mapping[str, Any]], heights: Sequence[float], columns: Columns, style: Mapping[str, str]
) -> list[go.Scatter]:
    """One embedder's intervals as lines, and its marks upon them; nothing without rows."""
    if not rows:
        return []
    name, colour = rows[0]["embedder"], style["color"]
    ends: list[float | None] = []
    levels: list[float | None] = []
    for row, height in zip(rows, heights, strict=True):
        if row[columns.low] is not None:
            ends += [row[columns.low], row[columns.high], None]
            levels += [height, height, None]
    group: dict[str, Any] = {"legendgroup": name, "name": palette.label(name, 32, 1), "showlegend": False}
    line = {"color": colour, "width": 2}
    hollow = [columns is DIFFERENCE and row[columns.low] <= 0 <= row[columns.high] for row in rows]
    marker = {
        "color": colour,
        "size": 8,
        "line": {"color": colour, "width": 1.5},
        "symbol": [f"{style['symbol']}-open" if one else style["symbol"] for one in hollow],
    }
    hover = {
        "customdata": [_hover(row, columns) for row in rows],
        "hovertemplate": "%{customdata}<extra></extra>",
    }
    at = [row[columns.value] for row in rows]
    return [
        go.Scatter(x=ends, y=levels, mode="lines", line=line, hoverinfo="skip", **group),
        go.Scatter(x=at, y=list(heights), mode="markers", marker=marker, **hover, **group),
    ]


def _hover(row: Mapping[str, Any], columns: Columns) -> str:
    number = f"{row[columns.value]:{columns.form}}"
    if row[columns.low] is not None:
        number += f" ({row[columns.low]:{columns.form}} to {row[columns.high]:{columns.form}})"
    lines = (palette.label(row["embedder"], 60, 1), _task(row), f"{number}, n = {row['n']:,}")
    return "<br>".join(lines)


def _task(row: Mapping[str, Any]) -> str:
    arrow = " ↓" if row["lower_is_better"] else ""
    metric = palette.label(metrics.name(row["metric"]), 28, 1)
    return f"{palette.label(row['task'], 28, 1)}, {metric}{arrow} ({palette.label(row['metric'], 28, 1)})"


def _axis(
    figure: go.Figure, panel: int, tasks: Sequence[str], rows: Sequence[Mapping[str, Any]], dark: bool
) -> None:
    first = {task: next(row for row in rows if row["task"] == task) for task in tasks}
    names = []
    for task in tasks:
        arrow = " ↓" if first[task]["lower_is_better"] else ""
        metric = palette.label(metrics.name(first[task]["metric"]), 24, 1)
        names.append(f"{palette.label(task, 24, 1)}{arrow}<br><span style='font-size:11px'>{metric}</span>")
    for row in range(0, len(tasks), 2):
        band: dict[str, Any] = {"y0": row - 0.5, "y1": row + 0.5, "line_width": 0, "layer": "below"}
        band |= {"fillcolor": "rgba(128,128,128,.09)", "row": panel, "col": 1}
        figure.add_hrect(**band)
    figure.update_yaxes(
        tickmode="array",
        tickvals=list(range(len(tasks))),
        ticktext=names,
        range=[len(tasks) - 0.5, -0.5],
        showgrid=False,
        zeroline=False,
        automargin=True,
        fixedrange=True,
        tickfont={"color": palette.ink(dark), "size": 13},
        row=panel,
        col=1,
    )


def _lay_out(figure: go.Figure, height: int, dark: bool) -> None:
    figure.update_xaxes(
        gridcolor="rgba(128,128,128,.22)",
        zeroline=False,
        tickfont={"color": palette.muted(dark), "size": 12},
    )
    figure.update_layout(
        height=height + 40,
        margin={"l": 0, "r": 8, "t": 34, "b": 0},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        hoverlabel={"bgcolor": palette.ground(dark), "font": {"color": palette.ink(dark), "size": 13}},
        legend={
            "orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0,
            "font": {"size": 13, "color": palette.ink(dark)},
        },
    )  # fmt: skip
