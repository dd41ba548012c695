"""The contexts whose states are nearest to the special tokens', and how often they name the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.figures import palette
from workbench.figures.paper import style
from workbench.figures.paper.figure import PaperFigure
from workbench.figures.paper.needs import BOUNDS, Like, Many, Named
from workbench.figures.paper.table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW = 0.15
"""Inches of a row of a table."""
LINES = ((palette.OKABE_ITO[0], "o-"), (palette.OKABE_ITO[6], "s--"))

NEEDS = {
    "tables": Many(
        {
            "text": str,
            "labels": Many(str, "tokens"),
            "snippets": Many(Like("«.*»"), "tokens"),
            "cosines": Many(float, "tokens"),
        }
    ),
    "layers": Many(int, "layers"),
    "shares": Named(Many(BOUNDS, "layers"), 2),
}


def draw(results: dict[str, Any], width: float) -> Figure:
    """A table for each text, and below them the shares by layer."""
    data = results["data"]
    tables = data["tables"]
    narrow = width < style.NARROW
    tall, below = max(len(table["labels"]) for table in tables) * ROW + 0.3, 1.4
    figure = style.sheet(width, tall * (len(tables) if narrow else 1) + below)
    panels, inches = style.tables_above(figure, len(tables), tall, below)
    letters = style.letters_in(inches - 0.5, style.NORMAL)
    for axes, table in zip(panels, tables, strict=False):
        _contexts(axes, table, inches - 0.85)
    _shares(panels[-1], data["layers"], data["shares"])
    titles = [style.shorten(table["text"], letters) for table in tables]
    style.panel_letters(panels, [*titles, "nearest contexts that name"])
    return figure


def table(results: dict[str, Any]) -> Table:
    """A row for each special token of each text."""
    rows = [
        [table["text"] if number == 0 else "", label, snippet, f"{cosine:.2f}"]
        for table in results["data"]["tables"]
        for number, (label, snippet, cosine) in enumerate(
            zip(table["labels"], table["snippets"], table["cosines"], strict=True)
        )
    ]
    return Table(["query", "special token", "nearest context", "cosine"], rows, text_columns=3)


def around(snippet: str, letters: int) -> str:
    """So many letters of a snippet around its token, which stands between « and »."""
    if len(snippet) <= letters:
        return snippet
    start, end = snippet.index("«"), snippet.index("»") + 1
    spare = max(letters - (end - start), 0)
    first = max(0, min(start - spare // 2, len(snippet) - letters))
    cut = snippet[first : first + letters]
    head, tail = first > 0, first + letters < len(snippet)
    return ("…" + cut[1:] if head else cut)[: letters - tail] + ("…" if tail else "")


def _contexts(axes: Axes, table: dict[str, Any], inches: float) -> None:
    letters = style.letters_in(inches)
    for row, (snippet, cosine) in enumerate(zip(table["snippets"], table["cosines"], strict=True)):
        colour = palette.ink() if row == 0 or snippet != table["snippets"][row - 1] else palette.muted()
        axes.text(0.005, row, around(snippet, letters), va="center", fontsize=style.SMALLEST, color=colour)
        axes.text(1, row, f"{cosine:.2f}", va="center", ha="right", fontsize=style.SMALLEST)
    axes.set(xlim=(0, 1), ylim=(len(table["snippets"]) - 0.5, -0.5))
    axes.set_yticks(range(len(table["labels"])), table["labels"])
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _shares(axes: Axes, layers: list[int], shares: dict[str, list[list[float]]]) -> None:
    for (name, found), (colour, mark) in zip(shares.items(), LINES, strict=True):
        mean, low, high = ([bounds[end] for bounds in found] for end in range(3))
        axes.fill_between(layers, low, high, color=colour, alpha=0.2, linewidth=0)
        axes.plot(layers, mean, mark, color=colour, label=name)
    top = max(bounds[2] for found in shares.values() for bounds in found)
    axes.set(xlabel="layer", ylabel="share", ylim=(-0.03 * top, top * 1.45))
    axes.set_xticks(layers)
    axes.grid(axis="y")
    axes.legend(loc="upper left")


FIGURE = PaperFigure(
    "latent_lens",
    "The latent lens: what contexts the special tokens remind of",
    "For each of {tokens} special tokens in layer {layer}, the nearest of {contexts} tokens in the contexts of "
    "{passages} passages, by cosine, for “{texts}”, questions fixed in the script; the token stands between « and ». "
    "Near duplicates of the query and of the model's response are left out ({excluded} passages). Below, over "
    "{queries} held-out queries: the share of special tokens whose nearest context names the answer, in layer "
    "{layer} {own_mean:.2f} [{own_low:.2f}, {own_high:.2f}], beside the answer of another query of the same kind, "
    "{other_mean:.2f} [{other_low:.2f}, {other_high:.2f}] (brackets and bands: 95 % bootstrap intervals over "
    "queries). The layer is the one with the most answers for {choosing} other held-out queries.",
    "python -m analyses.latent_lens",
    draw,
    NEEDS,
    table,
)  # fmt: skip
