"""A figure's numbers as a table of a paper (booktabs) or of a page (Markdown)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "−": r"$-$", "↓": r"$\downarrow$",
    "↑": r"$\uparrow$", "→": r"$\rightarrow$", "…": r"\dots{}", "◆": r"$\diamond$", "·": r"$\cdot$", "–": "--",
}  # fmt: skip
_MARKDOWN = str.maketrans(
    {"|": r"\|", "<": "&lt;", ">": "&gt;", "*": r"\*", "_": r"\_", "`": r"\`", "\n": " "}
)


class Table(NamedTuple):
    """Words and finished numbers; the first `text_columns` are words, the others stand flush right."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    text_columns: int = 1


def latex(table: Table) -> str:
    """The table as LaTeX with booktabs' rules."""
    places = "".join("l" if column < table.text_columns else "r" for column in range(len(table.header)))
    lines = [f"\\begin{{tabular}}{{{places}}}", "\\toprule", _line(table.header), "\\midrule"]
    return "\n".join([*lines, *map(_line, table.rows), "\\bottomrule", "\\end{tabular}", ""])


def markdown(table: Table) -> str:
    """The table as Markdown."""
    rule = ["---" if column < table.text_columns else "--:" for column in range(len(table.header))]
    rows = [[cell.translate(_MARKDOWN) for cell in row] for row in (table.header, *table.rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [rows[0], rule, *rows[1:]]) + "\n"


def _line(cells: Sequence[str]) -> str:
    return " & ".join("".join(_LATEX.get(letter, letter) for letter in cell) for cell in cells) + r" \\"
