"""Two sides beside each other: how alike they are as a whole, their maps, and the text that is looked at."""

from __future__ import annotations

import streamlit as st

from workbench.atlas.comparison import Against
from workbench.decoding.trust import Readings
from workbench.ui import parts, state
from workbench.ui.compare import beside, linked
from workbench.ui.compare.source import Pair
from workbench.ui.neighbourhoods import focus, selection

SHARED = (
    "Of each text’s {k} nearest texts, the share that is nearest on both sides, on average. Unrelated spaces share "
    "{chance} (tick)."
)
CKA = "How far the texts’ inner products agree; 1 = the same up to turning. {other} for texts paired at random (tick)."
RESIDUAL = (
    "The share of variance that no turning explains; 0 = the same. {other} for texts paired at random (tick)."
)

Own = tuple[Readings, Readings]
"""The user's own text as both sides read it."""


def draw(pair: Pair) -> None:
    """Draws all of it. What is said of one text needs its embedder; the rest does not."""
    _figures(pair)
    parts.show(parts.note(f"On {pair.texts.says}."))
    for says in filter(None, (pair.left.says, pair.right.says)):
        st.warning(state._plain(f"{says}."), icon=":material/content_cut:")
    own = None
    left, right = st.columns(2, gap="medium")
    if pair.left.own is not None and pair.right.own is not None:
        with left:
            own = _own(pair, state.text_box("Your own text", page="compare", on_change=focus.look_at_own))
    with right if pair.left.own is not None else left:
        at = focus.choose(pair.points[0], has_own=own is not None)
    with state.problems():
        rows = selection.selected(pair.key, len(pair.texts))
    linked.draw(pair, own, at, rows)
    if at is None:
        more = "search for a text, or type your own" if pair.left.own is not None else "or search for a text"
        parts.empty(f"Nothing chosen yet: click a point, {more}.")
    else:
        beside.show(pair, own, at)
    beside.differ(pair)
    parts.table_of(lambda: linked.table(pair), "compare", "Both maps as a table")


def _figures(pair: Pair) -> None:
    found = pair.comparison
    shared, chance = found.overlap.mean, found.overlap.chance
    parts.figures(
        parts.figure(
            "Neighbours shared", f"{shared:.0%}", "", SHARED.format(k=found.overlap.k, chance=f"{chance:.0%}"),
            parts.scale(shared, chance),
        ),
        _against("Linear CKA", found.cka, CKA),
        _against("Procrustes residual", found.residual, RESIDUAL),
    )  # fmt: skip


def _against(name: str, found: Against, meaning: str) -> str:
    said = meaning.format(other=parts.cosine(found.shuffled))
    return parts.figure(name, parts.cosine(found.value), "", said, parts.scale(found.value, found.shuffled))


def _own(pair: Pair, text: str) -> Own | None:
    """The own text on both sides; where one cannot read it, that is said, and the maps stay."""
    if not text or pair.left.own is None or pair.right.own is None:
        return None
    with state.told(), st.spinner("Reading your text on both sides …", show_time=True):
        return pair.left.own(text), pair.right.own(text)
    return None
