"""What a page shows, as a figure for paper: PDF and SVG to download, and the command that makes them again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import streamlit as st

from workbench.ui import parts

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figure_of(
    make: Callable[[], Figure], name: str, command: str | None = None, *, label: str = "As a figure"
) -> None:
    """A view as a figure; drawn only once it is opened, with fonts inside and text that can be selected.

    `name` is the downloads' file name, and must be given once on a page; `command` makes the same file, where one can.
    """
    with st.expander(label, icon=":material/image:", key=f"print-{name}", on_change="rerun") as box:
        if not box.open:
            return
        from workbench.figures.paper.export import as_bytes

        with st.spinner("Drawing …", show_time=True):
            # Made for each kind: saving moves a figure's layout a little, and the command draws it once.
            pdf, svg = (as_bytes(make(), kind) for kind in ("pdf", "svg"))
        with st.container(horizontal=True, gap="small"):
            parts.download("PDF", pdf, f"{name}.pdf", "application/pdf")
            parts.download("SVG", svg, f"{name}.svg", "image/svg+xml")
        if command is not None:
            st.code(command, language="bash")
