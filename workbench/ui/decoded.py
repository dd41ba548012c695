"""The page *Decoded contents*: what the model really answers beside what the embedding alone decodes to."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st
from jaxtyping import Float

from workbench.decoding.differences import Differences, differences
from workbench.decoding.trust import Readings, against_others
from workbench.ui import parts, state

if TYPE_CHECKING:
    from workbench.decoding.badge import Badge
    from workbench.ui.loaders import Facts, Tools

LEDE = (
    "What does an embedding hold of a text? On the left is what the language model really answers; on the right is "
    "what the same model says when it reads the embedding alone, and never the text."
)
READING = "Embedding the text and reading it again …"
JUDGING = "Measuring how far to trust this …"
LEVELS = {
    "high": "This is what the vector holds: text and vector belong together, more clearly than nearly all shuffled "
    "pairs do. Whether the model understood what it was asked is another question.",
    "doubtful": "Shuffled pairs of texts and vectors reach as much: do not rely on this reading.",
    "off the manifold": "No text is known to encode to vectors like these: what they decode to means little.",
}


def page(
    read: Callable[[str, str], Readings],
    *,
    judge: "Callable[[Readings, str], Badge | None] | None" = None,
    embedders: Sequence[str] = ("LLM2Vec-Gen",),
    others: Float[np.ndarray, "m d_e"] | None = None,
    examples: dict[str, str] = state.EXAMPLES,
    tools: "Tools | None" = None,
    facts: "Facts | None" = None,
    explain: Callable[[str], None] | None = None,
) -> None:
    """Draws the page. `read(text, embedder)` gives one text's reading by one of the `embedders`, by its name.

    `judge(reading, embedder)` says how far to trust it; None where it cannot say, or without it, nothing is shown.
    `others` are decoded texts' embeddings by the first of them, to compare with.
    `explain` draws what causes a text's decoded tokens.
    `tools` and `facts`, where both are given, let the reader go on with the vector below.
    """
    parts.page_title("Decoded contents", LEDE)
    name = state.embedder_choice(embedders)
    first = next(iter(examples.values()), "")
    state.example_buttons(examples)
    box, button = st.columns([7, 1], vertical_alignment="bottom")
    with box:
        text = state.text_box("Your text", page="decoded", default=first)
    with button:
        st.button("Decode", type="primary", width="stretch")
    if not text:
        parts.empty("Type a text above, or choose an example.")
        return
    with state.problems(), st.spinner(READING, show_time=True):
        reading = read(text, name)
    differ = differences(reading.responses[0], reading.decoded[0])
    _answers(reading, differ)
    _figures(reading, differ, others if name == embedders[0] else None)
    if judge is not None:
        with state.problems(), st.spinner(JUDGING, show_time=True):
            badge = judge(reading, name)
        if badge is not None:
            _trust(badge)
    if reading.truncated:
        st.warning(
            "The text is longer than the model reads: its end was cut off.", icon=":material/content_cut:"
        )
    if explain is not None:
        explain(text)
    if tools is not None and facts is not None:
        from workbench.ui.decoded_tools import tools as draw_tools

        draw_tools(text, tools, facts)


def _answers(reading: Readings, differ: Differences) -> None:
    count = reading.special_tokens
    answer = parts.card(
        "The model’s answer", "The model reads the text.", parts.marked(differ.left, "answer")
    )
    what = (
        f"{count} vectors" if reading.soft_prompts is not None else f"{count} special tokens’ keys and values"
    )
    vectors = f"The same model reads {what} and never sees the text."
    decoded = parts.card(
        "Decoded from the embedding", vectors, parts.marked(differ.right, "decoded"), accent=True
    )
    if differ.shared == 1:
        legend = "Word for word the same."
    else:
        legend = (
            "Marked: <mark>only in the answer</mark> · <mark class='decoded'>only in the decoded text</mark>"
        )
    parts.show(
        f'<div class="wb-two">{answer}{decoded}</div><p class="wb-note" style="margin-top:.5rem">{legend}</p>'
    )


def _figures(reading: Readings, differ: Differences, others: np.ndarray | None) -> None:
    trip = float(reading.round_trip[0])
    null = float("nan") if others is None else float(against_others(reading.embeddings, others)[0])
    compared = (
        ""
        if null != null
        else f" Against the decoded texts of other queries it is {parts.cosine(null)} on average"
    )
    note = f"Between the embedding and the embedding of its decoded text.{compared}{' (tick).' if compared else ''}"
    parts.figures(
        parts.figure("Round trip", parts.cosine(trip), "cosine", note, parts.scale(trip, null)),
        parts.figure(
            "Words shared",
            f"{differ.shared:.0%}",
            "of both texts",
            "Words that the answer and the decoded text have in common, in the same order.",
            parts.scale(differ.shared),
        ),
    )


def _trust(badge: "Badge") -> None:
    if badge.gap > 0:
        times = f"{np.exp(badge.gap):.1f}" if badge.gap < 10 else "many thousand"
        likelier = (
            f"A token of the decoded text is {times} times as likely behind these vectors as behind those of other "
            f"texts (a gap of {badge.gap:.1f} nats), and the cosine is {badge.cosine - badge.null:.2f} above theirs."
        )
    else:
        likelier = (
            "The decoded text is no likelier behind these vectors than behind those of other texts "
            f"(a gap of {badge.gap:.1f} nats a token)."
        )
    meaning = f"{LEVELS[badge.level]} {likelier}"
    parts.figures(parts.figure("Trust", badge.level, "", meaning), one_column=True)
