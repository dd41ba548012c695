"""A training run for paper: its losses with the learning rate below, and how its decoded samples come along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from workbench.figures import palette
from workbench.figures.paper import intervals, style
from workbench.figures.training import COSINE, RATE, SHARED, TOTAL, label, loss_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 6.3
DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1)))


def losses_print(rows: Sequence[Mapping[str, float | int]], *, log: bool = False) -> Figure:
    """`training.losses` for paper; rows are lines of log.jsonl, and none give empty axes."""
    names = loss_names(rows)
    has_rate = any(RATE in row for row in rows)
    with style.applied():
        figure = style.sheet(WIDTH, 2.6 + 0.15 * max(-(-len(names) // 4) - 1, 0) + 0.6 * has_rate)
        ratios = [0.78, 0.22] if has_rate else [1]
        panels: list[Axes] = list(
            figure.subplots(len(ratios), 1, sharex=True, squeeze=False, height_ratios=ratios)[:, 0]
        )
        for number, name in enumerate(names):
            dash, wide = DASHES[number % len(DASHES)], 1.6 if name == TOTAL else 1.1
            shown = style.one_line(label(name), 40)
            _line(panels[0], rows, name, log, color=palette.colour(number), linestyle=dash, linewidth=wide,
                  label=shown)  # fmt: skip
        panels[0].set_ylabel("loss")
        if log and panels[0].lines:
            _logarithmic(panels[0])
        if has_rate:
            _line(panels[1], rows, RATE, False, color=palette.muted(), linewidth=1.1)
            panels[1].set_ylabel("rate")
            panels[1].set_ylim(bottom=0)
            panels[1].locator_params(axis="y", nbins=2)
            panels[1].yaxis.set_major_formatter(lambda rate, _: f"{rate:g}")
        _steps(panels)
        if panels[0].lines:
            figure.legend(loc="outside upper left", ncols=4, columnspacing=1.2)
    return figure


def samples_print(
    steps: Sequence[int], shared: Sequence[float | None], cosine: Sequence[float | None]
) -> Figure:
    """`training.samples` for paper: each is a line where it is known at some step."""
    with style.applied():
        figure = style.sheet(WIDTH, 2.0)
        axes = figure.add_subplot()
        for number, (name, values) in enumerate(((SHARED, shared), (COSINE, cosine))):
            known = [(step, value) for step, value in zip(steps, values, strict=True) if value is not None]
            if known:
                axes.plot(*zip(*known, strict=True), color=palette.colour(number), linestyle=DASHES[number],
                          marker="oD"[number], markersize=2.5, label=name)  # fmt: skip
        axes.set_ylabel("mean")
        _steps([axes])
        if axes.lines:
            figure.legend(loc="outside upper left", ncols=2)
    return figure


def _line(
    axes: Axes, rows: Sequence[Mapping[str, float | int]], name: str, above_zero: bool, **how: Any
) -> None:
    """What was logged under a name, as a line; as points where there are fewer than three."""
    found = [(row["step"], row[name]) for row in rows if isinstance(row.get(name), int | float)]
    kept = [(step, value) for step, value in found if value > 0 or not above_zero]
    if kept:
        marker = "o" if len(kept) < 3 else ""
        axes.plot(*zip(*kept, strict=True), marker=marker, markersize=2.5, **how)


def _logarithmic(axes: Axes) -> None:
    """A logarithmic axis whose ticks are plain numbers: powers are not drawn as mathematics."""
    from matplotlib.ticker import LogLocator, NullLocator

    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 1000 else (1,)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(lambda tick, _: f"{tick:g}")


def _steps(panels: Sequence[Axes]) -> None:
    """Grids, and the steps below the last panel; no ticks where there is nothing."""
    from matplotlib.ticker import MaxNLocator

    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in panels:
        axes.grid(visible=True, axis="y")
        axes.set_axisbelow(True)
        if axes.lines:
            intervals.keep_inside(axes)
        else:
            axes.set(xticks=[], yticks=[])
    panels[-1].set_xlabel("step")
    panels[-1].xaxis.set_major_formatter(lambda step, _: f"{step:,.0f}")
