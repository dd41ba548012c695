"""A run of an evaluation: every score with all that is needed to repeat it, in one parquet file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from workbench.disk import atomic_path
from workbench.errors import UsageError, WorkbenchError
from workbench.evaluation.protocol import Interval, Score
from workbench.files import measured, named_if_damaged, parquet_errors

SCHEMA = 1
LIBRARIES = (
    "workbench",
    "torch",
    "transformers",
    "tokenizers",
    "sentence-transformers",
    "scikit-learn",
    "scipy",
    "numpy",
)


@dataclass(frozen=True)
class Result:
    """One task's score, its interval, and what it was measured on and how."""

    score: Score
    interval: Interval | None
    """Of the main score, 95 %; None where the score keeps nothing to resample, or one item alone."""
    data_hash: str
    """Scores may be compared where it is the same."""
    files: dict[str, str]
    settings: dict[str, Any]
    instructions: dict[str, str | None]
    """What stood before the texts of each side; None is the source's own way."""
    seconds: float
    published: float | None = None

    @property
    def lower_is_better(self) -> bool:
        """Whether a lower main score is the better one (safety, perplexity)."""
        return bool(self.score.details.get("lower_is_better", False))

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON takes it, without items."""
        return {
            **self.score.to_dict(),
            "interval": None if self.interval is None else list(self.interval),
            "lower_is_better": self.lower_is_better,
            "data_hash": self.data_hash,
            "files": {role: _from_here(path) for role, path in self.files.items()},
            "settings": self.settings,
            "instructions": self.instructions,
            "seconds": self.seconds,
            "published": self.published,
        }


@dataclass(frozen=True)
class Run:
    """All results of one command on one embedder."""

    embedder: str
    fingerprint: str
    command: str
    seed: int
    """Draws the intervals' resamples."""
    date: str
    libraries: dict[str, str]
    results: list[Result]
    suite: str | None = None

    @property
    def main_score(self) -> float:
        """The score of a single task; of several the mean, a score that is better when lower counted as 1 less it."""
        if len(self.results) == 1:
            return self.results[0].score.main_score
        goods = [
            1 - result.score.main_score if result.lower_is_better else result.score.main_score
            for result in self.results
        ]
        return float(np.mean(goods))

    def to_dict(self) -> dict[str, Any]:
        """The run as JSON takes it: a single task's own fields, or the list of tasks."""
        about = {
            "embedder": self.embedder,
            "fingerprint": self.fingerprint,
            "command": self.command,
            "seed": self.seed,
            "date": self.date,
            "libraries": self.libraries,
        }
        if self.suite is None and len(self.results) == 1:
            return {**self.results[0].to_dict(), **about}
        tasks = [result.to_dict() for result in self.results]
        return measured({"suite": self.suite, "main_score": self.main_score, "tasks": tasks, **about})


def write_run(run: Run, path: Path) -> None:
    """Writes a run as parquet, a row for each task, items and pairs included."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [_row(run, result) for result in run.results]
    table = pa.Table.from_pylist(rows, schema=_schema()).replace_schema_metadata(
        {"workbench.evaluation": str(SCHEMA)}
    )
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary)


def read_run(path: Path) -> Run:
    """Reads what `write_run` wrote. Raises UsageError for a file that is missing or holds no run of this schema."""
    import pyarrow.parquet as pq

    if not path.is_file():
        raise UsageError(f"no such file: {path}")
    with parquet_errors(path):
        table = pq.read_table(path)
    schema = (table.schema.metadata or {}).get(b"workbench.evaluation")
    if schema is None:
        raise UsageError(f"{path} is no run: `workbench evaluate --output` writes one")
    if schema.decode() != str(SCHEMA):
        raise WorkbenchError(f"{path}: schema {schema.decode()}, but this version reads {SCHEMA}")
    rows = table.to_pylist()
    if not rows:
        raise WorkbenchError(f"{path} holds no result")
    with named_if_damaged(path):
        first, results = rows[0], [_result(row) for row in rows]
        about = {
            name: first[name] for name in ("embedder", "fingerprint", "command", "seed", "date", "suite")
        }
        return Run(**about, libraries=json.loads(first["libraries"]), results=results)


TEXTS = (
    "embedder",
    "fingerprint",
    "command",
    "date",
    "suite",
    "task",
    "protocol",
    "main_metric",
    "data_hash",
)
JSON = ("metrics", "details", "files", "settings", "instructions", "libraries")
NUMBERS = ("main_score", "low", "high", "seconds", "published")


def _from_here(path: str) -> str:
    """A path as seen from the current folder where it lies in there: a run that is passed on names no home."""
    here = Path.cwd()
    whole = Path(path).absolute()
    return whole.relative_to(here).as_posix() if whole.is_relative_to(here) else path


def _schema() -> Any:
    import pyarrow as pa

    numbers = pa.list_(pa.float64())
    return pa.schema(
        [
            *((name, pa.string()) for name in (*TEXTS, *JSON)),
            *((name, pa.float64()) for name in NUMBERS),
            ("n", pa.int64()),
            ("seed", pa.int64()),
            ("lower_is_better", pa.bool_()),
            ("items", numbers),
            ("pairs", pa.list_(numbers)),
        ]
    )


def _row(run: Run, result: Result) -> dict[str, Any]:
    score, bounds = result.score, result.interval
    row = {
        name: getattr(run, name) for name in ("embedder", "fingerprint", "command", "seed", "date", "suite")
    }
    row |= {name: getattr(score, name) for name in ("task", "protocol", "main_metric", "main_score", "n")}
    row |= {name: getattr(result, name) for name in ("data_hash", "seconds", "published", "lower_is_better")}
    row |= {name: json.dumps(getattr(score, name), ensure_ascii=False) for name in ("metrics", "details")}
    row |= {
        name: json.dumps(getattr(result, name), ensure_ascii=False)
        for name in ("files", "settings", "instructions")
    }
    row["libraries"] = json.dumps(run.libraries)
    row["low"], row["high"] = (None, None) if bounds is None else bounds
    row["items"] = None if score.items is None else score.items.tolist()
    row["pairs"] = None if score.pairs is None else score.pairs.tolist()
    return row


def _result(row: dict[str, Any]) -> Result:
    score = Score(
        **{name: row[name] for name in ("task", "protocol", "main_metric", "main_score", "n")},
        metrics=json.loads(row["metrics"]),
        details=json.loads(row["details"]),
        items=None if row["items"] is None else np.array(row["items"], dtype=np.float64),
        pairs=None if row["pairs"] is None else np.array(row["pairs"], dtype=np.float64).reshape(-1, 2),
    )
    bounds = None if row["low"] is None else Interval(row["low"], row["high"])
    return Result(
        score,
        bounds,
        **{name: row[name] for name in ("data_hash", "seconds", "published")},
        **{name: json.loads(row[name]) for name in ("files", "settings", "instructions")},
    )
