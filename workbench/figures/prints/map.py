"""The map of many texts for paper, with what was looked at drawn on top."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from workbench.figures import palette
from workbench.figures.map import DIMMED, MapData, Marks
from workbench.figures.map_marks import discs
from workbench.figures.paper import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

WIDTH, LETTERS = 6.3, 120
"""Inches, and letters of a sentence in a line of so many."""
RASTER_FROM = 5000
"""From so many points on they are a picture within the file, whose letters and lines stay what they are."""
COLUMNS, NAME = 4, 26
"""Of the legend, and the letters of a name in it."""
SHAPES = {"circle": "o", "diamond": "D", "square": "s", "triangle-up": "^", "cross": "P", "star": "*"}
"""What matplotlib calls the palette's shapes."""
EDGE = 0.04
"""Around the points, as a share of the map's size."""
WAY = {"color": palette.ink(), "linewidth": 1.0, "arrowstyle": "-|>", "mutation_scale": 7}


class Window(NamedTuple):
    """The part of the plane that is shown, and its height over its width."""

    x: tuple[float, float]
    y: tuple[float, float]
    ratio: float


def map_print(data: MapData, *, marks: Marks | None = None, says: Sequence[str] = ()) -> Figure:
    """`neighbour_map` for paper, with the sentences `says` above it; arrows' stops are named in the legend."""
    marks = marks or Marks()
    places = data.coords if data.own is None else np.concatenate([data.coords, data.own[1][None]])
    window = window_of(places, 0.45, 0.9)
    lines = [line for said in says for line in wrapped(said)]
    handles = handles_of(data, marks)
    with style.applied():
        figure = style.sheet(WIDTH, WIDTH * window.ratio + 0.14 * len(lines) + legend_height(handles))
        axes = figure.add_subplot()
        scale = panel(axes, data, marks, window)
        if lines:
            axes.set_title("\n".join(lines), fontsize=style.SMALL, color=palette.muted())
        finish(figure, [axes], handles, scale, data.name)
    return figure


def wrapped(said: str) -> list[str]:
    """A sentence as lines that fit."""
    return textwrap.wrap(style.one_line(said, 400), LETTERS)


def window_of(places: np.ndarray, least: float, most: float) -> Window:
    """All places with an edge around them, in a shape that is neither too flat nor too tall."""
    low, high = (places.min(0), places.max(0)) if len(places) else (-np.ones(2), np.ones(2))
    size = (high - low).astype(float)
    edge = EDGE * max(float(size.max()), 1e-6)
    wide, tall = size + 2 * edge
    ratio = min(max(tall / wide, least), most)
    wide, tall = max(wide, tall / ratio), max(tall, wide * ratio)
    middle = (low + high) / 2
    x, y = ((float(m) - s / 2, float(m) + s / 2) for m, s in zip(middle, (wide, tall), strict=True))
    return Window(x, y, ratio)


def panel(axes: Axes, data: MapData, marks: Marks, window: Window) -> ScalarMappable | None:
    """One map; gives what its colour bar is made of where it is coloured by numbers."""
    rows = np.arange(len(data.texts)) if marks.visible is None else np.asarray(marks.visible)
    chosen = np.isin(rows, np.asarray(marks.selected, dtype=np.int64))
    scale = None
    for shown, alpha in ((rows[~chosen], DIMMED if chosen.any() else 0.8), (rows[chosen], 0.9)):
        if data.numbers is not None:
            scale = _numbers(axes, data, shown, alpha) or scale
            continue
        groups = np.asarray(data.groups, dtype=object)[shown]
        for group, style_of in _styles(data).items():
            mine = data.coords[shown[groups == group]]
            _points(axes, mine, len(data.texts), alpha, **style_of)
    _add_marks(axes, data, marks)
    axes.set(xticks=[], yticks=[], xlim=window.x, ylim=window.y)
    axes.set_box_aspect(window.ratio)
    axes.spines[:].set_visible(True)
    axes.spines[:].set_color("#D3D6DA")
    return scale


def _styles(data: MapData) -> dict[str, dict[str, Any]]:
    """How each group is drawn: as the map in the app, what is left over first and without a colour."""
    coloured = [group for group in palette.groups(data.groups) if group not in data.rest]
    plain = {"marker": "o", "color": palette.muted(), "markerfacecolor": "none", "markeredgewidth": 0.4}
    return {group: plain for group in data.rest if group in set(data.groups)} | {
        group: {
            "marker": SHAPES[palette.symbol(number)],
            "color": palette.colour(number),
            "markeredgewidth": 0,
        }
        for number, group in enumerate(coloured)
    }


def _points(axes: Axes, places: np.ndarray, among: int, alpha: float, **how: Any) -> None:
    axes.plot(
        places[:, 0], places[:, 1], linestyle="none", markersize=_size(among), alpha=alpha,
        rasterized=among >= RASTER_FROM, **how,
    )  # fmt: skip


def _numbers(axes: Axes, data: MapData, rows: np.ndarray, alpha: float) -> ScalarMappable | None:
    from matplotlib.colors import LinearSegmentedColormap

    assert data.numbers is not None
    known = data.numbers[np.isfinite(data.numbers)]
    has = np.isfinite(data.numbers[rows])
    _points(axes, data.coords[rows[~has]], len(data.texts), alpha, marker="o", color=palette.muted(),
            markeredgewidth=0)  # fmt: skip
    if not has.any():
        return None
    mine = rows[has]
    colours = LinearSegmentedColormap.from_list("ramp", [tuple(stop) for stop in palette.ramp()])
    return axes.scatter(
        data.coords[mine, 0], data.coords[mine, 1], c=data.numbers[mine], cmap=colours, alpha=alpha, linewidths=0,
        s=_size(len(data.texts)) ** 2, vmin=float(known.min()), vmax=float(known.max()), zorder=2,
        rasterized=len(data.texts) >= RASTER_FROM,
    )  # fmt: skip


def _size(among: int) -> float:
    """Points across a mark: fewer, the more of them there are."""
    return 4.0 if among < 500 else 2.6 if among < RASTER_FROM else 1.4


def _add_marks(axes: Axes, data: MapData, marks: Marks) -> None:
    """Rings around a point and its neighbours, the user's own text, and arrows between numbered discs."""
    ring: dict[str, Any] = {"marker": "o", "linestyle": "none", "markerfacecolor": "none", "zorder": 5}
    if marks.focus is not None:
        centre = data.at(marks.focus)
        for row in marks.neighbours:
            other = data.coords[row]
            axes.plot(*np.stack([centre, other]).T, color=palette.ink(), linewidth=0.5, alpha=0.45, zorder=4)
            axes.plot(*other, color=palette.ink(), markersize=5.5, markeredgewidth=0.6, **ring)
        axes.plot(*centre, color=palette.ink(), markersize=8, markeredgewidth=1.2, **ring)
    if data.own is not None:
        axes.plot(*data.own[1], "*", color=palette.ink(), markersize=9, markeredgecolor="white", zorder=6,
                  markeredgewidth=0.6)  # fmt: skip
    found = discs([np.asarray(place) for _, _, place in marks.arrows])
    places = [(float(place[0]), float(place[1])) for _, _, place in marks.arrows]
    for one, other in pairwise(found):
        shrink = {"shrinkA": 5, "shrinkB": 5}
        axes.annotate("", places[other[0]], places[one[0]], arrowprops={**WAY, **shrink}, zorder=6)
    for disc in found:
        numbers = " ".join(str(row + 1) for row in disc)
        box = {"boxstyle": "circle,pad=0.25", "facecolor": palette.ink(), "edgecolor": "white"}
        x, y = places[disc[0]]
        axes.text(x, y, numbers, ha="center", va="center", color="white", fontsize=style.SMALLEST,
                  bbox=box, zorder=7)  # fmt: skip


def handles_of(data: MapData, marks: Marks) -> list[Line2D]:
    """The legend: the groups that are drawn, then what stands on top of them."""
    from matplotlib.lines import Line2D

    rows = range(len(data.texts)) if marks.visible is None else np.asarray(marks.visible).tolist()
    drawn = {data.groups[row] for row in rows} if data.numbers is None else set()
    known = [(group, how) for group, how in _styles(data).items() if group in drawn]
    known.sort(key=lambda pair: pair[0] in data.rest)
    entries = [(group.replace("_", " ") or "no group", how) for group, how in known]
    if [name for name, _ in entries] == ["no group"]:
        entries = []
    if data.numbers is not None and not np.isfinite(data.numbers[list(rows)]).all():
        entries.append(("none", {"marker": "o", "color": palette.muted(), "markeredgewidth": 0}))
    if data.own is not None:
        entries.append(("your text", {"marker": "*", "color": palette.ink(), "markeredgewidth": 0}))
    entries += [
        (f"{number} {name}", {"color": "none"}) for number, (name, _, _) in enumerate(marks.arrows, 1)
    ]
    size: dict[str, Any] = {"linestyle": "none", "markersize": 4}
    return [Line2D([], [], label=style.one_line(name, NAME), **how, **size) for name, how in entries]


def legend_height(handles: Sequence[Line2D]) -> float:
    return 0.15 * -(-len(handles) // COLUMNS) + 0.1 if handles else 0.0


def finish(
    figure: Figure, panels: Sequence[Axes], handles: Sequence[Line2D], scale: ScalarMappable | None, name: str
) -> None:
    """The colour bar of numbers, and the legend below."""
    if scale is not None:
        bar = figure.colorbar(scale, ax=list(panels), shrink=0.6, pad=0.01, aspect=25)
        bar.set_label(style.one_line(name, NAME))
        bar.solids.set_alpha(1)  # pyright: ignore[reportOptionalMemberAccess]
        bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    if handles:
        figure.legend(handles=list(handles), loc="outside lower left", ncols=COLUMNS, handletextpad=0.3,
                      columnspacing=1.0)  # fmt: skip
