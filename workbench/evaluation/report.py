"""Runs side by side: scores with intervals, differences to a reference, as Markdown, CSV or LaTeX."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from workbench.errors import UsageError
from workbench.evaluation.protocol import LEVEL, Score, resampled
from workbench.evaluation.results import Result, Run

LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
LATEX |= {letter: f"\\{letter}" for letter in "&%$#_{}"}


class Difference(NamedTuple):
    """How far one score is above another on the same items, with its paired 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Comparison:
    """The results of several embedders on several tasks; a pair may be missing."""

    embedders: list[str]
    tasks: list[str]
    results: dict[tuple[str, str], Result]
    """By embedder and task."""
    seed: int = 0
    """Draws the resamples of differences."""
    _drawn: dict[int, np.ndarray] = field(default_factory=dict, init=False, repr=False, compare=False)
    """A score's resamples, drawn once for all differences that it is part of."""

    def best(self, task: str) -> float:
        """The best main score of a task."""
        found = [result for (_, name), result in self.results.items() if name == task]
        scores = [result.score.main_score for result in found]
        return min(scores) if found[0].lower_is_better else max(scores)

    def difference(self, embedder: str, reference: str, task: str) -> Difference | None:
        """How far an embedder is above the reference; None where either lacks the task or items to resample."""
        ours, theirs = (self.results.get((name, task)) for name in (embedder, reference))
        if ours is None or theirs is None:
            return None
        return paired(ours, theirs, self.seed, self._resampled)

    def _resampled(self, score: Score, seed: int) -> np.ndarray:
        if id(score) not in self._drawn:
            self._drawn[id(score)] = resampled(score, seed)
        return self._drawn[id(score)]


def compare(runs: Sequence[Run], *, seed: int = 0) -> Comparison:
    """The runs laid side by side; several runs of one embedder (by name and fingerprint) make one row.

    Raises UsageError where an embedder has two scores of one task, or a task was measured on different data.
    """
    fingerprints: dict[str, set[str]] = {}
    for run in runs:
        fingerprints.setdefault(run.embedder, set()).add(run.fingerprint)
    results: dict[tuple[str, str], Result] = {}
    tasks: dict[str, Result] = {}
    for run in runs:
        several = len(fingerprints[run.embedder]) > 1
        label = f"{run.embedder} ({run.fingerprint[:8]})" if several else run.embedder
        for result in run.results:
            task, score = result.score.task, result.score
            first = tasks.setdefault(task, result)
            if (first.data_hash, first.score.main_metric) != (result.data_hash, score.main_metric):
                raise UsageError(
                    f"{task} was measured on different data, or with other settings, for {label}: not comparable; "
                    "--name gives a task another name"
                )
            if (label, task) in results:
                raise UsageError(f"{label} has two scores of {task}: leave one of the runs out")
            results[label, task] = result
    embedders = list(dict.fromkeys(embedder for embedder, _ in results))
    return Comparison(embedders, list(tasks), results, seed)


def paired(
    ours: Result, theirs: Result, seed: int = 0, draw: Callable[[Score, int], np.ndarray] = resampled
) -> Difference | None:
    """How far one score is above another, resample by resample of the same items; None without items to resample.

    Raises UsageError where the two were measured on different data.
    """
    if ours.data_hash != theirs.data_hash or ours.score.n != theirs.score.n:
        raise UsageError(f"{ours.score.task} was measured on different data: there is no difference to draw")
    if ours.score.rows is None or theirs.score.rows is None or ours.score.n < 2:
        return None
    found = draw(ours.score, seed) - draw(theirs.score, seed)
    found = found[np.isfinite(found)]
    if not len(found):
        return None
    low, high = np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Difference(ours.score.main_score - theirs.score.main_score, float(low), float(high))


class Cell(NamedTuple):
    """A number as it stands in a table, and whether it is set in bold."""

    text: str
    bold: bool = False


class Table(NamedTuple):
    """A table before it is written in a format."""

    header: list[str]
    rows: list[list[Cell]]


def scores(comparison: Comparison) -> Table:
    """A row for each embedder, a column for each task; the best of a task in bold, a dash where there is none."""
    header = ["embedder", *(_heading(comparison, task) for task in comparison.tasks)]
    rows = []
    for embedder in comparison.embedders:
        cells = [Cell(embedder)]
        for task in comparison.tasks:
            result = comparison.results.get((embedder, task))
            cells.append(Cell("–") if result is None else _score(result, comparison.best(task)))
        rows.append(cells)
    return Table(header, rows)


def differences(comparison: Comparison, reference: str) -> Table:
    """As `scores`, of the differences to the reference; in bold where the interval leaves 0 out.

    Raises UsageError for a reference that is no embedder here.
    """
    if reference not in comparison.embedders:
        raise UsageError(f"no run of {reference!r}; there are {', '.join(comparison.embedders)}")
    rows = []
    for embedder in comparison.embedders:
        if embedder == reference:
            continue
        cells = [Cell(embedder)]
        for task in comparison.tasks:
            found = comparison.difference(embedder, reference, task)
            text = "–" if found is None else f"{found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"
            cells.append(Cell(text, found is not None and found.clear))
        rows.append(cells)
    header = [f"less {reference}", *(_heading(comparison, task) for task in comparison.tasks)]
    return Table(header, rows)


def one(run: Run) -> Table:
    """A single run: a row for each task."""
    known = any(result.published is not None for result in run.results)
    header = ["task", "metric", "score", "95 % interval", "n", *(["published"] if known else [])]
    rows = []
    for result in run.results:
        score, bounds = result.score, result.interval
        shown = "–" if bounds is None else f"[{bounds.low:.3f}, {bounds.high:.3f}]"
        cells = [score.task, _metric(result), f"{score.main_score:.5f}", shown, str(score.n)]
        if known:
            cells.append("–" if result.published is None else f"{result.published:.5f}")
        rows.append([Cell(text) for text in cells])
    return Table(header, rows)


def markdown(table: Table, *, left: int = 1) -> str:
    """The table in Markdown; the first `left` columns are aligned to the left, the others to the right."""
    escape = lambda text: text.replace("|", "\\|")  # noqa: E731
    marks = ["---" if place < left else "--:" for place in range(len(table.header))]
    lines = [f"| {' | '.join(map(escape, table.header))} |", f"|{'|'.join(marks)}|"]
    for row in table.rows:
        cells = [f"**{escape(cell.text)}**" if cell.bold else escape(cell.text) for cell in row]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def latex(table: Table) -> str:
    """The table as a LaTeX tabular with booktabs' rules."""
    lines = [rf"\begin{{tabular}}{{l{'r' * (len(table.header) - 1)}}}", r"\toprule"]
    lines += [" & ".join(map(_latex, table.header)) + r" \\", r"\midrule"]
    for row in table.rows:
        cells = [rf"\textbf{{{_latex(cell.text)}}}" if cell.bold else _latex(cell.text) for cell in row]
        lines.append(" & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def records(comparison: Comparison, reference: str | None = None) -> list[dict[str, Any]]:
    """A row for each embedder and task: score, interval, difference to a reference; None for what is missing."""
    rows = []
    for (embedder, task), result in comparison.results.items():
        score, bounds = result.score, result.interval or (None, None)
        row = {"embedder": embedder, "task": task, "protocol": score.protocol, "metric": score.main_metric}
        row |= {"lower_is_better": result.lower_is_better, "score": score.main_score}
        row |= {"low": bounds[0], "high": bounds[1], "n": score.n}
        if reference:
            found = None if embedder == reference else comparison.difference(embedder, reference, task)
            numbers = found or (None, None, None)
            row |= {"reference": reference, "difference": numbers[0]}
            row |= {"difference_low": numbers[1], "difference_high": numbers[2]}
        rows.append(row)
    return rows


def as_csv(comparison: Comparison, reference: str | None = None) -> str:
    """The `records` with full digits, a line each."""
    rows, out = records(comparison, reference), io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _heading(comparison: Comparison, task: str) -> str:
    result = next(found for (_, name), found in comparison.results.items() if name == task)
    return f"{task}, {_metric(result)}"


def _metric(result: Result) -> str:
    return result.score.main_metric + (" ↓" if result.lower_is_better else "")


def _score(result: Result, best: float) -> Cell:
    score, bounds = result.score.main_score, result.interval
    text = f"{score:.3f}" if bounds is None else f"{score:.3f} [{bounds.low:.3f}, {bounds.high:.3f}]"
    return Cell(text, score == best)


def _latex(text: str) -> str:
    escaped = "".join(LATEX.get(letter, letter) for letter in text)
    return escaped.replace("↓", r"$\downarrow$").replace("–", "--")
