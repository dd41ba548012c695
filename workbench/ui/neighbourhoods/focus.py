"""Which text is looked at: chosen from a list that can be searched, by a click on the map, or the user's own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import streamlit as st

from workbench.atlas.points import Points
from workbench.figures.map import OWN
from workbench.ui import state

POINT = "point"
FEW = 2_000
"""Up to so many texts the list holds all of them; of more, those that hold the words that are typed."""
LISTED = 200


def look_at_own() -> None:
    """What happens when a text of one's own is typed: it is looked at."""
    st.session_state[POINT] = OWN if st.session_state.get(state.TEXT, "").strip() else None


def look_at(row: int) -> None:
    """Looks at a point."""
    st.session_state[POINT] = row


def choose(points: Points, *, has_own: bool) -> int | None:
    """The row to look at: from the search box, which follows the clicks on the map; the own text by default."""
    rows = range(len(points)) if len(points) <= FEW else _found(points)
    options = ([OWN] if has_own else []) + list(rows)
    if st.session_state.get(POINT) not in options:
        st.session_state.pop(POINT, None)
    names = labels(points, rows)
    return st.selectbox(
        "Look at",
        options,
        index=0 if has_own else None,
        format_func=lambda row: "your own text" if row == OWN else names[row],
        key=POINT,
        bind="query-params",
        placeholder="Search the texts, or click a point",
    )


def labels(points: Points, rows: Sequence[int]) -> dict[int, str]:
    """Every row's text as the list shows it, and the link names it; equal texts are told apart by their rows."""
    counts = Counter(points.texts[row] for row in rows)
    return {
        row: points.texts[row] if counts[points.texts[row]] == 1 else f"{points.texts[row]} (row {row})"
        for row in rows
    }


def containing(points: Points, words: str, most: int = LISTED) -> list[int]:
    """The first `most` rows whose text holds every one of the words, whatever their case; none for no words."""
    wanted = words.casefold().split()
    found = (row for row, text in enumerate(points.texts) if all(word in text.casefold() for word in wanted))
    return [row for row, _ in zip(found, range(most), strict=False)] if wanted else []


def _found(points: Points) -> list[int]:
    """Rows with the words that are typed, the one looked at, and the one that the link names."""
    words = st.text_input("Find words", key="find", bind="query-params", placeholder="Words of a text") or ""
    rows, now = containing(points, words), st.session_state.get(POINT)
    if isinstance(now, int) and 0 <= now < len(points) and now not in rows:
        rows.append(now)
    linked = st.query_params.get(POINT)
    if linked in points.texts and points.texts.index(linked) not in rows:
        rows.append(points.texts.index(linked))
    return rows
