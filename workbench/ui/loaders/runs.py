"""Training runs, read anew each time: their logs grow."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import UsageError
from workbench.files import shipped

if TYPE_CHECKING:
    from workbench.training.history import History
    from workbench.training.watched import Watch


def known_runs() -> list[str]:
    """The runs below `runs/` and those that ship, the one that logged last first; as paths from here where they can."""
    from workbench.training.history import runs_below

    roots = [Path("runs")]
    with suppress(UsageError):  # nothing ships here; runs of one's own may be there
        roots.append(shipped())
    here = Path.cwd()
    return [str(path.relative_to(here) if path.is_relative_to(here) else path) for path in runs_below(roots)]


def run(folder: str) -> History:
    """The history of the run in a folder. Raises UsageError where there is none."""
    from workbench.training.history import read_run

    return read_run(folder)


def watched(folder: str) -> Watch | None:
    """What was watched of the run in a folder; None where it was not watched."""
    from workbench.training.watched import is_watched, read_watch

    return read_watch(folder) if is_watched(folder) else None
