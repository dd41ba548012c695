"""The page *Attention masks*: who may attend to whom, and whom the special tokens really attend to."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from workbench.figures.attention import head_map, mask_map, weight_map
from workbench.ui import parts, state

if TYPE_CHECKING:
    from workbench.lenses.attention import SpecialAttention

LEDE = (
    "The special tokens ◆ stand directly after the text and gather what the embedding is made of. On the left is what "
    "they may look at, on the right what they really look at, layer by layer and head by head."
)
MEAN = "mean"
WIDE = 36
"""From this many tokens on the two maps stand below each other."""
LONG = 90
"""From this many tokens on only the special tokens' rows are drawn."""


def page(attend: Callable[[str], SpecialAttention], *, examples: dict[str, str] = state.EXAMPLES) -> None:
    """Draws the page. `attend` gives one text's attention."""
    parts.page_title("Attention masks", LEDE)
    state.example_buttons(examples)
    text = state.text_box("Your text", default=next(iter(examples.values()), ""))
    if not text:
        parts.empty("Type a text above, or choose an example.")
        return
    with state.problems(), st.spinner("Recomputing the attention …", show_time=True):
        seen = attend(text)
    layer, head = _choose(seen)
    _strip(seen, layer, head)
    _maps(seen, layer, head)
    _heads(seen, layer, head)
    if seen.truncated:
        st.warning("The text is longer than the model reads: its end was cut off.", icon=":material/content_cut:")


def _choose(seen: SpecialAttention) -> tuple[int | None, int | None]:
    """The layer and the head to show, from 0; None = the mean over all."""
    left, right = st.columns(2)
    with left:
        layer = _selector("Layer", "layer", seen.layers)
    with right:
        head = _selector("Head", "head", seen.heads)
    return layer, head


def _selector(label: str, key: str, count: int) -> int | None:
    options = [MEAN, *(str(number) for number in range(1, count + 1))]
    if count <= 12:
        value = st.segmented_control(label, options, default=MEAN, key=key, bind="query-params")
    else:
        value = st.selectbox(label, options, key=key, bind="query-params")
    return None if value in (None, MEAN) else int(value) - 1


def _strip(seen: SpecialAttention, layer: int | None, head: int | None) -> None:
    received = seen.received(layer, head)
    text = ~seen.is_special
    top = float(received[text][1:].max(initial=0)) or 1.0
    chips = parts.tokens(seen.tokens, list(seen.is_special), [float(share) / top for share in received])
    note = (
        f"The stronger the colour, the more the special tokens look at a token. The text gets "
        f"{received[text][1:].sum():.0%} of their attention, they themselves {received[seen.is_special].sum():.0%}, the first "
        f"token {received[0]:.0%}: models park there what they do not need, so it is left out of the colour scales."
    )
    parts.show(f'<div class="wb-key">What the special tokens look at</div>{chips}<p class="wb-note">{note}</p>')


def _maps(seen: SpecialAttention, layer: int | None, head: int | None) -> None:
    count = len(seen.tokens)
    special, text = np.flatnonzero(seen.is_special), np.flatnonzero(~seen.is_special)
    all_rows = st.toggle("Show the text’s own rows too", key="rows", bind="query-params", disabled=count >= LONG)
    rows = [*special, *(text if all_rows and count < LONG else ())]
    both = st.columns(2, gap="medium") if count < WIDE else (st.container(), st.container())
    where = f"{'all layers' if layer is None else f'layer {layer + 1}'}, {'all heads' if head is None else f'head {head + 1}'}"
    weights = seen.weights_of(layer, head)
    top = float(weights[rows][:, 1:].max(initial=0))
    with both[0]:
        parts.show('<div class="wb-key">Declared: what may be looked at</div><p class="wb-note">filled = may</p>')
        figure = mask_map(seen.tokens, seen.declared, rows, special=seen.is_special, dark=state.is_dark())
        st.plotly_chart(figure, width="stretch", key="declared", config={"displayModeBar": False})
    with both[1]:
        note = f"{'mean of ' if layer is None or head is None else ''}{where}; colours from 0 to {top:.2g}"
        parts.show(f'<div class="wb-key">Applied: what is looked at</div><p class="wb-note">{note}</p>')
        figure = weight_map(seen.tokens, weights, rows, special=seen.is_special, top=top, dark=state.is_dark())
        st.plotly_chart(figure, width="stretch", key="applied", config={"displayModeBar": False})


def _heads(seen: SpecialAttention, layer: int | None, head: int | None) -> None:
    left, right = st.columns([3, 2], gap="medium")
    with left:
        parts.show('<div class="wb-key">Share of the special tokens’ attention that falls on the text (without its first token)</div>')
        figure = head_map(seen.on_text(), focus=(layer, head), dark=state.is_dark())
        st.plotly_chart(figure, width="stretch", key="heads", config={"displayModeBar": False})
    with right:
        verdict = "Nothing leaks: no head puts weight where the mask forbids it." if seen.leak == 0 else "Some attention leaks."
        parts.figures(
            parts.figure("Largest weight outside the mask", f"{seen.leak:.2g}", "", verdict),
            parts.figure(
                "Recomputed against used",
                f"{seen.deviation:.1e}",
                "largest difference",
                "The weights are recomputed with eager attention, since fast kernels return none. This is how far the "
                "hidden states then are from those the embedder used.",
            ),
            one_column=True,
        )
