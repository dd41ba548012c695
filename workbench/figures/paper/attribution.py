"""An attribution map, and its predictions beside what interventions do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.figures import palette
from workbench.figures.paper import style
from workbench.figures.paper.figure import PaperFigure
from workbench.figures.paper.needs import Many, Maybe

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINEAR = 0.01
MARKS = (-10.0, -0.1, 0.0, 0.1, 10.0)

NEEDS = {
    "labels": Many(str, "special"),
    "tokens": Many(str, "decoded"),
    "values": Many(Many(Maybe(float), "decoded"), "special"),
    "predicted": Many(float, "effects"),
    "real": Many(float, "effects"),
}


def draw(results: dict[str, Any], width: float) -> Figure:
    """Special tokens by decoded tokens on the left, predicted against real effects on the right."""
    data = results["data"]
    values = np.array(data["values"], dtype=float)
    narrow = width < style.NARROW
    figure = style.sheet(width, 4.6 if narrow else 2.5)
    panels = figure.subplots(2, 1) if narrow else figure.subplots(1, 2, width_ratios=[1.6, 1])
    _map(panels[0], data["labels"], data["tokens"], values)
    _check(panels[1], np.array(data["predicted"]), np.array(data["real"]))
    style.panel_letters(panels, ["effect of each special token", "predicted and real effects"])
    return figure


def _map(axes: Axes, labels: list[str], tokens: list[str], values: np.ndarray) -> None:
    """Colours by the root of an effect: most of them are small."""
    top = float(np.nanmax(np.abs(values), initial=0)) or 1.0
    mesh = style.cells(axes, np.sign(values) * np.sqrt(np.abs(values)), top=top**0.5, around_zero=True)
    axes.set_xticks(range(len(tokens)), [style.shorten(token, 12) for token in tokens], rotation=90)
    axes.set_yticks(range(len(labels)), labels)
    bar = axes.figure.colorbar(mesh, ax=axes, pad=0.02, aspect=25)
    marks = np.array([-1, -0.25, -0.05, 0, 0.05, 0.25, 1]) * top
    bar.set_ticks(list(np.sign(marks) * np.sqrt(np.abs(marks))), labels=[_signed(mark) for mark in marks])
    bar.set_label("log-probability lost")
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]


def _check(axes: Axes, predicted: np.ndarray, real: np.ndarray) -> None:
    """Both axes are linear around 0 and logarithmic beyond."""
    from matplotlib.ticker import NullLocator

    axes.axhline(0, color=palette.muted(), linewidth=0.5)
    axes.axvline(0, color=palette.muted(), linewidth=0.5)
    axes.plot(predicted, real, "o", color=palette.OKABE_ITO[0], markersize=2.2, alpha=0.35, markeredgewidth=0)
    largest = float(np.abs(np.concatenate([predicted, real])).max(initial=LINEAR)) * 1.5
    marks = [mark for mark in MARKS if abs(mark) <= largest]
    axes.set_xscale("symlog", linthresh=LINEAR)
    axes.set_yscale("symlog", linthresh=LINEAR)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(marks, labels=[_signed(mark) for mark in marks])
        axis.set_minor_locator(NullLocator())
    axes.set_xlabel("predicted: replaced by nothing")
    axes.set_ylabel("real: replaced by other texts’")


def _signed(value: float) -> str:
    return f"{value:.2g}".replace("-", "−")


FIGURE = PaperFigure(
    "attribution",
    "What each special token is worth, and whether that holds",
    "(a) Log-probability that each decoded token loses when a special token's soft prompt is replaced by nothing, "
    "for “{text}”, a question fixed in the script, which decodes to “{decoded}”; colours go with the root of an "
    "effect. (b) The same prediction for {queries} held-out queries beside what happens when the soft prompt is "
    "replaced by those of other texts: rank correlation {correlation:.3f} [{low:.3f}, {high:.3f}] (95 % bootstrap "
    "interval over queries) of {effects} effects, of which {shown} are drawn, on axes that are linear "
    "up to 0.01 and logarithmic beyond; with the special tokens shuffled {control:.3f} (95 % of shuffles: "
    "[{control_low:.3f}, {control_high:.3f}]).",
    "python -m analyses.attribution",
    draw,
    NEEDS,
)  # fmt: skip
