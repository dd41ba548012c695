"""What embedders make of one text: readings, how far to trust them, and attention; the last ones are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from workbench.files import cache_folder
from workbench.ui.loaders.embedders import Loaded, Source, loaded, source

if TYPE_CHECKING:
    from workbench.decoding.badge import Badge, Judge
    from workbench.decoding.trust import Readings
    from workbench.embedders.lifter import Lifter
    from workbench.lenses.attention import SpecialAttention


def read(text: str, at: Source | None = None) -> Readings:
    """One text's reading by the shipped default, or by another embedder.

    Raises FingerprintMismatch where the atlas is another embedder's than the default.
    """
    return _read(at or source(), text)


def judge(reading: Readings, at: Source | None = None) -> Badge | None:
    """How far to trust one text's reading by the shipped default, or by another embedder; None where the reading does
    not hold what was read. What trust means is measured at the first call in the life of the cache folder."""
    if reading.kept is None:
        return None
    return _judge(at or source(), reading.texts[0], reading)


def attend(text: str, at: Source | None = None) -> SpecialAttention:
    """One text's attention in the shipped default, or in another embedder."""
    return _attend(at or source(), text)


def judge_of(model: Loaded, lifter: Lifter | None = None) -> Judge:
    """The judge of this embedder's readings, or of a lifter's, made once; the model's lock must be held."""
    if lifter not in model.judges:
        from workbench.decoding.badge import Judge
        from workbench.decoding.media import medium_of
        from workbench.decoding.reference import load_reference

        medium = medium_of(model.embedder, lifter)
        model.judges[lifter] = Judge(medium, load_reference(medium, cache_dir=cache_folder()))
    return model.judges[lifter]


@st.cache_data(show_spinner=False, max_entries=500)
def _read(source: Source, text: str) -> Readings:
    from workbench.decoding import trust

    model = loaded(source)
    with model.lock:
        return trust.read(model.embedder, [text])


@st.cache_data(show_spinner=False, max_entries=500)
def _judge(source: Source, text: str, _reading: Readings) -> Badge:
    model, kept = loaded(source), _reading.kept
    assert kept is not None  # `judge` has seen to it
    with model.lock:
        return judge_of(model).badges(kept, _reading.decoded)[0]


@st.cache_resource(show_spinner=False, max_entries=8)
def _attend(source: Source, text: str) -> SpecialAttention:
    from workbench.lenses.attention import special_attention

    model = loaded(source)
    with model.lock:
        return special_attention(model.embedder, text)
