"""The sidebar: which embedder all pages look at, another one opened by path or hub id, and what it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from workbench.ui import loaders, parts, state
from workbench.ui.loaders import Facts, Source

EMBEDDER, BACKBONE = "embedder", "backbone"
"""The keys, and the URL's parameters, of the embedder's name, folder or hub id, and of a backbone of one's own."""
_OPENED, _LAST, _TYPED = "opened embedders", "last embedder and backbone", "another embedder"


@dataclass(frozen=True)
class Choice:
    """The embedder that was chosen."""

    name: str
    source: Source
    facts: Facts

    @property
    def is_default(self) -> bool:
        return loaders.is_default(self.source)


def choose() -> Choice:
    """Draws the sidebar; the embedder that is chosen there, or by the URL, for all pages.

    Nothing is loaded yet. Raises UsageError where there is no such embedder, WorkbenchError for a damaged one.
    """
    shipped = loaders.shipped_embedders()
    with st.sidebar:
        asked = _radio(list(shipped))
        is_other = asked not in shipped
        backbone = _backbone() if is_other else ""
        _open_another()
        st.session_state[_LAST] = (asked, backbone)
        if is_other:  # before it is looked at: what cannot be opened can be closed
            st.button("Close this embedder", key="close", type="tertiary", on_click=_close, args=(asked,))
    at = loaders.source(asked if is_other else shipped[asked], backbone=backbone)
    choice = Choice(Path(asked).name if is_other else asked, at, loaders.facts(at))
    _facts(choice)
    with st.sidebar:
        if loaders.in_memory(at):
            words = "Frees the memory of this language model; it is loaded again when it is next needed."
            st.button(
                "Unload", key="unload", type="tertiary", help=words, on_click=loaders.unload, args=(at,)
            )
    return choice


def others() -> list[str]:
    """What else can be chosen: names of embedders that ship, then folders and hub ids that were opened."""
    known = [*loaders.shipped_embedders(), *st.session_state.get(_OPENED, [])]
    return [name for name in known if name != st.session_state.get(EMBEDDER)]


def _radio(shipped: list[str]) -> str:
    """The name, folder or hub id that was chosen. The URL is kept by hand: bound, it would hold escaped labels."""
    opened: list[str] = st.session_state.setdefault(_OPENED, [])
    last, _ = st.session_state.get(_LAST, (shipped[0], ""))
    asked = st.session_state.get(EMBEDDER) or st.query_params.get(EMBEDDER) or last
    if asked not in [*shipped, *opened]:
        opened.append(asked)
    st.session_state[EMBEDDER] = asked
    st.radio("Embedder", [*shipped, *opened], format_func=_label, key=EMBEDDER)
    if asked != shipped[0]:
        st.query_params[EMBEDDER] = asked
    elif EMBEDDER in st.query_params:
        del st.query_params[EMBEDDER]
    return asked


def _label(name: str) -> str:
    return name if name in loaders.NAMES.values() else state._plain(name)


def _backbone() -> str:
    _, last = st.session_state.get(_LAST, ("", ""))
    if last and BACKBONE not in st.session_state and BACKBONE not in st.query_params:
        st.session_state[BACKBONE] = last
    words = "A folder or hub id, instead of the backbone that the embedder names. It must be the same model."
    typed = st.text_input(
        "Backbone", key=BACKBONE, bind="query-params", placeholder="as the embedder names it", help=words
    )
    return (typed or "").strip()


def _open_another() -> None:
    with st.popover("Open another …", type="tertiary"), st.form("open another", border=False):
        st.text_input(
            "Embedder",
            key=_TYPED,
            placeholder="folder or hub id",
            help="What `workbench train` wrote, an official LLM2Vec-Gen checkpoint, or a repository of the hub. "
            "No code of a hub is run.",
        )
        st.form_submit_button("Open", type="primary", on_click=_open)


def _open() -> None:
    typed = (st.session_state.get(_TYPED) or "").strip()
    if typed:
        opened: list[str] = st.session_state.setdefault(_OPENED, [])
        if typed not in [*opened, *loaders.shipped_embedders()]:
            opened.append(typed)
        st.session_state[EMBEDDER] = typed
        st.session_state[_TYPED] = ""


def _close(asked: str) -> None:
    """Forgets an opened embedder, and what is in memory of it; the default is looked at again."""
    loaders.unload_folder(asked)
    st.session_state[_OPENED] = [name for name in st.session_state.get(_OPENED, []) if name != asked]
    st.session_state[EMBEDDER] = next(iter(loaders.shipped_embedders()))


def _facts(choice: Choice) -> None:
    facts = choice.facts
    rows = [
        ("method", loaders.NAMES.get(facts.method, facts.method)),
        ("backbone", Path(facts.backbone).name),
    ]
    if facts.special_tokens:
        rows.append(("special tokens", f"{facts.special_tokens + facts.thought_tokens}"))
    if facts.dimension:
        rows.append(("embedding", f"{facts.dimension} dimensions"))
    rows.append(("fingerprint", choice.source.fingerprint[:8]))
    parts.sidebar_facts("Looking at", rows)
