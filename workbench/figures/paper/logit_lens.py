"""The top tokens of every special token, marked by whether anyone said them, and the same counted layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from workbench.figures import palette
from workbench.figures.paper import style
from workbench.figures.paper.figure import PaperFigure
from workbench.figures.paper.needs import BOUNDS, Many, OneOf
from workbench.figures.paper.table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW = 0.15
"""Inches of a row of a table."""
NOVEL = 2
INKS = {0: palette.muted(), 1: palette.OKABE_ITO[0], NOVEL: palette.ink(), -1: palette.muted()}
"""By where a word stands: in the query, in the response alone, in neither; -1 is no word."""
TINT = "#FBE3C8"
LINES = (palette.OKABE_ITO[6], palette.OKABE_ITO[0], palette.OKABE_ITO[5])
MARKS = ("s-", "o-", "D-")

NEEDS = {
    "tables": Many(
        {
            "text": str,
            "labels": Many(str, "tokens"),
            "tokens": Many(Many(str, "k"), "tokens"),
            "sorts": Many(Many(OneOf(INKS), "k"), "tokens"),
        }
    ),
    "layers": Many(int, "layers"),
    "sorts": Many(str, 3),
    "shares": Many(Many(BOUNDS, 3), "layers"),
    "control": Many(BOUNDS, "layers"),
}


def draw(results: dict[str, Any], width: float) -> Figure:
    """A table for each text, and below them the shares of the three sorts of words by layer."""
    data = results["data"]
    tables = data["tables"]
    narrow = width < style.NARROW
    rows = max(len(table["labels"]) for table in tables)
    tall, below = rows * ROW + 0.3, 1.95 if narrow else 1.6
    figure = style.sheet(width, tall * (len(tables) if narrow else 1) + below)
    panels, inches = style.tables_above(figure, len(tables), tall, below)
    for axes, table in zip(panels, tables, strict=False):
        _words(axes, table, inches - 0.35)
    _shares(
        panels[-1], data["layers"], dict(zip(data["sorts"], zip(*data["shares"], strict=True), strict=True))
    )
    control = [mean for mean, _, _ in data["control"]]
    panels[-1].plot(data["layers"], control, ":", color=LINES[1], label="in another query’s response alone")
    handles, labels = panels[-1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=1 if narrow else 4)
    letters = style.letters_in(inches - 0.5, style.NORMAL)
    titles = [style.shorten(table["text"], letters) for table in tables]
    style.panel_letters(panels, [*titles, "share of the top words"])
    return figure


def table(results: dict[str, Any]) -> Table:
    """A row for each special token of each text; a word that no one said has an asterisk."""
    rows = [
        [table["text"] if number == 0 else "", label,
         ", ".join(f"{token}{'*' if sort == NOVEL else ''}" for token, sort in zip(tokens, sorts, strict=True))]
        for table in results["data"]["tables"]
        for number, (label, tokens, sorts) in enumerate(
            zip(table["labels"], table["tokens"], table["sorts"], strict=True)
        )
    ]  # fmt: skip
    return Table(["query", "special token", "top tokens"], rows, text_columns=3)


def _words(axes: Axes, table: dict[str, Any], inches: float) -> None:
    from matplotlib.patches import Rectangle

    columns = len(table["tokens"][0])
    letters = style.letters_in(inches / columns - 0.03)
    for row, (tokens, sorts) in enumerate(zip(table["tokens"], table["sorts"], strict=True)):
        for column, (token, sort) in enumerate(zip(tokens, sorts, strict=True)):
            if sort == NOVEL:
                axes.add_patch(Rectangle((column, row - 0.42), 0.97, 0.84, color=TINT, linewidth=0))
            axes.text(
                column + 0.03, row, style.shorten(token, letters), va="center", fontsize=style.SMALLEST,
                color=INKS[sort], fontweight="bold" if sort == NOVEL else "normal",
            )  # fmt: skip
    axes.set(xlim=(0, columns), ylim=(len(table["tokens"]) - 0.5, -0.5))
    axes.set_yticks(range(len(table["labels"])), table["labels"])
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _shares(axes: Axes, layers: list[int], shares: dict[str, Sequence[Sequence[float]]]) -> None:
    for (name, found), colour, mark in zip(shares.items(), LINES, MARKS, strict=True):
        mean, low, high = zip(*found, strict=True)
        axes.fill_between(layers, low, high, color=colour, alpha=0.2, linewidth=0)
        axes.plot(layers, mean, mark, color=colour, label=name)
    axes.set(xlabel="layer (0: the input rows)", ylim=(-0.03, 1.03))
    axes.set_xticks(layers)
    axes.set_yticks([0, 0.5, 1], ["0", "50 %", "100 %"])
    axes.grid(axis="y")


FIGURE = PaperFigure(
    "logit_lens",
    "The logit lens, with the words marked that nobody said",
    "Top {k} tokens of the model's own head at each of {tokens} special tokens, last layer ({layer}), for “{texts}”, "
    "questions fixed in the script. Grey: in the query; blue: in the model's response alone; bold on "
    "orange: a word of neither. A token stands in a text where it is a word of it or a piece that the "
    "tokenizer cuts such a word into, in any case. Below, of the top words of {queries} held-out queries: in the last "
    "layer {query_mean:.2f} [{query_low:.2f}, {query_high:.2f}] stand in the query, {response_mean:.2f} "
    "[{response_low:.2f}, {response_high:.2f}] in the response alone (in another query's response alone: "
    "{control_mean:.2f} [{control_low:.2f}, {control_high:.2f}], the difference {gain_mean:+.2f} [{gain_low:+.2f}, "
    "{gain_high:+.2f}]), {novel_mean:.2f} [{novel_low:.2f}, {novel_high:.2f}] in neither (brackets and bands: 95 % "
    "bootstrap intervals over queries). Signs and control tokens are no words.",
    "python -m analyses.logit_lens",
    draw,
    NEEDS,
    table,
)  # fmt: skip
