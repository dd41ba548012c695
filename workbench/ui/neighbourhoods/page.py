"""The page *Neighbourhoods*: shipped texts and the user's own on a map; every point can be read again."""

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from workbench.atlas.neighbours import Neighbours, nearest
from workbench.atlas.prebuilt import Atlas
from workbench.atlas.projection import place
from workbench.decoding.trust import Readings
from workbench.figures.map import OWN, MapData, neighbour_map
from workbench.ui import parts, state

LEDE = (
    "Texts whose answers are alike lie close together. Click a point to see what its embedding decodes to and which "
    "texts are nearest to it, or place a text of your own."
)
POINT, COLOUR, CHART = "point", "colour", "map"
SHOWN = 7


def page(atlas: Atlas, read: Callable[[str], Readings]) -> None:
    """Draws the page. `read` embeds and decodes the user's own text; it is not called while there is none."""
    parts.page_title("Neighbourhoods", LEDE)
    if len(atlas) == 0:
        parts.empty("This atlas holds no texts.")
        return
    box, chooser, colours = st.columns([6, 6, 3])
    with box:
        text = state.text_box("Your own text", page="neighbourhoods", on_change=_look_at_own)
    with colours:
        by = st.segmented_control(
            "Colour", ["topic", "kind"], default="topic", key=COLOUR, bind="query-params"
        )
    own = None
    if text:
        with state.problems(), st.spinner("Placing your text …", show_time=True):
            own = read(text)
    with chooser:
        focus = _choose(atlas, own)
    found = _neighbours(atlas, own, focus)
    left, right = st.columns([8, 5], gap="medium")
    with left:
        _trust_of_the_map(atlas)
        _map(atlas, own, focus, found, by or "topic")
    with right:
        _panel(atlas, own, focus, found)


def chosen(event: Mapping[str, Any] | None) -> int | None:
    """The row of the point that was clicked last, from a chart's selection event; None where there is none."""
    points = event["selection"]["points"] if event else []
    rows = [point["customdata"] for point in points if point.get("customdata") is not None]
    if not rows:
        return None
    return int(rows[-1][0] if isinstance(rows[-1], list | tuple) else rows[-1])


def _look_at_own() -> None:
    st.session_state[POINT] = OWN if st.session_state.get(state.TEXT, "").strip() else None


def _clicked() -> None:
    row = chosen(st.session_state.get(CHART))
    if row is not None:
        st.session_state[POINT] = row


def _choose(atlas: Atlas, own: Readings | None) -> int | None:
    """The row to look at: from the search box, which follows the clicks on the map; the own text by default."""
    options = ([OWN] if own is not None else []) + list(range(len(atlas)))
    if st.session_state.get(POINT) not in options:
        st.session_state.pop(POINT, None)
    return st.selectbox(
        "Look at",
        options,
        index=None if own is None else 0,
        format_func=lambda row: "your own text" if row == OWN else atlas.texts[row],
        key=POINT,
        bind="query-params",
        placeholder="Search the texts, or click a point",
    )


def _neighbours(atlas: Atlas, own: Readings | None, focus: int | None) -> Neighbours | None:
    """The nearest texts to the one looked at, itself left out."""
    if focus is None:
        return None
    vector = own.embeddings[0] if focus == OWN and own is not None else atlas.embeddings[focus]
    found = nearest(atlas.embeddings, vector, SHOWN + 1)
    others = found.indices != focus
    return Neighbours(found.indices[others][:SHOWN], found.similarities[others][:SHOWN])


def _map(atlas: Atlas, own: Readings | None, focus: int | None, found: Neighbours | None, by: str) -> None:
    spot = None if own is None else (own.texts[0], place(own.embeddings, atlas.embeddings, atlas.coords)[0])
    groups = atlas.topics if by == "topic" else atlas.kinds
    rows: list[int] = [] if found is None else [int(row) for row in found.indices]
    figure = neighbour_map(
        MapData(atlas.texts, groups, atlas.decoded, atlas.coords, spot),
        focus=focus,
        neighbours=rows,
        dark=state.is_dark(),
    )
    st.plotly_chart(
        figure,
        width="stretch",
        key=CHART,
        on_select=_clicked,
        selection_mode="points",
        config={
            "displaylogo": False,
            "scrollZoom": True,
            "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"],
        },
    )


def _panel(atlas: Atlas, own: Readings | None, focus: int | None, found: Neighbours | None) -> None:
    if focus is None or found is None:
        parts.empty("Nothing chosen yet: click a point, search for a text, or type your own.")
    else:
        _reading(atlas, own, focus)
        heading = parts.key("Nearest texts, by cosine similarity")
        rows = zip(found.indices, found.similarities, strict=True)
        listed = [
            (atlas.texts[row], f"→ {atlas.decoded[row]}", float(similarity)) for row, similarity in rows
        ]
        parts.show(heading + parts.neighbour_list(listed))


def _reading(atlas: Atlas, own: Readings | None, focus: int) -> None:
    if focus == OWN and own is not None:
        title, text, decoded, answer = "Your text", own.texts[0], own.decoded[0], own.responses[0]
        trip = float(own.round_trip[0])
    else:
        text, decoded, answer = atlas.texts[focus], atlas.decoded[focus], atlas.responses[focus]
        title = " · ".join(
            name.replace("_", " ") for name in (atlas.topics[focus], atlas.kinds[focus]) if name
        )
        trip = float(atlas.round_trip[focus])
    parts.show(parts.passage(title, text, decoded, answer, trip, atlas.facts.shuffled))


def _trust_of_the_map(atlas: Atlas) -> None:
    facts = atlas.facts
    parts.show(
        parts.note(
            f"This {facts.projection} map of {len(atlas)} texts keeps {facts.preserved:.0%} of each text’s "
            f"{facts.neighbours} nearest neighbours; a random map would keep {facts.chance:.0%}. "
            "Where map and list disagree, the list is right."
        )
    )
