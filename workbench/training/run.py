"""The folder of a training run: what it was started with, its log, its complete checkpoints."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import UsageError
from workbench.files import write_json

COMPLETE = "complete"
"""A checkpoint without this file was interrupted while it was written."""


@dataclass(frozen=True)
class Run:
    """A training run's folder."""

    folder: Path

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

        Raises UsageError where the folder holds a run with other settings and `resume` is set; without `resume`,
        that run's checkpoints and log are removed.
        """
        if self.folder.exists() and not self.folder.is_dir():
            raise UsageError(f"{self.folder} is a file; training writes into a folder")
        settings = json.loads(json.dumps(settings))
        if not resume:
            shutil.rmtree(self.checkpoints, ignore_errors=True)
            self.log.unlink(missing_ok=True)
        elif self.record.is_file():
            self._refuse_other(settings)
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.record, settings)
        latest = self._latest()
        self._cut_log(after=int(latest.name.split("-")[-1]) if latest else 0)
        return str(latest) if latest else None

    def write_log(self, line: dict[str, Any]) -> None:
        """Append one line of JSON."""
        with self.log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, sort_keys=True) + "\n")

    def last_log(self) -> dict[str, Any]:
        """The newest line of the log; nothing before the first."""
        lines = self.log.read_text(encoding="utf-8").splitlines() if self.log.is_file() else []
        return json.loads(lines[-1]) if lines else {}

    def mark_complete(self, step: int) -> None:
        """Say that the checkpoint of this step is whole."""
        write_json(self.checkpoints / f"checkpoint-{step}" / COMPLETE, {"step": step})

    def clean(self) -> None:
        """Remove the checkpoints."""
        shutil.rmtree(self.checkpoints, ignore_errors=True)

    def _refuse_other(self, settings: dict[str, Any]) -> None:
        before = json.loads(self.record.read_text(encoding="utf-8"))
        differing = [
            f"{name} {before.get(name)!r} there, {settings.get(name)!r} here"
            for name in sorted(set(before) | set(settings))
            if before.get(name) != settings.get(name)
        ]
        if differing:
            raise UsageError(
                f"{self.folder} holds a run with other settings ({'; '.join(differing)}): "
                "choose another output, or start over without resuming"
            )

    def _latest(self) -> Path | None:
        for checkpoint in self.checkpoints.glob("checkpoint-*"):
            if not (checkpoint / COMPLETE).is_file():
                shutil.rmtree(checkpoint)
        whole = sorted(self.checkpoints.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[-1]))
        return whole[-1] if whole else None

    def _cut_log(self, after: int) -> None:
        """Drop what an interrupted run logged behind its last checkpoint; a half-written line goes too."""
        if not self.log.is_file():
            return
        kept = []
        for line in self.log.read_text(encoding="utf-8").splitlines():
            try:
                step = json.loads(line)["step"]
            except (json.JSONDecodeError, KeyError):
                continue
            if step <= after:
                kept.append(line)
        self.log.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
