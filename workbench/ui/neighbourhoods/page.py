"""Puts the page together: which texts, which of them to look at, the map, what is said beside it, and the tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from workbench.decoding.trust import Readings
from workbench.figures.map import OWN
from workbench.ui import parts, state
from workbench.ui.neighbourhoods import (
    clusters,
    controls,
    directions,
    focus,
    map,
    reading,
    selection,
    sources,
)
from workbench.ui.neighbourhoods.source import Source, Sources

LEDE = (
    "Texts whose answers are alike lie close together. Click a point to see what its embedding decodes to and which "
    "texts are nearest to it, or place a text of your own."
)
PANELS = ["Reading", "Clusters", "Directions"]


def page(opened: Sources) -> None:
    """Draws the page; `opened` says how each kind of source is opened, and only the chosen one is."""
    parts.page_title("Neighbourhoods", LEDE)
    source = sources.choose(opened)
    if source is None:
        return
    if source.says:
        parts.show(parts.note(f"{source.says}."))
    if not len(source.points):
        parts.empty("This atlas holds no texts.")
        return
    left, right = st.columns(2)
    with left:
        text = state.text_box("Your own text", page="neighbourhoods", on_change=focus.look_at_own)
    own = _own(source, text)
    with right:
        at = focus.choose(source.points, has_own=own is not None)
        where, let = _filter(source)
    with state.problems():
        rows = selection.selected(source.key, len(source.points))
    left, right = st.columns([8, 5], gap="medium")
    with left:
        chosen = map.choose(source.points)
    with right:
        panel = st.segmented_control(
            "Beside the map", PANELS, default=PANELS[0], key="panel", bind="query-params", required=True
        )
    named = None
    if clusters.WANTED in (chosen.colour, panel.lower()):
        with left:
            named = clusters.find(source)
    with right:
        seen = _panel(panel, source, own, at, where, named)
    with left:
        drawn = map.Drawn(own, at, seen.neighbours, rows, let, seen.arrows)
        map.draw(source, chosen, drawn, named)
        _selected(source, rows, let)


class Seen:
    """What the panel gives the map to draw."""

    def __init__(self, neighbours: list[int] | None = None, arrows: list[Any] | None = None) -> None:
        self.neighbours, self.arrows = neighbours or [], arrows or []


def _own(source: Source, text: str) -> Readings | None:
    if not text:
        return None
    with state.problems(), st.spinner("Placing your text …", show_time=True):
        return source.own(text)


def _filter(source: Source) -> tuple[str | None, list[int] | None]:
    """What is to be left of the texts, as SQL and as points; None = all. A filter that is wrong leaves none out."""
    names = list(source.points.metadata)
    hint = f"{names[0]} = '{_example(source, names[0])}'" if names else "text LIKE '%gold%'"
    where = st.text_input(
        "Only texts like these", key="where", bind="query-params", placeholder=f"For example {hint}",
        help="SQL over the columns " + ", ".join(["id", "text", *names]).replace("_", "\\_"),
    )  # fmt: skip
    where = (where or "").strip()
    if not where:
        return None, None
    with state.told():
        return where, source.let(where)
    return None, None


def _example(source: Source, name: str) -> str:
    return next((str(value) for value in source.points.metadata[name] if value), "…")[:24]


def _panel(
    panel: str, source: Source, own: Readings | None, at: int | None, where: str | None, named: Any
) -> Seen:
    if panel == "Clusters" and named is not None:
        clusters.show(source, named)
        return Seen()
    if at is None:
        parts.empty("Nothing chosen yet: click a point, search for a text, or type your own.")
        return Seen() if panel == "Reading" else Seen(arrows=directions.show(source, None))
    found = None
    with state.told(), st.spinner("Reading this text …", show_time=True):
        found = own if at == OWN and own is not None else source.read(at)
    if panel == "Directions":
        return Seen(arrows=directions.show(source, found))
    vector = source.points.embeddings[at] if at != OWN or own is None else own.embeddings[0]
    return Seen(reading.show(source, found, np.asarray(vector), at, where))


def _selected(source: Source, rows: selection.Rows, let: list[int] | None) -> None:
    """The selection with undo and redo, as a table; below it the whole map as one."""
    bar = controls.selection_bar(source.key, rows)
    if let is not None:
        label = f"Select the {len(let):,} texts that fit the filter"
        bar.button(
            label, type="tertiary", on_click=selection.choose, args=(source.key, let), disabled=not let
        )
    controls.selected_table(rows, lambda: _frame(source, rows))
    parts.table_of(
        lambda: _frame(source, range(len(source.points)) if let is None else let), "map", "The map as a table"
    )


def _frame(source: Source, rows: Any) -> Any:
    import pandas as pd

    return pd.DataFrame(source.points.table(list(rows)))
