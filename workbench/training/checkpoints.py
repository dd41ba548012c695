"""Checkpoints that say when they are whole, and are checked before a training goes on from them."""

import pickle
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers import Trainer, TrainerCallback

from workbench.errors import WorkbenchError
from workbench.files import hash_file, read_settings, write_json
from workbench.processes import wait

COMPLETE = "complete"
"""A checkpoint without this file was interrupted while it was written; it holds the hashes of all others."""


def mark_complete(checkpoint: Path) -> None:
    """Say that a checkpoint is whole, and what its files are."""
    files = sorted(path for path in checkpoint.rglob("*") if path.is_file() and path.name != COMPLETE)
    hashes = {path.relative_to(checkpoint).as_posix(): hash_file(path) for path in files}
    write_json(checkpoint / COMPLETE, {"files": hashes})


def latest(folder: Path) -> Path | None:
    """The newest whole checkpoint in a folder, None where there is none; those that were interrupted are removed.

    Raises WorkbenchError where its files are not those that were written.
    """
    for checkpoint in folder.glob("checkpoint-*"):
        if not (checkpoint / COMPLETE).is_file():
            shutil.rmtree(checkpoint)
    whole = [path for path in folder.glob("checkpoint-*") if step_of(path) is not None]
    found = max(whole, key=lambda path: step_of(path) or 0, default=None)
    if found is not None:
        _check(found)
    return found


def step_of(checkpoint: Path) -> int | None:
    """The step in a checkpoint's name; None for a folder that is called otherwise."""
    number = checkpoint.name.rpartition("-")[2]
    return int(number) if number.isdecimal() and len(number) < 19 else None


def _check(checkpoint: Path) -> None:
    files = read_settings(checkpoint / COMPLETE, "is no mark of a whole checkpoint").get("files")
    if not isinstance(files, dict) or not files:
        raise _damaged(checkpoint, "it does not say what its files are")
    for name, known in files.items():
        if not (checkpoint / name).is_file():
            raise _damaged(checkpoint, f"{name} is missing")
        if hash_file(checkpoint / name) != known:
            raise _damaged(checkpoint, f"{name} is not what was written")


def _damaged(checkpoint: Path, why: str) -> WorkbenchError:
    return WorkbenchError(
        f"the checkpoint {checkpoint} is damaged, {why}: remove that folder, and the same command goes on from the "
        "one before it"
    )


class CompleteCheckpoints(TrainerCallback):
    """Marks a checkpoint once it is whole: a run killed while writing one resumes from the one before."""

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        wait()  # every process has written its part
        if state.is_world_process_zero:
            mark_complete(Path(args.output_dir) / f"checkpoint-{state.global_step}")


class CheckpointedTrainer(Trainer):
    """Hugging Face's Trainer, whose checkpoints are marked once they are whole.

    Raises WorkbenchError where a pickle of the checkpoint that it goes on from holds more than tensors.
    """

    def __init__(self, *, callbacks: list[TrainerCallback] | None = None, **options: Any) -> None:
        super().__init__(callbacks=[CompleteCheckpoints(), *(callbacks or [])], **options)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        with _refused_pickles(checkpoint):
            super()._load_optimizer_and_scheduler(checkpoint)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        with _refused_pickles(checkpoint):
            super()._load_rng_state(checkpoint)


@contextmanager
def _refused_pickles(checkpoint: str | None) -> Iterator[None]:
    try:
        yield
    except pickle.UnpicklingError as error:
        raise _damaged(Path(checkpoint or "."), "a pickle in it holds more than tensors") from error
