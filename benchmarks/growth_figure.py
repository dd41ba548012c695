"""The figure of `benchmarks.growth`: what was measured, on logarithmic axes; draws, never measures."""

from __future__ import annotations

import statistics
from typing import Any

from workbench.figures import palette
from workbench.figures.paper import style
from workbench.figures.paper.export import as_bytes

COLUMNS = 4


def draw(curves: list[dict[str, Any]]) -> bytes:
    """A panel for every kind of work, as an SVG: the median, the range of the turns, a dashed line in proportion."""
    with style.applied():
        rows = -(-len(curves) // COLUMNS)
        figure = style.sheet(style.VENUES["icml"].page, 1.55 * rows)
        panels = figure.subplots(rows, COLUMNS, squeeze=False).flatten()
        for panel, curve in zip(panels, curves, strict=False):
            _panel(panel, curve)
        for panel in panels[len(curves) :]:
            panel.axis("off")
        for first in panels[::COLUMNS]:
            first.set_ylabel("seconds")
    return as_bytes(figure, "svg")


def _panel(axes: Any, curve: dict[str, Any]) -> None:
    sizes, turns = curve["sizes"], curve["seconds"]
    middle = [statistics.median(times) for times in turns]
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.fill_between(
        sizes, [min(t) for t in turns], [max(t) for t in turns], color=palette.colour(0), alpha=0.2, lw=0
    )
    axes.plot(sizes, middle, color=palette.colour(0), marker="o")
    steady = [middle[-1] * size / sizes[-1] for size in sizes]
    shown = [(size, second) for size, second in zip(sizes, steady, strict=True) if second >= min(middle) / 3]
    axes.plot(*zip(*shown, strict=True), color=palette.muted(), lw=0.8, ls=(0, (3, 2)), zorder=0)
    axes.set_title(curve["work"])
    axes.set_xlabel(curve["size"])
    _ticks(axes.xaxis, sizes)
    low, high = axes.get_ylim()
    steps = (1, 3) if high < 100 * low else (1,)
    _ticks(axes.yaxis, [step * 10.0**power for power in range(-5, 5) for step in steps])


def _ticks(axis: Any, places: list[Any]) -> None:
    """Whole numbers and powers of ten as they are read, instead of matplotlib's formulas."""
    from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

    kept = places[::2] if len(places) > 4 and places[0] >= 1 else places
    low, high = axis.get_view_interval()
    axis.set_major_locator(FixedLocator(kept))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())
    axis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:.10f}".rstrip("0"))
    axis.set_view_interval(low, high, ignore=True)
