"""Marks with their intervals, one way in all figures: a mark, a thin line as long as the interval, no caps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from workbench.figures import palette

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = 3.0
"""Points across a mark: small, so that short intervals still show."""
Shown = Mapping[str, Any]
"""A number as results files hold it: `value`, `low` and `high`; None where there was nothing to measure."""


def beside(
    axes: Axes,
    at: Sequence[float | int],
    shown: Sequence[Shown],
    *,
    colour: str,
    marker: str = "o",
    label: str = "",
) -> None:
    """Marks at the heights `at`, with their intervals lying."""
    _marks(axes, at, shown, colour, marker, label, lying=True)


def upright(
    axes: Axes,
    at: Sequence[float | int],
    shown: Sequence[Shown],
    *,
    colour: str,
    marker: str = "o",
    label: str = "",
    joined: bool = True,
) -> None:
    """Marks above the places `at`, with their intervals standing, and a line from one to the next."""
    there = [(place, one) for place, one in zip(at, shown, strict=True) if one["value"] is not None]
    if joined:
        places, values = [place for place, _ in there], [one["value"] for _, one in there]
        axes.plot(places, values, color=colour, linewidth=0.9, zorder=2)
    _marks(axes, at, shown, colour, marker, label, lying=False)


def reference(axes: Axes, value: float | int, *, lying: bool = True) -> None:
    """A dashed grey line for what the marks are to be compared with."""
    style: dict[str, Any] = {
        "color": palette.muted(),
        "linewidth": 0.8,
        "linestyle": (0, (4, 2)),
        "zorder": 1.8,  # above the grid, which may lie at the same height, and below the marks
    }
    (axes.axhline if lying else axes.axvline)(value, **style)


def keep_inside(axes: Axes) -> None:
    """Fixes the ticks that lie within the limits as they are now: matplotlib also lays out those beyond."""
    for axis, limits in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
        low, high = sorted(limits)
        axis.set_ticks([tick for tick in axis.get_majorticklocs() if low <= tick <= high])


def _marks(
    axes: Axes,
    at: Sequence[float | int],
    shown: Sequence[Shown],
    colour: str,
    marker: str,
    label: str,
    *,
    lying: bool,
) -> None:
    there = [(place, one) for place, one in zip(at, shown, strict=True) if one["value"] is not None]
    places, values = [place for place, _ in there], [one["value"] for _, one in there]
    bounded = [(place, one["low"], one["high"]) for place, one in there if one["low"] is not None]
    line = axes.hlines if lying else axes.vlines
    line(
        [x[0] for x in bounded], [x[1] for x in bounded], [x[2] for x in bounded], color=colour, linewidth=0.9
    )
    across, up = (values, places) if lying else (places, values)
    axes.plot(
        across, up, linestyle="none", marker=marker, markersize=SIZE, markeredgewidth=0, color=colour,
        label=label or None, zorder=3,
    )  # fmt: skip
