"""What stands below a reading on *Decoded contents*: walk to another text, compute, chain, read a bare vector.

Each tool works only once it is opened; its texts and settings live in the URL.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, TypeVar, cast

import streamlit as st

from workbench.ui import parts, state
from workbench.ui.said import card, listed, table
from workbench.ui.vector_tool import read_a_vector

if TYPE_CHECKING:
    from workbench.ui.loaders import Facts, Said, Tools

T = TypeVar("T")
WAYS = Literal["linear", "spherical"]
STEPS = 7
"""Blocks on the way from one text to another, both ends included."""
MOST_LINKS = 6
OPERATIONS = ("add and subtract", "average", "transplant")
WORKING = "Computing and reading …"
NO_SOFT_PROMPTS = (
    "This does not apply to GEM: it keeps the keys and values of its special tokens in every layer, and no soft "
    "prompts that could be computed with. Choose LLM2Vec-Gen in the sidebar."
)
EXAMPLE_END = "What is the capital of Peru?"


def tools(text: str, use: Tools, facts: Facts) -> None:
    """Draws the tools for the `text` above; `use` computes, `facts` say what the embedder is."""
    st.subheader("Go on with this vector", anchor=False)
    soft = facts.method == "llm2vec-gen"
    for key, label, draw in (
        ("walk", "Walk to another text", _walk),
        ("compute", "Add, subtract, average, transplant", _compute),
        ("chain", "Chain: the response to the response", _chain),
    ):
        with st.expander(label, key=key, on_change="rerun", bind="query-params") as box:
            if box.open and not soft:
                parts.empty(NO_SOFT_PROMPTS)
            elif box.open:
                draw(text, use, facts)
    with st.expander("Read a bare vector", key="bare", on_change="rerun", bind="query-params") as box:
        if box.open:
            read_a_vector(use, facts)


def _walk(text: str, use: Tools, facts: Facts) -> None:
    left, right = st.columns([5, 2], vertical_alignment="bottom")
    with left:
        end = _line("From the text above to", "to", EXAMPLE_END)
    with right:
        how = st.segmented_control(
            "Way", ["linear", "spherical"], default="linear", required=True, key="how", bind="query-params"
        )
    if not end:
        parts.empty("Type the text to arrive at.")
        return
    said = _do(lambda: use.interpolate(text, end, STEPS, cast(WAYS, how)))
    if said is None:
        return
    shares = [f"{100 * step / (STEPS - 1):.0f}%" for step in range(STEPS)]
    at = st.select_slider("How far", shares, value=shares[STEPS // 2], key="step", bind="query-params")
    chosen = shares.index(at)
    card(f"{at} of the way", said[chosen])
    listed(shares, said, chosen)
    parts.table_of(lambda: table(shares, said), "walk")


def _compute(text: str, use: Tools, facts: Facts) -> None:
    what = st.segmented_control(
        "Operation", OPERATIONS, default=OPERATIONS[0], required=True, key="operation", bind="query-params"
    )
    if what == "transplant":
        label, said = _transplant(text, use, facts.special_tokens or 1)
    elif what == "average":
        others = _lines("Average the text above with (one text a line)", "with")
        label, said = "The average", _do(lambda: use.average([text, *others]))
    else:
        left, right = st.columns(2)
        with left:
            add = _lines("The text above, plus (one text a line)", "plus")
        with right:
            subtract = _lines("minus (one text a line)", "minus")
        label, said = "The sum", _do(lambda: use.combine([text, *add], subtract))
    if said is not None:
        card(label, said)


def _transplant(text: str, use: Tools, count: int) -> tuple[str, Said | None]:
    source = _line("Put special tokens of this text into those of the text above", "source", EXAMPLE_END)
    numbers = st.pills(
        "Which", range(1, count + 1), selection_mode="multi", default=[1], format_func=lambda n: f"◆{n}",
        key="tokens", bind="query-params",
    )  # fmt: skip
    if not source:
        parts.empty("Type the text to take special tokens from.")
        return "", None
    rows = sorted(number - 1 for number in numbers)
    return f"{len(rows)} of {count} special tokens are the other text’s", _do(
        lambda: use.transplant(text, source, rows)
    )


def _chain(text: str, use: Tools, facts: Facts) -> None:
    steps = st.slider("Steps", 1, MOST_LINKS, 3, key="links", bind="query-params")
    said = _do(lambda: use.chain(text, steps))
    if said is None:
        return
    labels = ["text", *(f"step {step}" for step in range(1, steps + 1))]
    parts.show(parts.note("Each step reads the soft prompts before it as its input, and never a word."))
    listed(labels, said)
    parts.table_of(lambda: table(labels, said), "chain")


def _do(work: Callable[[], T]) -> T | None:
    with st.spinner(WORKING, show_time=True):
        return state.attempt(work)


def _line(label: str, key: str, default: str) -> str:
    typed = st.text_input(label, default, key=key, bind="query-params", max_chars=state.MOST_CHARACTERS)
    return (typed or "").strip()


def _lines(label: str, key: str) -> list[str]:
    """The texts of a box, one a line."""
    typed = st.text_area(
        label, key=key, bind="query-params", height=80, max_chars=state.MOST_CHARACTERS, placeholder="none"
    )
    return [line.strip() for line in (typed or "").splitlines() if line.strip()]
