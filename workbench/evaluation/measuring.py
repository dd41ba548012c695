"""Measures a source on tasks, one after the other, into a run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from workbench.evaluation.asked import Prompting
from workbench.evaluation.jobs import Job
from workbench.evaluation.protocol import interval
from workbench.evaluation.readers import Reader, instructions_for
from workbench.evaluation.results import LIBRARIES, Result, Run
from workbench.libraries import versions


def measure(
    jobs: Sequence[Job],
    reader: Reader,
    asked: Prompting,
    *,
    command: str,
    suite: str | None = None,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Run:
    """Measures the reader's source on the jobs; `progress` is told each task's name before it begins.

    Raises UsageError for a prompt name that the source does not have, before anything is measured, and what a
    protocol raises.
    """
    told = [instructions_for(reader.source, list(job.names), asked) for job in jobs]
    results = []
    for job, instructions in zip(jobs, told, strict=True):
        if progress is not None:
            progress(job.task)
        start = time.perf_counter()
        score = job.measure(reader.told(instructions))
        spent = time.perf_counter() - start
        bounds = interval(score, seed) if score.n > 1 else None
        results.append(
            Result(score, bounds, job.data_hash, job.files, job.settings, instructions, spent, job.published)
        )
    date = datetime.now(UTC).isoformat(timespec="seconds")
    source = reader.source
    return Run(source.name, source.fingerprint(), command, seed, date, versions(LIBRARIES), results, suite)
