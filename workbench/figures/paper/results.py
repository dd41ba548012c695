"""Results files: where measuring and drawing meet. What one holds, whether it is stale, and what it lacks.

{"figure": name, "command": what measures it, "artifacts": {"embedders/gem": hash, ...}, "libraries": {...},
 "numbers": what the caption says, "data": what is drawn}
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workbench.disk import atomic_path
from workbench.errors import UsageError, WorkbenchError
from workbench.figures.paper.needs import misfit, unwritable
from workbench.files import hash_bytes, hash_file, measured, read_json, shipped
from workbench.libraries import versions

SHAPE: dict[str, Any] = {
    "figure": str,
    "command": str,
    "artifacts": {},
    "libraries": {},
    "numbers": {},
    "data": {},
}
"""What every results file holds, as needs.py says it; what a figure draws of its data, it says itself."""
FOLDER = "figures"
DEFAULT = "embedders/llm2vec-gen"
GEM = "embedders/gem"
LIBRARIES = ("workbench", "torch", "transformers", "numpy")
DIGITS = 6
"""Significant digits that are kept of a number."""


def results_path(name: str) -> Path:
    """Where a figure's results lie in the shipped data; they need not be there."""
    return shipped() / FOLDER / f"{name}.json"


def artifact_hash(name: str) -> str:
    """The hash of what was measured: of a shipped folder its configuration and weights, else of the file."""
    path = shipped(*name.split("/"))
    if path.is_file():
        return hash_file(path)
    files = [path / "config.json", *sorted(path.glob("*.safetensors"))]
    return hash_bytes(*(hash_file(file) for file in files))


def write_results(
    name: str,
    *,
    data: dict[str, Any],
    numbers: dict[str, Any],
    artifacts: Sequence[str] = (DEFAULT,),
    command: str | None = None,
    output: Path | None = None,
) -> Path:
    """Writes what was measured for a figure, with what it was measured on; no times, so the same again is the same.

    `artifacts` are names in the shipped data; `command` is `python -m analyses.<name>` by default, and `output`
    the shipped `figures/<name>.json`. NaN becomes null, numbers keep `DIGITS` digits.
    """
    path = output or results_path(name)
    results = {
        "figure": name,
        "command": command or f"python -m analyses.{name}",
        "artifacts": {artifact: artifact_hash(artifact) for artifact in artifacts},
        "libraries": versions(LIBRARIES, "not installed"),
        "numbers": rounded(measured(numbers)),
        "data": rounded(measured(data)),
    }
    save_results(path, results)
    return path


def save_results(path: Path, results: dict[str, Any]) -> None:
    """Writes a results file as it is, atomically; keys keep their order, which figures draw by."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(results_bytes(results))


def results_bytes(results: dict[str, Any]) -> bytes:
    """A results file as `save_results` writes it; ValueError for what is `unwritable`."""
    return (json.dumps(results, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def read_results(path: Path, name: str | None = None) -> dict[str, Any]:
    """A results file, checked. UsageError where there is none, WorkbenchError where it is another thing's or broken."""
    if not path.is_file():
        raise UsageError(f"no results at {path}")
    found = read_json(path)
    if not isinstance(found, dict) or (missing := [key for key in SHAPE if key not in found]):
        lacks = f"it lacks {', '.join(missing)}" if isinstance(found, dict) else "it is no object"
        raise WorkbenchError(f"{path} holds no results of a figure: {lacks}")
    try:
        wrong = misfit(SHAPE, found, "results") or unwritable(found, "results")
    except RecursionError:
        wrong = "are nested too deeply"
    if wrong is not None:
        raise WorkbenchError(f"{path} holds no results of a figure: they {wrong}")
    if name is not None and found["figure"] != name:
        raise WorkbenchError(f"{path} holds results of the figure {found['figure']:.80}, not of {name}")
    return found


def is_stale(results: dict[str, Any]) -> bool:
    """Whether the shipped artifacts are no longer those that were measured."""
    try:
        return any(artifact_hash(name) != saved for name, saved in results["artifacts"].items())
    except UsageError:  # an artifact is gone
        return True


def rounded(value: Any) -> Any:
    """The value with every float to `DIGITS` significant digits."""
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(part) for part in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
