"""One figure of a paper: what it is called and says, what measures it, and what draws it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import UsageError, WorkbenchError
from workbench.figures.paper import style
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
    table: Callable[[Results], Table] | None = None
    """The same as a table, where that is of use in a paper."""

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ValueError(f"a figure's name is also its script's: {self.name!r}")

    def results(self, path: Path | None = None) -> Results:
        """Its results, from a file or the shipped data; UsageError with the command that measures them if none are."""
        path = path or self.path()
        if not path.is_file():
            raise UsageError(
                f"the figure {self.name} has no results at {path}: `{self.command}` measures them"
            )
        return read_results(path, self.name)

    def path(self) -> Path:
        """Where its results lie in the shipped data; they need not be there."""
        return results_path(self.name)

    def is_measured(self) -> bool:
        """Whether its results are in the shipped data."""
        return self.path().is_file()

    def drawn(self, results: Results, width: float) -> Figure:
        """The figure, so many inches wide; WorkbenchError in one line where the results do not fit it."""
        with style.applied(), _fitting(self):
            return self.draw(results, width)

    def said(self, results: Results) -> str:
        """The caption with its numbers; WorkbenchError in one line where one is missing."""
        with _fitting(self):
            return self.caption.format_map(results["numbers"])

    def tabled(self, results: Results) -> Table | None:
        """The table, where there is one; WorkbenchError in one line where the results do not fit it."""
        with _fitting(self):
            return None if self.table is None else self.table(results)


@contextmanager
def _fitting(figure: PaperFigure) -> Iterator[None]:
    """Turns what a drawing stumbles over in foreign results into one clear line."""
    again = f"`{figure.command}` measures them anew"
    try:
        yield
    except KeyError as error:
        raise WorkbenchError(f"the results of {figure.name} lack {error.args[0]}: {again}") from error
    except (TypeError, ValueError, IndexError, AttributeError) as error:
        raise WorkbenchError(f"the results of {figure.name} do not fit ({error}): {again}") from error
