"""Command lines that make again what a page shows."""

import shlex

import streamlit as st

from workbench.ui import loaders, sidebar


def lens_command(lens: str, text: str, file: str, *options: str) -> str:
    """The command line of a lens on a text and the chosen embedder, which draws into `file`."""
    chosen = []
    if asked := st.query_params.get(sidebar.EMBEDDER):
        chosen += ["--embedder", str(loaders.shipped_embedders().get(asked, asked))]
    if backbone := st.query_params.get(sidebar.BACKBONE):
        chosen += ["--backbone", backbone]
    # Behind "--" a text that begins with a dash is a text.
    return shlex.join(["workbench", "lens", lens, *options, *chosen, "--figure", file, "--", text])
