"""One figure of a paper: what it is called and says, what measures it, and what draws it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING, Any

from workbench.errors import UsageError, WorkbenchError
from workbench.figures.paper import style
from workbench.figures.paper.needs import misfit
from workbench.figures.paper.results import read_results, results_path
from workbench.figures.paper.table import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Results = dict[str, Any]


@dataclass(frozen=True)
class PaperFigure:
    """One figure. `draw(results, inches)` draws a results file's whole content; it runs inside `style.applied`."""

    name: str
    """Of its results, its files and its script."""
    title: str
    caption: str
    """A sentence or more, with the results' `numbers` in braces, as `str.format` reads them."""
    command: str
    """What measures it."""
    draw: Callable[[Results, float], Figure]
    needs: dict[str, Any]
    """What it draws of the results' `data` (needs.py); what stands there besides is not looked at."""
    table: Callable[[Results], Table] | None = None
    """The same as a table, where that is of use in a paper."""

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ValueError(f"a figure's name is also its script's: {self.name!r}")

    def results(self, path: Path | None = None) -> Results:
        """Its results, from a file or the shipped data, checked.

        Raises UsageError with the command that measures them if there are none, WorkbenchError as `check`.
        """
        path = path or self.path()
        if not path.is_file():
            raise UsageError(
                f"the figure {self.name} has no results at {path}: `{self.command}` measures them"
            )
        results = read_results(path, self.name)
        self.check(results)
        return results

    def path(self) -> Path:
        """Where its results lie in the shipped data; they need not be there."""
        return results_path(self.name)

    def is_measured(self) -> bool:
        """Whether its results are in the shipped data."""
        return self.path().is_file()

    def check(self, results: Results) -> None:
        """WorkbenchError in one line where results lack what the figure needs of them."""
        wrong = misfit(self.needs, results["data"], "data") or misfit(
            self._said, results["numbers"], "numbers"
        )
        if wrong is not None:
            raise WorkbenchError(f"the results of {self.name} {wrong}: `{self.command}` measures them anew")

    @property
    def _said(self) -> dict[str, type]:
        """The numbers that the caption needs, those with a format as numbers."""
        fields = [(name, form) for _, name, form, _ in Formatter().parse(self.caption) if name]
        return {name: object for name, _ in fields} | {name: float for name, form in fields if form}

    def drawn(self, results: Results, width: float) -> Figure:
        """The figure, so many inches wide."""
        with style.applied():
            return self.draw(results, width)

    def said(self, results: Results) -> str:
        """The caption with its numbers."""
        return self.caption.format_map(results["numbers"])

    def tabled(self, results: Results) -> Table | None:
        """The table, where there is one."""
        return None if self.table is None else self.table(results)
