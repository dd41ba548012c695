"""Puts the page together: what is compared, then the pair of maps with all that is said of it."""

from __future__ import annotations

import streamlit as st

from workbench.ui import parts
from workbench.ui.compare import embedders, run
from workbench.ui.compare.source import Opened

LEDE = (
    "Do two embedders, or two steps of a training, see the same texts alike? Both maps show the same texts, turned so "
    "that they lie on each other as well as they can. What is chosen on one is marked on the other."
)
MODES = {"two embedders": embedders.draw, "a training run": run.draw}


def page(opened: Opened) -> None:
    """Draws the page; `opened` says how each side is opened, and only what was chosen is."""
    parts.page_title("Compare", LEDE)
    left, right = st.columns([4, 9], vertical_alignment="bottom")
    with left:
        mode = st.segmented_control(
            "Compare",
            list(MODES),
            default=next(iter(MODES)),
            key="compare",
            bind="query-params",
            required=True,
        )
    MODES[mode](opened, right)
