"""Figures of the paper as the page *Figures* shows them, drawn once for each results file and width."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import streamlit as st

if TYPE_CHECKING:
    from workbench.figures.paper.table import Table


class Drawn(NamedTuple):
    """One figure, drawn."""

    svg: str
    pdf: bytes
    data: bytes
    """Its results file."""
    caption: str
    measured_by: str
    """The command that measures it."""
    table: Table | None


def paper_figure(name: str, width: float) -> Drawn:
    """A figure of the paper from its shipped results, so many inches wide.

    Raises UsageError, which says what measures it, where it has none, WorkbenchError where they do not fit.
    """
    from workbench.figures.paper.registry import figure_named

    figure = figure_named(name)
    figure.results()  # says what is missing; what is read below is then kept
    path = figure.path()
    state = path.stat()
    return _drawn(name, width, str(path), state.st_size, state.st_mtime_ns)


@st.cache_data(max_entries=48, show_spinner=False)
def _drawn(name: str, width: float, path: str, size: int, changed: int) -> Drawn:
    """`size` and `changed` are part of the key: another file is another drawing."""
    from workbench.figures.paper.export import as_bytes
    from workbench.figures.paper.registry import figure_named

    figure = figure_named(name)
    results = figure.results(Path(path))
    drawn = figure.drawn(results, width)
    svg = as_bytes(drawn, "svg").decode("utf-8")
    pdf, data = as_bytes(drawn, "pdf"), Path(path).read_bytes()
    return Drawn(svg, pdf, data, figure.said(results), figure.command, figure.tabled(results))
