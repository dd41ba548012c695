"""The page *Figures*: every figure of the paper in a venue's width, to download with its data and its commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import streamlit as st

from workbench.figures.paper.style import VENUES
from workbench.ui import parts, state

if TYPE_CHECKING:
    import pandas as pd

    from workbench.figures.paper.table import Table
    from workbench.ui.loaders import Drawn

LEDE = (
    "The figures of the paper, drawn from what was measured on the shipped default: fonts inside, text that can be "
    "selected, as wide as a venue’s column or page. The same data gives the same file."
)
EMPTY = "No figures: none is registered."
HINT = (
    "Choose another figure, or run that command in a checkout; `make figures` measures and draws all of them, "
    "in an hour at most."
)
PIXELS = 118
"""Of the preview for each printed inch: letters of 6 points can be read on a screen."""


def page(titles: Mapping[str, str], draw: Callable[[str, float], Drawn]) -> None:
    """Draws the page. `titles` are the figures by name, in order; `draw(name, inches)` gives one of them."""
    parts.page_title("Figures", LEDE)
    if not titles:
        parts.empty(EMPTY)
        return
    name, venue, width = _choose(titles)
    inches = VENUES[venue].column if width == "column" else VENUES[venue].page
    with state.problems(HINT), st.spinner("Drawing …", show_time=True):
        found = draw(name, inches)
    st.subheader(titles[name], anchor=False)
    st.image(found.svg, width=round(inches * PIXELS))
    parts.show(parts.note(found.caption))
    with st.container(horizontal=True, gap="small"):
        parts.download("PDF", found.pdf, f"{name}.pdf", "application/pdf")
        parts.download("SVG", found.svg.encode("utf-8"), f"{name}.svg", "image/svg+xml")
        parts.download("Data", found.data, f"{name}.json", "application/json")
    parts.show(parts.key("Measured and drawn by") + parts.note(f"{inches:.2f} inches wide."))
    st.code(f"{found.measured_by}\n{command(name, venue, width)}", language="bash")
    if found.table is not None:
        table = found.table
        parts.table_of(lambda: frame(table), f"figure-{name}")


def command(name: str, venue: str, width: str) -> str:
    """What draws the same file on the command line; the defaults are left out."""
    options = ("" if venue == "acl" else f" --venue {venue}") + (
        "" if width == "page" else f" --width {width}"
    )
    return f"workbench figure {name}{options}"


def frame(table: Table) -> pd.DataFrame:
    """A figure's table with its headings as columns."""
    import pandas as pd

    return pd.DataFrame([list(row) for row in table.rows], columns=list(table.header))


def _choose(titles: Mapping[str, str]) -> tuple[str, str, str]:
    """Which figure, for which venue, how wide; all three are in the URL."""
    names = list(titles)
    left, middle, right = st.columns([4, 2, 2], vertical_alignment="bottom")
    name = left.selectbox("Figure", names, key="figure", bind="query-params", format_func=parts.spaced)
    venue = middle.selectbox("Venue", list(VENUES), key="venue", bind="query-params", format_func=str.upper)
    width = right.segmented_control(
        "Width", ["page", "column"], default="page", key="width", bind="query-params", required=True
    )
    return name or names[0], venue or "acl", width or "page"
