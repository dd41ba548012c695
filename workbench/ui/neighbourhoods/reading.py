"""Beside the map: what a text's embedding decodes to, and the texts nearest to it."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from workbench.atlas.search import Hit
from workbench.decoding.differences import Span
from workbench.decoding.trust import Readings
from workbench.figures.map import OWN
from workbench.ui import parts, state
from workbench.ui.neighbourhoods import selection
from workbench.ui.neighbourhoods.source import Source

SHOWN = 7


def show(source: Source, found: Readings | None, vector: np.ndarray, at: int, where: str | None) -> list[int]:
    """Draws the reading, where there is one, and the neighbours; returns those of them that are on the map."""
    points = source.points
    title = "Your text" if at == OWN else _title(source, at)
    if found is not None:
        trip = float(found.round_trip[0])
        texts = found.texts[0], found.decoded[0], found.responses[0]
        parts.show(parts.passage(title, *texts, trip, source.others))
    else:
        parts.show(
            parts.card(title, "", parts.marked([Span(points.texts[at], "same")], "answer"), accent=True)
        )
    hits: list[Hit] = []
    with state.told():
        hits = source.near(vector, SHOWN + 1, where)
    mine = None if at == OWN else points.ids[at]
    hits = [hit for hit in hits if hit.id != mine][:SHOWN]
    if not hits:
        parts.show(parts.note("No other text fits the filter."))
        return []
    listed = [(hit.text, _below(source, hit), hit.similarity) for hit in hits]
    parts.show(parts.key("Nearest texts, by cosine similarity") + parts.neighbour_list(listed))
    rows = [points.rows[hit.id] for hit in hits if hit.id in points.rows]
    if rows:
        st.button(
            f"Select these {len(rows)}", type="tertiary", on_click=selection.choose, args=(source.key, rows)
        )
    return rows


def _title(source: Source, row: int) -> str:
    return _line(source.points.of(row))[:120]


def _below(source: Source, hit: Hit) -> str:
    """What a text decodes to, where that is known; else what is known of it."""
    row = source.points.rows.get(hit.id)
    if source.points.decoded is not None and row is not None:
        return f"→ {source.points.decoded[row]}"
    return _line(hit.metadata)[:160]


def _line(metadata: dict[str, Any]) -> str:
    return " · ".join(str(value).replace("_", " ") for value in metadata.values() if value not in (None, ""))
