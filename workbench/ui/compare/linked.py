"""Both maps in one figure: coloured alike, with one selection, which can be undone and is a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from workbench.atlas.projection import place
from workbench.figures.colouring import NONE, OTHER, Colouring, colouring
from workbench.figures.map import OWN, MapData, Marks
from workbench.figures.pair import pair_map
from workbench.figures.prints.pair import pair_print
from workbench.ui import parts, prints, state
from workbench.ui.compare.source import Pair, Side
from workbench.ui.neighbourhoods import controls, selection

if TYPE_CHECKING:
    import pandas as pd

    from workbench.atlas.points import Points
    from workbench.decoding.trust import Readings

SHARED, SHADE, CHART = "shared neighbours", "shade", "pair"
KEEPS = (
    "{name} is drawn with {left} of each text’s nearest neighbours kept, {other} with {right}; distances on a map are "
    "worth no more than that."
)


def draw(pair: Pair, own: tuple[Readings, Readings] | None, at: int | None, rows: selection.Rows) -> None:
    """Draws the controls, the maps, and what is selected; `at` is the text that is looked at."""
    colours, drag = _controls(pair)
    sides = [
        _side(side, points, colours, None if own is None else own[number], at, rows, pair)
        for number, (side, points) in enumerate(zip((pair.left, pair.right), pair.points, strict=True))
    ]
    around = None if pair.around is None else np.concatenate([laid.coords for laid in pair.around])
    figure = pair_map(*sides, around=around, dark=state.is_dark())
    alt = f"Two maps of {len(pair.texts):,} texts: {pair.left.name}, and {pair.right.name}."
    controls.chart(figure, drag, CHART, pair.key, alt)
    kept = f"{pair.left_map.kept:.0%}", f"{pair.right_map.kept:.0%}"
    says = KEEPS.format(name=pair.left.name, other=pair.right.name, left=kept[0], right=kept[1])
    parts.show(parts.note(says))
    controls.selection_bar(pair.key, rows)
    controls.selected_table(rows, lambda: table(pair, rows), ", on both sides")
    prints.figure_of(
        lambda: pair_print(*sides, around=around, says=says), "two-maps", label="Both maps as a figure"
    )


def table(pair: Pair, rows: Sequence[int] | None = None) -> pd.DataFrame:
    """Those texts, or all: what is known of each, the share of neighbours that stay, its place on both maps; of a few
    rows also the nearest texts on both sides."""
    import pandas as pd

    picked = list(range(len(pair.texts)) if rows is None else rows)
    columns: dict[str, Any] = {"text": [pair.texts.texts[row] for row in picked]}
    columns |= {name: [values[row] for row in picked] for name, values in pair.texts.metadata.items()}
    found = pair.comparison.overlap
    columns[SHARED] = found.per_text[picked]
    for name, near in (("left", found.left), ("right", found.right)):
        if rows is not None:
            columns[f"nearest, {name}"] = [_listed(pair, near[row]) for row in picked]
    for name, laid in (("left", pair.left_map), ("right", pair.right_map)):
        columns[f"x, {name}"], columns[f"y, {name}"] = laid.coords[picked].T
    return pd.DataFrame(columns)


def _listed(pair: Pair, rows: np.ndarray) -> str:
    return " | ".join(pair.texts.texts[row] for row in rows.tolist())


def _controls(pair: Pair) -> tuple[Colouring, str]:
    names = [*pair.texts.metadata, SHARED]
    if st.session_state.get(SHADE) not in (None, *names):  # of other texts
        st.session_state.pop(SHADE)
    help = "Move: click a point to read it on both sides. Lasso, box: drag around points to select them."
    name, drag = controls.choose(names, SHADE, help)
    if name == SHARED:
        shared = pair.comparison.overlap.per_text
        return Colouring(SHARED, [SHARED] * len(pair.texts), shared), drag
    return colouring(name, pair.texts.metadata[name]), drag


def _side(
    side: Side,
    points: Points,
    colours: Colouring,
    own: Readings | None,
    at: int | None,
    rows: selection.Rows,
    pair: Pair,
) -> tuple[str, MapData, Marks]:
    spot, near = None, []
    if own is not None:
        spot = (own.texts[0], place(own.embeddings, points.embeddings, points.coords)[0])
    if at is not None:
        near = [points.rows[hit.id] for hit in neighbours(points, own, at, pair.comparison.overlap.k)]
    data = MapData(
        points.texts, colours.groups, [""] * len(points), points.coords, spot, colours.numbers,
        parts.spaced(colours.name), (OTHER, NONE),
    )  # fmt: skip
    return side.name, data, Marks(at, near, rows)


def neighbours(points: Points, own: Readings | None, at: int, k: int) -> list[Any]:
    """The `k` texts nearest to a row, or to the user's own text, on one side."""
    vector = own.embeddings[0] if at == OWN and own is not None else points.embeddings[at]
    hits = points.near(np.asarray(vector), k + 1)
    mine = None if at == OWN else points.ids[at]
    return [hit for hit in hits if hit.id != mine][:k]
