"""Runs of evaluations laid side by side; the last ones are kept until their files change."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import streamlit as st

from workbench.errors import UsageError
from workbench.files import PACKAGE, shipped

if TYPE_CHECKING:
    from workbench.evaluation.report import Comparison
    from workbench.evaluation.results import Run

MEASURED = ("analyses", "results", "main_table")
"""Where the main table's command keeps its runs in a checkout."""


class Evaluated(NamedTuple):
    """Runs, the first measured first, and the same laid side by side."""

    runs: list[Run]
    comparison: Comparison
    files: list[str]
    """Each run's file."""


def known_evaluations() -> list[str]:
    """The folders of runs that are there: the one that ships, and the main table's own; from here where they can."""
    places = [PACKAGE.parent.joinpath(*MEASURED)]
    with suppress(UsageError):  # nothing ships here; runs of one's own may be there
        places.insert(0, shipped("evaluation"))
    here = Path.cwd()
    return [
        str(place.relative_to(here) if place.is_relative_to(here) else place)
        for place in places
        if any(place.glob("*.parquet"))
    ]


def evaluated(named: str) -> Evaluated:
    """The runs of a folder, or of files with semicolons between them, side by side.

    Raises UsageError where there are none or where they cannot be compared, WorkbenchError for a damaged file.
    """
    prints = []
    for path in _files(named):
        state = path.stat()
        prints.append((str(path), state.st_size, state.st_mtime_ns))
    return _evaluated(tuple(prints))


def _files(named: str) -> list[Path]:
    found: list[Path] = []
    for part in filter(None, map(str.strip, named.split(";"))):
        path = Path(part).expanduser()
        try:
            inside = sorted(path.glob("*.parquet")) if path.is_dir() else None
            there = path.exists()
        except OSError as error:
            raise UsageError(f"{part[:200]} cannot be opened: {error.strerror}") from error
        if not there:
            raise UsageError(f"no such file or folder: {path}")
        if inside == []:
            raise UsageError(f"no run in {path}: no file there ends in .parquet")
        found += [path] if inside is None else inside
    return list(dict.fromkeys(found))


@st.cache_resource(show_spinner=False, max_entries=8)
def _evaluated(files: tuple[tuple[str, int, int], ...]) -> Evaluated:
    from workbench.evaluation.report import compare
    from workbench.evaluation.results import read_run

    read = sorted(((read_run(Path(path)), path) for path, _, _ in files), key=lambda pair: pair[0].date)
    runs = [run for run, _ in read]
    return Evaluated(runs, compare(runs), [path for _, path in read])
