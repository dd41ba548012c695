"""Directions: whether embeddings point to the words of their texts, or to what is answered to them."""

from __future__ import annotations

from typing import Any

import streamlit as st

from workbench.atlas.directions import Directions
from workbench.atlas.projection import place
from workbench.decoding.trust import Readings
from workbench.ui import parts, state
from workbench.ui.neighbourhoods.source import Source

MEANING = (
    "An embedding lies in the space of the teacher that it was trained on. On the map: 1 where the teacher puts the "
    "text’s own words, 2 the decoded response, 3 the model’s real response, each among its nearest texts."
)


def show(source: Source, found: Readings | None) -> list[tuple[str, str, Any]]:
    """Draws where one reading points, where there is one, and where many do; returns the arrows' stops on the map."""
    parts.show(parts.note(MEANING))
    stops: list[tuple[str, str, Any]] = []
    if found is not None:
        with state.told(), st.spinner("Asking the teacher …", show_time=True):
            one = source.direction(found)
            stops = _stops(source, found, one)
            _one(found, one)
    with state.told(), st.spinner("Asking the teacher about many texts …", show_time=True):
        many = source.directions()
        seen = many.found
        of = f"of {len(many.sample):,} of {many.sample.total:,} texts, drawn in proportion"
        means = (
            f"On average the embedding’s cosine is {parts.cosine(float(seen.to_response.mean()))} with the response, "
            f"{parts.cosine(float(seen.to_decoded.mean()))} with the decoded one and "
            f"{parts.cosine(float(seen.to_text.mean()))} with the text itself."
        )
        share = parts.scale(seen.nearer_response)
        parts.figures(
            parts.figure(
                "Nearer to the response than to the text", f"{seen.nearer_response:.0%}", of, means, share
            ),
            one_column=True,
        )
    return stops


def _stops(source: Source, found: Readings, one: Directions) -> list[tuple[str, str, Any]]:
    points = source.points
    rows = [
        ("The text’s own words", found.texts[0], one.texts),
        ("Decoded response", found.decoded[0], one.decoded),
        ("Real response", found.responses[0], one.responses),
    ]
    return [(name, text, place(vector, points.embeddings, points.coords)[0]) for name, text, vector in rows]


def _one(found: Readings, one: Directions) -> None:
    listed = [
        (found.texts[0], "The text’s own words", float(one.to_text[0])),
        (found.decoded[0] or "(nothing)", "Decoded response", float(one.to_decoded[0])),
        (found.responses[0] or "(nothing)", "Real response", float(one.to_response[0])),
    ]
    parts.show(parts.key("This embedding’s cosine with") + parts.neighbour_list(listed))
