"""What a page shows, as a figure for paper: PDF and SVG to download, and the command that makes them again."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING

import streamlit as st

from workbench.ui import loaders, parts, sidebar

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figure_of(make: Callable[[], Figure], name: str, command: str) -> None:
    """A view as a figure; drawn only once it is opened, with fonts inside and text that can be selected.

    `name` is the downloads' file name, and must be given once on a page; `command` makes the same file.
    """
    with st.expander("As a figure", icon=":material/image:", key=f"print-{name}", on_change="rerun") as box:
        if not box.open:
            return
        from workbench.figures.paper.export import as_bytes

        figure = make()
        with st.container(horizontal=True, gap="small"):
            parts.download("PDF", as_bytes(figure, "pdf"), f"{name}.pdf", "application/pdf")
            parts.download("SVG", as_bytes(figure, "svg"), f"{name}.svg", "image/svg+xml")
        st.code(command, language="bash")


def lens_command(lens: str, text: str, file: str, *options: str) -> str:
    """The command line of a lens on a text and the chosen embedder, which draws into `file`."""
    chosen = []
    if asked := st.query_params.get(sidebar.EMBEDDER):
        chosen += ["--embedder", str(loaders.shipped_embedders().get(asked, asked))]
    if backbone := st.query_params.get(sidebar.BACKBONE):
        chosen += ["--backbone", backbone]
    # Behind "--" a text that begins with a dash is a text.
    return shlex.join(["workbench", "lens", lens, *options, *chosen, "--figure", file, "--", text])
