"""The one style of all paper figures: fonts, sizes, lines, colours, and how wide a column is where."""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from workbench.figures import palette

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

Width = Literal["column", "page"]
SMALLEST, SMALL, NORMAL = 6.0, 6.5, 7.0
"""Sizes of letters in points, as printed: nothing is smaller than the first."""
SANS = "DejaVu Sans"
"""It comes with matplotlib, so that a figure looks the same everywhere."""
NARROW = 4.0
"""Below this many inches a figure stacks its panels."""
SHADES = 64
"""Steps of a heat map's colours."""

STYLE: dict[str, Any] = {
    "font.family": SANS,
    "font.size": NORMAL,
    "axes.titlesize": NORMAL,
    "axes.titlelocation": "left",
    "axes.titlepad": 4,
    "axes.labelsize": NORMAL,
    "axes.labelpad": 2.5,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "legend.handlelength": 1.4,
    "legend.borderaxespad": 0.3,
    "figure.titlesize": NORMAL,
    "figure.dpi": 100,
    "savefig.dpi": 300,
    "axes.linewidth": 0.6,
    "axes.edgecolor": palette.muted(),
    "axes.labelcolor": palette.ink(),
    "axes.titlecolor": palette.ink(),
    "text.color": palette.ink(),
    "xtick.color": palette.muted(),
    "ytick.color": palette.muted(),
    "xtick.labelcolor": palette.ink(),
    "ytick.labelcolor": palette.ink(),
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "grid.color": "#E3E5E8",
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "patch.linewidth": 0.6,
    "figure.constrained_layout.h_pad": 0.045,
    "figure.constrained_layout.w_pad": 0.03,
    # Texts are data: a dollar sign is a dollar sign. Axes with powers of ten need a formatter of their own.
    "text.parse_math": False,
    "text.usetex": False,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "workbench",
}

_ALONE = threading.RLock()


class Venue(NamedTuple):
    """How wide a column and the page's text are, in inches; a venue of one column has two equal widths."""

    column: float
    page: float

    def inches(self, width: Width) -> float:
        """One of the two."""
        return self.column if width == "column" else self.page


VENUES = {
    "acl": Venue(3.03, 6.30),
    "neurips": Venue(5.5, 5.5),
    "icml": Venue(3.25, 6.75),
    "iclr": Venue(5.5, 5.5),
}


@contextmanager
def applied() -> Iterator[None]:
    """The style within the block, whatever a user's matplotlibrc says; one thread at a time, and undone behind it.

    matplotlib's settings belong to the whole process, hence the lock: the app draws in several threads.
    """
    import matplotlib

    with _ALONE, matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)  # pyright: ignore[reportCallIssue, reportArgumentType]
        yield


def sheet(width: float, height: float) -> Figure:
    """An empty figure of so many inches that lays itself out, of nobody's global state."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def colour_scale(kind: Literal["sequential", "diverging"]) -> Colormap:
    """The palette's scale as a colour map; NaN is the ground's own colour."""
    from matplotlib.colors import LinearSegmentedColormap

    stops = palette.sequential() if kind == "sequential" else palette.diverging()
    return LinearSegmentedColormap.from_list("workbench", [tuple(stop) for stop in stops])


def cells(
    axes: Axes,
    values: Float[np.ndarray, "rows columns"],
    *,
    top: float,
    around_zero: bool = False,
    gap: float = 0.06,
) -> ScalarMappable:
    """A heat map of vector cells, the first row on top, cell (i, j) around (j, i); NaN and nothing stay empty.

    `gap` is the share of a cell that stays white between two. Cells of one shade are one path: an SVG of some
    thousand cells stays small. Gives what a colour bar is made of.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    kind = "diverging" if around_zero else "sequential"
    low = -top if around_zero else 0.0
    shades = ScalarMappable(Normalize(low, top), colour_scale(kind))
    level = np.rint(np.clip((values - low) / (top - low), 0, 1) * SHADES)
    level[np.isnan(values) | (level == -low / (top - low) * SHADES)] = np.nan
    half = 0.5 - gap / 2
    corners = np.array([(-half, -half), (half, -half), (half, half), (-half, half), (-half, -half)])
    codes = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY]
    for shade in np.unique(level[~np.isnan(level)]):
        centres = np.argwhere(level == shade)[:, None, ::-1]
        path = Path((centres + corners).reshape(-1, 2), codes * len(centres))
        axes.add_patch(PathPatch(path, facecolor=shades.cmap(shade / SHADES), linewidth=0))
    rows, columns = values.shape
    axes.set_xlim(-0.5, columns - 0.5)
    axes.set_ylim(rows - 0.5, -0.5)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return shades


def shorten(text: str, letters: int) -> str:
    """A text cut to so many letters, with an ellipsis where something went."""
    return text if len(text) <= letters else f"{text[: max(letters - 1, 0)]}…"


def one_line(text: str, letters: int) -> str:
    """A text of anybody's as a label: one line, cut, and without what XML cannot hold or what turns text around.

    Control characters and halves of pairs become "�", invisible marks (of direction, say) go.
    """
    kept = []
    for letter in " ".join(text[: 4 * letters].split()):
        kind = unicodedata.category(letter)
        if kind != "Cf":
            kept.append("�" if kind in ("Cc", "Cs", "Cn") else letter)
    return shorten("".join(kept), letters)


def letters_in(inches: float, size: float = SMALLEST) -> int:
    """How many letters of ordinary text fit; DejaVu Sans is about 0.6 of its size wide, capitals more."""
    return max(int(inches * 72 / (size * 0.6)), 1)


class Panels(NamedTuple):
    """Places for tables, the last one for a plot, and how many inches a table has."""

    axes: list[Axes]
    inches: float


def tables_above(figure: Figure, tables: int, tall: float, below: float) -> Panels:
    """Tables side by side, or one below the other in a column, `tall` inches each, and a plot of `below` inches."""
    width = figure.get_figwidth()
    if width < NARROW:
        heights = [tall] * tables + [below]
        return Panels(list(figure.subplots(tables + 1, 1, height_ratios=heights)), width)
    grid = figure.add_gridspec(2, tables, height_ratios=[tall, below])
    axes = [figure.add_subplot(grid[0, place]) for place in range(tables)]
    return Panels([*axes, figure.add_subplot(grid[1, :])], width / tables)


def panel_letters(axes: Iterable[Axes], titles: Sequence[str], pad: float = 4.0) -> None:
    """Titles (a), (b) ... so many points above the panels."""
    for number, (one, title) in enumerate(zip(axes, titles, strict=True)):
        one.set_title(f"({chr(ord('a') + number)}) {title}", pad=pad)
