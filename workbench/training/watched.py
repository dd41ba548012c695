"""What was watched while an embedder trained: the vectors of some queries and what they decoded to, step by step.

`watcher.py` writes these files into the run's folder while it trains; here they are read, without torch.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from workbench.disk import atomic_path
from workbench.errors import UsageError, WorkbenchError

FOLDER, TEXTS, SAMPLES, VECTORS = "watch", "texts.jsonl", "samples.jsonl", "vectors-{:06d}.safetensors"
"""The folder in that of the run, and its files: the queries once, a line a sample and step, the vectors of a step."""
TENSOR = "embedding"
"""The one tensor of a file of vectors, `[watched, d_e]` in float16."""


KEYS = ("row", "query", "response")
"""What the line of a watched query says besides its other columns."""


@dataclass(frozen=True)
class WatchedText:
    """A query that was watched."""

    row: int
    """Its place in the corpus."""
    query: str
    response: str
    """Empty where the corpus has none (GEM)."""
    about: dict[str, Any] = field(default_factory=dict)
    """The corpus's other columns of that query."""


@dataclass(frozen=True)
class Sample:
    """What a query decoded to at a step."""

    step: int
    row: int
    """The query's place in the corpus."""
    query: str
    response: str
    decoded: str
    cosine: float | None
    """Of its embedding and the teacher's vector of the response; None where there is no such vector."""


@dataclass(frozen=True)
class Watch:
    """All that was watched of a run so far; `vectors` reads a step's file when it is asked for."""

    folder: Path
    """The run's folder."""
    texts: list[WatchedText]
    """The watched queries, in the order of the corpus."""
    steps: list[int]
    """The steps that were looked at, 0 (before training) among them, in their order."""
    samples: list[Sample]
    """In the order of their steps, then of the corpus."""

    def vectors(self, step: int) -> Float[np.ndarray, "n d_e"]:
        """The embeddings of all watched texts at one of `steps`, float32, in the order of `texts`.

        Raises UsageError for a step that was not looked at, WorkbenchError for a damaged file.
        """
        if step not in self.steps:
            steps = ", ".join(map(str, self.steps)) or "none"
            raise UsageError(f"{self.folder} was not looked at at step {step}; the steps are {steps}")
        path = self.folder / FOLDER / VECTORS.format(step)
        vectors = _tensor(path)
        if vectors.ndim != 2 or len(vectors) != len(self.texts):
            raise WorkbenchError(
                f"{path}: vectors of shape {list(vectors.shape)}, but {len(self.texts)} texts are watched"
            )
        if not np.isfinite(vectors).all():
            raise WorkbenchError(f"{path}: a vector is not finite")
        return vectors.astype(np.float32)


def is_watched(folder: Path | str) -> bool:
    """Whether a run's folder holds something that was watched."""
    return (Path(folder).expanduser() / FOLDER / TEXTS).is_file()


def read_watch(folder: Path | str) -> Watch:
    """What was watched of the run in a folder, also while it trains.

    Raises UsageError for a run that was not watched, WorkbenchError, with the line, for a damaged file.
    """
    folder = Path(folder).expanduser()
    if not is_watched(folder):
        raise UsageError(f"{folder} was not watched: `workbench train` does so with --watch-every")
    place = folder / FOLDER
    texts = [_text(values, where) for where, values in _lines(place / TEXTS)]
    rows = {text.row for text in texts}
    if not texts or len(rows) < len(texts):
        raise WorkbenchError(f"{place / TEXTS}: {'a row stands twice' if texts else 'it is empty'}")
    samples = []
    if (place / SAMPLES).is_file():
        samples = [_sample(values, where, rows) for where, values in _lines(place / SAMPLES)]
    samples.sort(key=lambda sample: (sample.step, sample.row))
    return Watch(folder, texts, sorted(_steps(place)), samples)


def cut_watch(folder: Path, after: int | None) -> None:
    """Drop what an interrupted run watched behind the step of its last checkpoint, or all of it for None.

    Raises WorkbenchError, with the line, for a damaged file.
    """
    place = folder / FOLDER
    if not place.is_dir():
        return
    for path in place.glob(".*.partial*"):  # what a kill left of a write
        path.unlink()
    if after is None:
        for name in (SAMPLES, TEXTS):
            (place / name).unlink(missing_ok=True)
    elif samples := sample_lines(folder):
        write_lines(place / SAMPLES, [line for line in samples if line["step"] <= after])
    for step in _steps(place):
        if after is None or step > after:
            (place / VECTORS.format(step)).unlink()
    if after is None and not any(place.iterdir()):
        place.rmdir()


def text_lines(folder: Path) -> list[dict[str, Any]]:
    """The lines of the watched texts of a run; WorkbenchError, with the line, for a damaged file."""
    return [values for _, values in _lines(folder / FOLDER / TEXTS)]


def sample_lines(folder: Path) -> list[dict[str, Any]]:
    """The lines of the samples of a run so far; WorkbenchError, with the line, for a damaged file."""
    path, kept = folder / FOLDER / SAMPLES, []
    for where, values in _lines(path) if path.is_file() else ():
        _check(values, where, step=int)
        kept.append(values)
    return kept


def write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write objects as JSON lines, atomically."""
    with atomic_path(path) as partial:
        text = "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
        partial.write_text(text, encoding="utf-8", newline="\n")


def _steps(place: Path) -> list[int]:
    """The steps of the files of vectors in a watch folder."""
    names = (path.stem.removeprefix("vectors-") for path in place.glob("vectors-*.safetensors"))
    return [int(name) for name in names if name.isascii() and name.isdigit()]


def _lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every line's object, and where it stands, for messages."""
    try:
        whole = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise WorkbenchError(f"{path}: not valid UTF-8") from error
    for number, line in enumerate(whole.split("\n"), 1):
        if not line:
            continue
        where = f"{path}, line {number}"
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise WorkbenchError(f"{where}: not valid JSON ({error})") from error
        if not isinstance(values, dict):
            raise WorkbenchError(f"{where}: not a JSON object but {type(values).__name__}")
        yield where, values


def _text(values: dict[str, Any], where: str) -> WatchedText:
    _check(values, where, row=int, query=str, response=str)
    about = {name: value for name, value in values.items() if name not in KEYS}
    return WatchedText(values["row"], values["query"], values["response"], about)


def _sample(values: dict[str, Any], where: str, rows: set[int]) -> Sample:
    _check(values, where, step=int, row=int, query=str, response=str, decoded=str)
    if "cosine" not in values or type(values["cosine"]) not in (int, float, type(None)):
        raise WorkbenchError(f"{where}: it has no cosine that is a number or null")
    if values["row"] not in rows:
        raise WorkbenchError(f"{where}: row {values['row']} is none of the watched texts")
    names = ("step", "row", "query", "response", "decoded", "cosine")
    return Sample(**{name: values[name] for name in names})


def _check(values: dict[str, Any], where: str, **kinds: type) -> None:
    """WorkbenchError for a value that is missing or of another type."""
    for name, kind in kinds.items():
        value = values.get(name)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise WorkbenchError(
                f"{where}: it has no {name} that is {'a number' if kind is int else 'a text'}"
            )


def _tensor(path: Path) -> np.ndarray:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise WorkbenchError(f"{path} cannot be read: {' '.join(str(error).split())[:160]}") from error
    if set(tensors) != {TENSOR}:
        raise WorkbenchError(
            f"{path} holds {', '.join(sorted(tensors)) or 'nothing'}, not the tensor {TENSOR}"
        )
    return tensors[TENSOR]
