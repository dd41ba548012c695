"""Which texts to look at: the shipped atlas, a store, or a file that the user brings."""

from __future__ import annotations

from typing import Any

import streamlit as st

from workbench.ui import parts, state
from workbench.ui.neighbourhoods.source import Source, Sources

ATLAS, STORE, FILE = KINDS_OF_TEXTS = ("atlas", "store", "file")
HELP = (
    "The atlas that ships with the default; a store that `workbench atlas build` made; or a file of your own."
)
KINDS = ["csv", "tsv", "jsonl", "parquet", "txt"]
HOW = "Build a store with `workbench atlas build --input my_texts.csv --store my_store`, and name its folder here."


def choose(sources: Sources) -> Source | None:
    """Draws the controls and opens what was chosen; None, with a sentence that says what to do, where nothing was."""
    left, right = st.columns([5, 8], vertical_alignment="bottom")
    with left:
        kind = st.segmented_control(
            "Texts",
            KINDS_OF_TEXTS,
            default=ATLAS,
            key="source",
            bind="query-params",
            required=True,
            help=HELP,
        )
    if kind == STORE:
        with right:
            uri = st.text_input(
                "The store’s folder", key="store", bind="query-params", placeholder="my_store"
            )
        return _store(sources, uri)
    if kind == FILE:
        return _corpus(sources)
    with state.problems():
        return sources.shipped()


def _store(sources: Sources, uri: str | None) -> Source | None:
    if not uri or not uri.strip():
        parts.show(parts.note("A store keeps many texts with their vectors."))
        st.info(HOW, icon=":material/lightbulb:")
        return None
    with state.problems(), st.spinner("Opening the store …", show_time=True):
        return sources.store(uri.strip())


def _corpus(sources: Sources) -> Source | None:
    """The file stays with the session, so that other pages can be visited in between."""
    given = st.file_uploader(
        "A file of texts: csv, tsv, jsonl, parquet or txt. It stays on this machine, in a temporary folder, and goes "
        "with this session. It is not in the link.",
        type=KINDS,
        key="file",
        on_change=_forget,
    )
    kept = st.session_state.setdefault("corpus", {})
    if given is not None and kept.get("file") != given.file_id:
        with state.problems():
            held = sources.hold(given.name, given.getvalue())
        kept.update(file=given.file_id, held=held, column=held.column, open=None)
    if not kept:
        parts.empty("Nothing chosen yet: bring a file with one text in each row.")
        return None
    column = _column(kept["held"])
    if column is None:
        return None
    if kept["open"] is None or kept["column"] != column:
        kept.update(column=column, open=_embed(sources, kept["held"], column))
    drawn = st.segmented_control(
        "Map", ["PCA", "UMAP"], default="PCA", key="projection", required=True,
        help="PCA is there at once; UMAP keeps more neighbours together and takes up to a minute.",
    )  # fmt: skip
    with state.problems(), st.spinner("Drawing the map …", show_time=True):
        return kept["open"](drawn)


def _column(held: Any) -> str | None:
    """The column with the texts; asked for where the file does not say."""
    if held.column is not None:
        return held.column
    return st.selectbox(
        "Which column holds the texts?", held.columns, index=None, key="column", placeholder="Choose a column"
    )


def _embed(sources: Sources, held: Any, column: str) -> Any:
    bar = st.progress(0.0, text="Embedding the texts …")

    def progress(done: int, total: int) -> None:
        bar.progress(min(done / max(total, 1), 1.0), text=f"Embedding the texts: {done:,} of {total:,} rows")

    try:
        with state.problems():
            return sources.corpus(held, column, progress)
    finally:
        bar.empty()


def _forget() -> None:
    """Another file is chosen, or none any more: what was made of the last one goes, its folder with it."""
    st.session_state["corpus"] = {}
