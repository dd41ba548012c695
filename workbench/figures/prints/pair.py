"""Two maps of the same texts for paper, and how a training run comes near its last step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from workbench.figures import palette
from workbench.figures.map import MapData, Marks
from workbench.figures.paper import intervals, style
from workbench.figures.prints.map import WIDTH, finish, handles_of, legend_height, panel, window_of, wrapped

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def pair_print(
    left: tuple[str, MapData, Marks],
    right: tuple[str, MapData, Marks],
    *,
    around: Float[np.ndarray, "m 2"] | None = None,
    says: str = "",
) -> Figure:
    """`pair_map` for paper, with the sentence `says` above."""
    places = np.concatenate([left[1].coords, right[1].coords]) if around is None else around
    own = [data.own[1][None] for _, data, _ in (left, right) if data.own is not None]
    window = window_of(np.concatenate([places, *own]), 0.6, 1.1)
    handles = handles_of(left[1], left[2])
    with style.applied():
        height = (WIDTH / 2) * window.ratio + 0.5 + legend_height(handles)
        figure = style.sheet(WIDTH, height)
        panels = list(figure.subplots(1, 2))
        scales = [
            panel(axes, data, marks, window)
            for axes, (_, data, marks) in zip(panels, (left, right), strict=True)
        ]
        style.panel_letters(panels, [style.one_line(title, 48) for title, _, _ in (left, right)])
        if says:
            figure.suptitle(
                "\n".join(wrapped(says)), fontsize=style.SMALL, color=palette.muted(), x=0.01, ha="left"
            )
        finish(figure, panels, handles, scales[0], left[1].name)
    return figure


def approach_print(
    steps: Sequence[int],
    overlaps: Sequence[float],
    residuals: Sequence[float],
    *,
    chance: float,
    shuffled: Sequence[float],
    marked: Sequence[int] = (),
) -> Figure:
    """`approach_chart` for paper; dotted lines are what texts paired at random reach."""
    with style.applied():
        figure = style.sheet(WIDTH, 2.1)
        axes = figure.add_subplot()
        lines = (
            ("neighbours shared with the last step", overlaps, [chance] * len(steps)),
            ("residual to the last step", residuals, shuffled),
        )
        for number, (name, values, others) in enumerate(lines):
            colour, marker = palette.colour(number), "oD"[number]
            axes.plot(steps, values, color=colour, marker=marker, markersize=2.5, label=name)
            axes.plot(steps, others, color=colour, linestyle=":", linewidth=0.9, label="at random")
        for step in dict.fromkeys(marked):
            axes.axvline(step, color=palette.ink(), linewidth=0.6)
        axes.set(xlabel="step", ylim=(-0.03, 1.05))
        intervals.keep_inside(axes)
        axes.xaxis.set_major_formatter(lambda step, _: f"{step:,.0f}")
        axes.grid(visible=True, axis="y")
        figure.legend(loc="outside upper left", ncols=4)
    return figure
