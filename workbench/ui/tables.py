"""Tables of results as HTML, to read: best or clear numbers in bold, claims with their verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from workbench.figures import metrics

if TYPE_CHECKING:
    from workbench.evaluation.claims import Verdict
    from workbench.evaluation.report import Cell, Comparison, Table

SIGNS = {"held": "✓", "did not hold": "✗", "cannot be told": "?", "not measured": "–"}


def grid(table: Table, corner: str, found: Comparison) -> str:
    """A report's table turned on its side: a row for each task of `found`, a column for each embedder.

    A metric stands with its name to read; mteb's name and what it measures are the tooltip.
    """
    names = [row[0].text for row in table.rows]
    rows = []
    for place, task in enumerate(found.tasks, 1):
        start = f'<th scope="row">{_heading(found, task)}</th>'
        rows.append(start + "".join(_cell(row[place]) for row in table.rows))
    return _table([corner, *names], rows)


def verdicts(found: Sequence[Verdict]) -> str:
    """Claims, what they were tried on, the difference with its interval, and whether they held."""
    rows = []
    for claim, difference, said in found:
        value, low, high = difference or (None, None, None)
        number = "–" if difference is None else f"{value:+.3f} [{low:+.3f}, {high:+.3f}]"
        words = [claim.task, f"{claim.ours} less {claim.other}"]
        cells = [
            f'<th scope="row">{escape(claim.text)}</th>',
            *(f"<td>{escape(word)}</td>" for word in words),
        ]
        cells.append(f"<td>{_number(number)}</td>")
        cells.append(f'<td class="said" data-said="{escape(said)}">{SIGNS[said]} {escape(said)}</td>')
        rows.append("".join(cells))
    return _table(["claim", "tried on", "difference of", "with its interval", "verdict"], rows)


def _heading(found: Comparison, task: str) -> str:
    result = next(result for (_, name), result in found.results.items() if name == task)
    raw, arrow = result.score.main_metric, " ↓" if result.lower_is_better else ""
    metric = f'<abbr title="{escape(metrics.meaning(raw))}">{escape(metrics.name(raw))}</abbr>'
    return f"{escape(task)}, {metric}{arrow}"


def _cell(cell: Cell) -> str:
    number = _number(cell.text)
    return f'<td class="best"><b>{number}</b></td>' if cell.bold else f"<td>{number}</td>"


def _number(text: str) -> str:
    """A number that breaks only before its interval, with real minus signs."""
    return escape(text.replace(", ", ",\u00a0").replace("-", "−"))


def _table(header: Sequence[str], rows: Sequence[str]) -> str:
    names = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return (
        '<div class="wb-grid" tabindex="0"><table>'
        f"<thead><tr>{names}</tr></thead><tbody>{body}</tbody></table></div>"
    )
