"""What every map of texts has: its colour, what a drag of the mouse does, what was clicked, and the selection's bar."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import streamlit as st

from workbench.figures.map import OWN
from workbench.ui import parts
from workbench.ui.neighbourhoods import focus, selection

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go
    from streamlit.delta_generator import DeltaGenerator

DRAGS = {"move": "pan", "lasso": "lasso", "box": "select"}


class Choice(NamedTuple):
    """How a map is drawn."""

    colour: str
    """One of the names that were offered."""
    drag: str
    """What plotly calls the chosen one of DRAGS."""


def choose(names: list[str], key: str, help: str) -> Choice:
    """Draws the controls above a map: the colour, by name, under `key`, and what a drag does, which `help` says."""
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        options: dict[str, Any] = {"key": key, "bind": "query-params", "format_func": parts.spaced}
        if len(names) <= 4:
            colour = st.segmented_control("Colour", names, default=names[0], required=True, **options)
        else:
            colour = st.selectbox("Colour", names, width=220, **options)
        drag = st.segmented_control(
            "Drag to", list(DRAGS), default="move", key="drag", bind="query-params", required=True, help=help
        )
    return Choice(colour or names[0], DRAGS[drag])


def chart(figure: go.Figure, drag: str, name: str, key: str, alt: str) -> None:
    """Draws a map as the chart `name`, and takes clicks and lassos from it for the source `key`."""
    figure.update_layout(dragmode=drag)
    st.plotly_chart(
        figure,
        width="stretch",
        key=name,
        on_select=lambda: take(st.session_state.get(name), key),
        selection_mode=("points", "box", "lasso"),
        alt=alt,
        config={"displaylogo": False, "scrollZoom": True, "modeBarButtonsToRemove": ["autoScale2d"]},
    )


def picked(event: Mapping[str, Any] | None) -> list[int]:
    """The rows of all points in a chart's selection event; lines and rings have none."""
    points = event["selection"]["points"] if event else []
    found = [point["customdata"] for point in points if point.get("customdata") is not None]
    return [int(row[0] if isinstance(row, list | tuple) else row) for row in found]


def encircled(event: Mapping[str, Any] | None) -> bool:
    """Whether a selection event is of a lasso or a box, not of a click."""
    return bool(event) and any(event["selection"].get(tool) for tool in ("lasso", "box"))


def take(event: Mapping[str, Any] | None, key: str) -> None:
    """A click looks at the point clicked last, a lasso or a box selects; the own text can be looked at only."""
    rows = picked(event)
    if encircled(event):
        selection.choose(key, [row for row in rows if row != OWN])
    elif rows:
        focus.look_at(rows[-1])


def selection_bar(key: str, rows: selection.Rows) -> DeltaGenerator:
    """Draws undo, redo and "select none" of a source's selection; returns the row that they stand in."""
    history, small = selection.history(key), {"type": "tertiary", "args": (key,)}
    bar = st.container(horizontal=True, gap="small", vertical_alignment="center")
    for label, do, able in (
        ("Undo", selection.undo, history.past),
        ("Redo", selection.redo, history.future),
    ):
        bar.button(label, icon=f":material/{label.lower()}:", on_click=do, disabled=not able, **small)
    bar.button("Select none", on_click=selection.choose, type="tertiary", args=(key, ()), disabled=not rows)
    return bar


def selected_table(rows: selection.Rows, frame: Callable[[], pd.DataFrame], where: str = "") -> None:
    """Draws the selected texts as a table, unless there are none; `where` stands behind their number."""
    if not rows:
        return
    if not selection.in_link(rows):
        parts.show(parts.note("This selection is too large for the link: it stays with this session."))
    parts.table_of(frame, "selection", f"{len(rows):,} selected texts{where}")
