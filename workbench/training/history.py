"""A training run as it can be looked at, while it trains or afterwards; nothing is written here."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import UsageError
from workbench.files import read_settings
from workbench.training.run import ARTIFACT, Run

FRESH = 180
"""A run without its artifact that logged within so many seconds counts as training."""


@dataclass(frozen=True)
class History:
    """What a run has logged so far."""

    folder: Path
    settings: dict[str, Any]
    """What it was started with (`run.json`)."""
    rows: list[dict[str, float | int]]
    """The lines of `log.jsonl`, in the order of their steps."""
    finished: bool
    """Whether the artifact is there, and not from before the last line of the log; or `elsewhere`."""
    age: float
    """Seconds since the log, or the record before there is one, was written to."""
    elsewhere: Path | None = None
    """The embedder that the same recipe made, where the record was kept without an artifact of its own."""

    @property
    def live(self) -> bool:
        """Whether it seems to train right now."""
        return not self.finished and self.age < FRESH


def read_run(folder: Path | str) -> History:
    """The history of the run in a folder; a line that is only half written yet is left out.

    Raises UsageError for a folder that is no run, WorkbenchError for a record that cannot be read.
    """
    run = Run(Path(folder).expanduser())
    if not run.folder.is_dir():
        raise UsageError(f"there is no folder {run.folder}")
    if not run.record.is_file():
        raise UsageError(f"{run.folder} is no training run: it has no {run.record.name}")
    settings, rows = run.settings(), sorted(run.rows(), key=lambda row: row["step"])
    written = (run.log if run.log.is_file() else run.record).stat().st_mtime
    age, artifact = max(time.time() - written, 0.0), run.folder / ARTIFACT
    # a copied or checked out run has its files' times in any order
    whole = artifact.is_file() and (artifact.stat().st_mtime >= written or age >= FRESH)
    elsewhere = _embedder_beside(run, settings, rows) if rows and not artifact.is_file() else None
    return History(
        run.folder, settings, rows, bool(rows) and (whole or elsewhere is not None), age, elsewhere
    )


def _embedder_beside(
    run: Run, settings: dict[str, Any], rows: Sequence[dict[str, float | int]]
) -> Path | None:
    """For a record runs/NAME, as it ships: embedders/NAME beside it, if it has its settings and number of steps."""
    folder = run.folder.resolve()
    embedder = folder.parent.with_name("embedders") / folder.name
    if folder.parent.name != "runs" or not (embedder / ARTIFACT).is_file():
        return None
    trained = read_settings(embedder / ARTIFACT, "is no embedder").get("training")
    if not isinstance(trained, dict):
        return None
    alike = all(trained[name] == settings[name] for name in trained.keys() & settings.keys())
    return embedder if alike and trained.get("steps") == rows[-1]["step"] else None


def runs_below(roots: Sequence[Path | str], depth: int = 3) -> list[Path]:
    """The folders of runs at most `depth` levels below the roots, the one that logged last first."""
    found = {
        record.parent
        for root in map(Path, roots)
        for level in range(depth)
        for record in root.glob("*/" * level + "run.json")
        if (record.parent / "log.jsonl").is_file()
    }
    return sorted(found, key=lambda folder: (-(folder / "log.jsonl").stat().st_mtime, str(folder)))
