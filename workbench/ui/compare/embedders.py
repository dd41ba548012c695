"""Two embedders: which one is on the right, which texts they are compared on, and their vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from workbench.ui import parts, state
from workbench.ui.compare import pair
from workbench.ui.compare.source import Opened, Pair, Side

if TYPE_CHECKING:
    from workbench.atlas.compared_texts import ComparedTexts

WITH = "with"
ATLAS, FILE = TEXTS = ("atlas", "file")
KINDS = ["csv", "tsv", "jsonl", "parquet", "txt"]
REFUSED = "Choose another embedder above, or type the folder or the hub id of one."
FILE_LABEL = (
    "A file of texts: csv, tsv, jsonl, parquet or txt. It stays on this machine, in a temporary folder, and goes with "
    "this session. It is not in the link."
)
_KEPT = "compared file"


def draw(opened: Opened, place: Any) -> None:
    """Draws this mode; `place` is what is left of the page's first row."""
    with place:
        name, kind, drawn = _controls(opened)
    if not name or not name.strip():
        parts.empty(
            "Nothing to compare with yet: choose an embedder, or type the folder or the hub id of one."
        )
        return
    with state.problems():
        texts = opened.atlas() if kind == ATLAS else _file(opened)
    if texts is None:
        return
    left, right = _sides(opened, name.strip(), texts)
    with state.problems(), st.spinner("Comparing …", show_time=True):
        comparison = opened.compared(left, right)
        one, other = opened.maps(left, right, drawn)
    pair.draw(Pair(texts, left, right, one, other, comparison))


def _controls(opened: Opened) -> tuple[str | None, str, Any]:
    who, which, how = st.columns([4, 2, 2], vertical_alignment="bottom")
    with who:
        name = st.selectbox(
            f"{opened.name} (sidebar) with",
            list(opened.others),
            index=0 if opened.others else None,
            key=WITH,
            bind="query-params",
            accept_new_options=True,
            placeholder="Type a folder or a hub id",
        )
    with which:
        kind = st.segmented_control(
            "On the texts of", TEXTS, default=ATLAS, key="texts", bind="query-params", required=True
        )
    with how:
        drawn = st.segmented_control(
            "Maps", ["PCA", "UMAP"], default="PCA", key="drawn", bind="query-params", required=True,
            help="PCA is there at once; UMAP keeps more neighbours together and takes up to a minute.",
        )  # fmt: skip
    return name, kind, drawn


def _file(opened: Opened) -> ComparedTexts | None:
    """The texts of a file, which stays with the session; None where there is none yet."""
    given = st.file_uploader(FILE_LABEL, type=KINDS, key="compared", on_change=_forget)
    kept = st.session_state.setdefault(_KEPT, {})
    if given is not None and kept.get("file") != given.file_id:
        kept.update(file=given.file_id, held=opened.hold(given.name, given.getvalue()), texts=None)
    if not kept:
        parts.empty("Nothing chosen yet: bring a file with one text in each row.")
        return None
    held = kept["held"]
    column = held.column or st.selectbox(
        "Which column holds the texts?",
        held.columns,
        index=None,
        key="texts-column",
        placeholder="Choose a column",
    )
    if column is None:
        return None
    if kept["texts"] is None or kept["column"] != column:
        kept.update(texts=opened.texts(held, column), column=column)
    return kept["texts"]


def _forget() -> None:
    """Another file is chosen, or none any more: what was made of the last one goes, its folder with it."""
    st.session_state[_KEPT] = {}


def _sides(opened: Opened, name: str, texts: ComparedTexts) -> tuple[Side, Side]:
    bar = st.empty()

    def progress(of: str) -> Any:
        def show(done: int, total: int) -> None:
            words = f"Embedding the texts with {of}: {done:,} of {total:,}"
            bar.progress(min(done / max(total, 1), 1.0), text=state._plain(words))

        return show

    try:
        with state.problems(REFUSED):
            return opened.side("", texts, progress(opened.name)), opened.side(name, texts, progress(name))
    finally:
        bar.empty()
