"""One text on both sides: what each decodes it to, and its nearest texts; and the texts that differ most."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from workbench.decoding.differences import differences
from workbench.figures.map import OWN
from workbench.ui import parts, state
from workbench.ui.compare.linked import neighbours
from workbench.ui.compare.source import Decoded, Pair
from workbench.ui.neighbourhoods import focus

if TYPE_CHECKING:
    from workbench.decoding.trust import Readings

DIFFER = 8
"""Texts that are listed as those that differ most."""
UNKNOWN = "Not decoded: of a run, some of the watched queries are, at each step that was looked at."
READING = "Reading this text on both sides …"


def show(pair: Pair, own: tuple[Readings, Readings] | None, at: int) -> None:
    """Draws what both sides decode the text to, and its nearest texts on both."""
    if at == OWN and own is None:
        return
    text = own[0].texts[0] if at == OWN and own is not None else pair.texts.texts[at]
    st.subheader("The same text on both sides", anchor=False)
    parts.show(f'<p class="wb-read small">{parts.plain(text)}</p>')
    _decoded(pair, own, at)
    _neighbours(pair, own, at)


def differ(pair: Pair) -> None:
    """The texts whose neighbours differ most; each can be looked at."""
    found = pair.comparison.overlap
    st.subheader("Whose neighbours differ most", anchor=False)
    rows = found.least(DIFFER).tolist()
    half = (len(rows) + 1) // 2
    for name, column, some in zip(
        ("one", "two"), st.columns(2, gap="medium"), (rows[:half], rows[half:]), strict=True
    ):
        with column, st.container(border=False, gap="small", key=f"differing-{name}"):
            for row in some:
                label = state._plain(" ".join(pair.texts.texts[row].split())[:110])
                st.button(label, key=f"differ-{row}", type="tertiary", on_click=focus.look_at, args=(row,))
                parts.show(parts.note(f"{_shared(pair, row)}{_about(pair, row)}"))


def _shared(pair: Pair, row: int) -> str:
    found = pair.comparison.overlap
    return f"{round(found.per_text[row] * found.k)} of {found.k} neighbours shared"


def _about(pair: Pair, row: int) -> str:
    known = [
        str(values[row]).replace("_", " ")
        for values in pair.texts.metadata.values()
        if values[row] not in (None, "")
    ]
    return f" · {' · '.join(known)}"[:90] if known else ""


def _decoded(pair: Pair, own: tuple[Readings, Readings] | None, at: int) -> None:
    """Both readings, with the words marked that only one of them has."""
    found: list[Decoded | None] = [None, None]
    with state.told(), st.spinner(READING, show_time=True):
        if at == OWN and own is not None:
            found = [_of_own(one) for one in own]
        else:
            found = [side.decoded(at) for side in (pair.left, pair.right)]
    one, other = found
    if one is None and other is None:
        parts.show(parts.note(UNKNOWN))
        return
    differ = differences(one.text, other.text) if one is not None and other is not None else None
    spans = (differ.left, differ.right) if differ is not None else (None, None)
    cards = [
        _card(side.name, said, "" if marks is None else parts.marked(marks, kind), accent=number == 1)
        for number, (side, said, marks, kind) in enumerate(
            zip((pair.left, pair.right), found, spans, ("answer", "decoded"), strict=True)
        )
    ]
    parts.show(f'<div class="wb-two">{"".join(cards)}</div>')


def _of_own(found: Readings) -> Decoded:
    return Decoded(
        found.decoded[0], found.responses[0], float(found.round_trip[0]), "the embedding of the decoded text"
    )


def _card(name: str, said: Decoded | None, marked: str, *, accent: bool) -> str:
    if said is None:
        return parts.card(name, UNKNOWN, " ", accent=accent)
    trust = "" if said.cosine is None else f"Cosine with {said.against}: {parts.cosine(said.cosine)}."
    answer = f" The model’s own answer: {said.answer}" if said.answer else ""
    return parts.card(
        f"{name} decodes it to", trust + answer, marked or parts.plain(said.text), accent=accent
    )


def _neighbours(pair: Pair, own: tuple[Readings, Readings] | None, at: int) -> None:
    k = pair.comparison.overlap.k
    found = [
        neighbours(points, None if own is None else own[number], at, k)
        for number, points in enumerate(pair.points)
    ]
    both = {hit.id for hit in found[0]} & {hit.id for hit in found[1]}
    lists = [
        parts.key(f"Nearest by cosine in {side.name}")
        + parts.neighbour_list(
            [(hit.text, "✓ on both sides" if hit.id in both else "", hit.similarity) for hit in hits]
        )
        for side, hits in zip((pair.left, pair.right), found, strict=True)
    ]
    said = parts.note(f"{len(both)} of {k} neighbours are on both sides.")
    parts.show(
        f'{said}<div class="wb-two" style="margin-top:.6rem"><div>{lists[0]}</div><div>{lists[1]}</div></div>'
    )
