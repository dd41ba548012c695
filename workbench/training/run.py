"""The folder of a training run: what it was started with, its log, its complete checkpoints."""

import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from workbench.disk import atomic_path, disk_errors
from workbench.errors import UsageError
from workbench.files import read_settings, write_json
from workbench.training.checkpoints import latest, step_of

try:
    import fcntl
except ImportError:
    fcntl = None

ARTIFACT = "config.json"
"""The last file of what a run leads to: with it and without checkpoints, the run is finished."""


class Hold:
    """The only process that trains into a folder, for as long as this lives, or the process does.

    Nothing is written: the system keeps the lock of an open folder. Windows has none, and nothing is refused there.
    """

    def __init__(self, folder: Path) -> None:
        """Raises UsageError where another process holds the folder."""
        self._folder = os.open(folder, os.O_RDONLY) if fcntl else -1
        try:
            if fcntl:
                fcntl.flock(self._folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"another training is writing into {folder}: wait for it, or choose another output"
            ) from None

    def __del__(self) -> None:
        if getattr(self, "_folder", -1) >= 0:
            os.close(self._folder)

    @classmethod
    def of(cls, folder: Path) -> "Hold":
        """This process's own; a training that was interrupted in it may still be in memory."""
        place = str(folder.resolve())
        found = _HELD.get(place)
        if found is None:
            _HELD[place] = found = cls(folder)
        return found


_HELD: WeakValueDictionary[str, Hold] = WeakValueDictionary()


@dataclass(frozen=True)
class Run:
    """A training run's folder."""

    folder: Path
    _holds: list[Hold] = field(default_factory=list, repr=False, compare=False)

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def log(self) -> Path:
        return self.folder / "log.jsonl"

    @property
    def record(self) -> Path:
        return self.folder / "run.json"

    def start(self, settings: dict[str, Any], *, resume: bool) -> str | None:
        """Take up a run with these settings; the checkpoint to resume from, or None to start afresh.

        Raises UsageError where another process trains into the folder, or it holds a run with other settings and
        `resume` is set, and WorkbenchError for a damaged checkpoint; without `resume`, that run's checkpoints and log
        are removed, and what it led to where its settings were others: what resumes later must not take that for its
        own end. The log of a finished run stays whole.
        """
        if self.folder.exists() and not self.folder.is_dir():
            raise UsageError(f"{self.folder} is a file; training writes into a folder")
        settings = json.loads(json.dumps(settings))
        self.folder.mkdir(parents=True, exist_ok=True)
        self._holds[:] = [Hold.of(self.folder)]
        if not resume:
            shutil.rmtree(self.checkpoints, ignore_errors=True)
            self.log.unlink(missing_ok=True)
            if self.record.is_file() and self.settings() != settings:
                (self.folder / ARTIFACT).unlink(missing_ok=True)
        elif self.record.is_file():
            self._refuse_other(settings)
        write_json(self.record, settings)
        last = latest(self.checkpoints)
        if not resume or last or not (self.folder / ARTIFACT).is_file():
            self._cut_log(after=(step_of(last) or 0) if last else 0)
        return str(last) if last else None

    def write_log(self, line: dict[str, Any]) -> None:
        """Append one line of JSON."""
        with disk_errors(self.log), self.log.open("a", encoding="utf-8") as file:
            file.write(_line(line))

    def last_log(self) -> dict[str, Any]:
        """The newest line of the log; nothing before the first."""
        rows = self.rows()
        return rows[-1] if rows else {}

    def rows(self) -> list[dict[str, Any]]:
        """The lines of the log that say a step, in their order; what a kill left half-written is none of them."""
        lines = self.log.read_bytes().split(b"\n") if self.log.is_file() else []
        return [row for line in lines if (row := _row(line)) is not None]

    def settings(self) -> dict[str, Any]:
        """What the run was started with. Raises WorkbenchError for a record that is damaged."""
        return read_settings(self.record, "is no record of a run")

    def clean(self) -> None:
        """Remove the checkpoints."""
        shutil.rmtree(self.checkpoints, ignore_errors=True)

    def _refuse_other(self, settings: dict[str, Any]) -> None:
        before = self.settings()
        differing = [
            f"{name} {before.get(name)!r} there, {settings.get(name)!r} here"
            for name in sorted(set(before) | set(settings))
            if before.get(name) != settings.get(name)
        ]
        if differing:
            raise UsageError(
                f"{self.folder} holds a run with other settings ({'; '.join(differing)}): "
                "choose another output, or start over with --no-resume"
            )

    def _cut_log(self, after: int) -> None:
        """Drop what an interrupted run logged behind its last checkpoint; a half-written line goes too."""
        if not self.log.is_file():
            return
        kept = [row for row in self.rows() if row["step"] <= after]
        with atomic_path(self.log) as temporary:  # killed while it is cut, the log is the one before
            temporary.write_text("".join(map(_line, kept)), encoding="utf-8")


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row, sort_keys=True) + "\n"


def _row(line: bytes) -> dict[str, Any] | None:
    """A line of a log; None for one that says no step."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) and type(row.get("step")) in (int, float) else None
