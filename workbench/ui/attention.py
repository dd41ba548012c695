"""The page *Attention masks*: who may attend to whom, and whom the special tokens really attend to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from workbench.figures.attention import head_map, mask_map, weight_map
from workbench.figures.prints.attention import attention_print, head_print
from workbench.ui import commands, parts, prints, state

if TYPE_CHECKING:
    import pandas as pd

    from workbench.leakage import LeakageAudit
    from workbench.lenses.attention import SpecialAttention

LEDE = (
    "The special tokens ◆ stand directly after the text and gather what the embedding is made of. On the left is what "
    "they may look at, on the right what they really look at, layer by layer and head by head."
)
SUFFIX = (
    "Behind this embedder’s special tokens stands what the model says there. Its mask is a bottleneck: the answer sees "
    "the special tokens and itself, never the text."
)
MEAN = "mean"
WIDE = 36
"""From this many tokens on the two maps stand below each other."""
LONG = 90
"""From this many tokens on only the special tokens' rows are drawn."""


def page(
    attend: Callable[[str, str], SpecialAttention],
    *,
    embedders: Sequence[str] = ("LLM2Vec-Gen",),
    examples: dict[str, str] = state.EXAMPLES,
) -> None:
    """Draws the page. `attend(text, embedder)` gives one text's attention in one of the `embedders`, by its name."""
    parts.page_title("Attention masks", LEDE)
    name = state.embedder_choice(embedders)
    state.example_buttons(examples)
    text = state.text_box("Your text", page="attention", default=next(iter(examples.values()), ""))
    if not text:
        parts.empty("Type a text above, or choose an example.")
        return
    with state.problems(), st.spinner("Recomputing the attention …", show_time=True):
        seen = attend(text, name)
    if seen.truncated:
        st.warning(
            "The text is longer than the model reads: its end was cut off.", icon=":material/content_cut:"
        )
    layer, head = _choose(seen)
    if seen.is_suffix.any():
        parts.show(parts.note(SUFFIX))
    _strip(seen, layer, head)
    _maps(seen, layer, head, text)
    _heads(seen, layer, head)


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
    first, text, special = received[0], received[seen.is_prefix][1:], received[seen.is_special]
    top = float(text.max(initial=0)) or 1.0
    chips = parts.tokens(seen.tokens, seen.is_special.tolist(), [float(share) / top for share in received])
    note = (
        "The stronger the colour, the more the special tokens look at a token. "
        f"The text gets {text.sum():.0%} of their attention, they themselves {special.sum():.0%}, the first token "
        f"{first:.0%}. Models often park on the first token what they do not need: the colour scales leave it out."
    )
    parts.show(f"{parts.key('What the special tokens look at')}{chips}{parts.note(note)}")


def _maps(seen: SpecialAttention, layer: int | None, head: int | None, text: str) -> None:
    long = len(seen.tokens) >= LONG
    with_text = st.toggle("Show the text’s own rows too", key="rows", bind="query-params", disabled=long)
    rows = np.flatnonzero(~seen.is_prefix).tolist()
    if with_text and not long:
        rows = list(range(len(seen.tokens)))
    weights = seen.weights_of(layer, head)
    top = float(weights[rows][:, 1:].max(initial=0))
    options: dict = {"special": seen.is_special, "dark": state.is_dark()}
    wide = len(seen.tokens) >= WIDE
    declared, applied = (st.container(), st.container()) if wide else st.columns(2, gap="medium")
    with declared:
        parts.show(parts.key("Declared: what may be looked at") + parts.note("filled = may"))
        _chart(mask_map(seen.tokens, seen.declared, rows, **options), "declared")
    with applied:
        where = f"{_name(layer, seen.layers, 'layer')}, {_name(head, seen.heads, 'head')}; colours from 0 to {top:.2g}"
        parts.show(parts.key("Applied: what is looked at") + parts.note(where))
        _chart(weight_map(seen.tokens, weights, rows, top=top, **options), "applied")
    parts.table_of(lambda: seen.to_frame(layer, head), "attention-masks")
    whole = with_text and not long
    chosen = (("--layer", layer), ("--head", head))
    flags = [part for flag, number in chosen if number is not None for part in (flag, str(number + 1))]
    again = commands.lens_command("mask", text, "attention-masks.pdf", *flags, *(["--rows"] if whole else []))
    prints.figure_of(lambda: attention_print(seen, layer, head, whole=whole), "attention-masks", again)


def _name(chosen: int | None, count: int, what: str) -> str:
    return f"mean of {count} {what}s" if chosen is None else f"{what} {chosen + 1}"


def _heads(seen: SpecialAttention, layer: int | None, head: int | None) -> None:
    left, right = st.columns([3, 2], gap="medium")
    with left:
        parts.show(parts.key("Share of the special tokens’ attention on the text, its first token left out"))
        _chart(head_map(seen.on_text(), focus=(layer, head), dark=state.is_dark()), "heads")
    tight = "Nothing leaks: no head puts weight where the mask forbids it."
    leaky = "Something leaks: a head puts weight where the mask forbids it."
    used = (
        "The weights are recomputed with eager attention, since fast kernels return none. "
        "This is how far the hidden states then are from those the embedder used."
    )
    figures = [
        parts.figure(
            "Largest weight outside the mask", parts.small(seen.leak), "", leaky if seen.leak else tight
        )
    ]
    if seen.audit is not None:
        figures += _proof(seen.audit)
    figures.append(
        parts.figure("Recomputed against used", parts.small(seen.deviation), "largest difference", used)
    )
    with right:
        parts.figures(*figures, one_column=True)
    parts.table_of(lambda: heads_table(seen), "attention-heads", "The heads as a table")
    prints.figure_of(lambda: head_print(seen.on_text()), "attention-heads", label="The heads as a figure")


def heads_table(seen: SpecialAttention) -> pd.DataFrame:
    """A row for each head: the share of the special tokens' attention on the text, and on its first token."""
    import pandas as pd

    layer, head = (numbers.reshape(-1) + 1 for numbers in np.indices((seen.layers, seen.heads)))
    shares = {"on the text": seen.on_text(), "on the first token": seen.on_first()}
    return pd.DataFrame(
        {"layer": layer, "head": head} | {name: share.reshape(-1) for name, share in shares.items()}
    )


def _proof(audit: LeakageAudit) -> list[str]:
    """The audit's gradients as figures: past the special tokens, and through them."""
    past = "How much the answer changes with the text when the special tokens are held fixed, in the worst layer."
    through = "The same with the special tokens free: the way that the mask leaves open."
    verdict = "proven shut" if audit.passed else "it leaks"
    return [
        parts.figure("Gradient past the special tokens", parts.small(max(audit.gradient)), verdict, past),
        parts.figure("Gradient through them", parts.small(audit.through), "open", through),
    ]


def _chart(figure: Any, key: str) -> None:
    st.plotly_chart(figure, width="stretch", key=key, config={"displayModeBar": False})
