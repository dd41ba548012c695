"""The page *Overview*: what is loaded, how far to trust it as a whole, and where to begin."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

import streamlit as st

from workbench.ui import parts

if TYPE_CHECKING:
    from workbench.ui.loaders import Facts, Measured

LEDE = (
    "Text goes in, a frozen language model turns it into a few vectors, and every vector can be read again, "
    "with a number beside it that says how far to trust the reading."
)
METHODS = {
    "llm2vec-gen": "LLM2Vec-Gen: embeds what the language model would answer",
    "gem": "GEM: embeds a text into special tokens behind a bottleneck mask",
}
UNMEASURED = (
    "Nothing was measured of this embedder as a whole. On the queries of the field guide, if its backbone is that, "
    "this measures it:"
)


class Try(NamedTuple):
    """Something to try: a page with a text."""

    page: Any
    """A page of the router."""
    label: str
    text: str
    why: str


def page(
    name: str,
    facts: Facts,
    measured: Measured | None,
    *,
    folder: str = "",
    tries: Sequence[Try] = (),
    link: Callable[[Try], Any] | None = None,
) -> None:
    """Draws the page. `name` is the embedder's, `folder` its place; `link` draws the way to one of the `tries`."""
    parts.page_title("Overview", LEDE)
    left, right = st.columns([5, 6], gap="large")
    with left:
        st.subheader("What is loaded", anchor=False)
        _facts(name, facts)
    with right:
        st.subheader("How far to trust it", anchor=False)
        if measured is None:
            command = f"workbench fieldguide evaluate --embedder {folder or 'my_embedder'}"
            parts.show(parts.note(UNMEASURED) + f"<p><code>{escape(command)}</code></p>")
        else:
            _trust(measured)
    if tries and link is not None:
        st.subheader("Three things to try", anchor=False)
        for column, one in zip(st.columns(len(tries), gap="medium"), tries, strict=True):
            with column:
                link(one)
                parts.show(f'<p class="wb-read small">{escape(one.text)}</p>{parts.note(one.why)}')


def _facts(name: str, facts: Facts) -> None:
    count = "unknown" if facts.special_tokens is None else str(facts.special_tokens)
    if facts.thought_tokens:
        count += f", behind {facts.thought_tokens} thought tokens"
    size = "unknown" if facts.dimension is None else f"{facts.dimension} dimensions"
    noun = "texts" if facts.method == "gem" else "queries"
    rows = [
        ("embedder", escape(name)),
        ("method", escape(METHODS.get(facts.method, facts.method))),
        (
            "backbone",
            escape(facts.backbone) + (f" at {parts.hash_of(facts.revision)}" if facts.revision else ""),
        ),
        ("special tokens", count),
        ("embedding", size),
        ("teacher", escape(facts.teacher or "none: it is trained without one")),
        ("trained on", "unknown" if facts.texts is None else f"{facts.texts:,} {noun}"),
    ]
    rows += [(part, parts.hash_of(whole)) for part, whole in facts.hashes.items()]
    made = ", ".join(f"{library} {version}" for library, version in sorted(facts.libraries.items()))
    rows.append(("made with", escape(made or "unknown")))
    parts.show(parts.rows_of(rows))


def _trust(measured: Measured) -> None:
    figures = _of_gem(measured.report) if measured.method == "gem" else _of_llm2vec_gen(measured.report)
    by = [measured.command]
    if measured.reference is not None:
        figures.append(_badges(measured.reference))
        by.append(measured.reference_command)
    parts.figures(*figures)
    commands = " and ".join(f"<code>{escape(command)}</code>" for command in by)
    parts.show(f'<p class="wb-note" style="margin-top:.6rem">Measured on held-out queries by {commands}.</p>')


def _of_llm2vec_gen(report: dict) -> list[str]:
    facts, refusals = report["decoding"]["all facts"], report["refusals"]
    hop = report["retrieval"]["one_hop"]
    teacher = next((row for name, row in hop.items() if name.startswith("teacher")), None)
    than = "" if teacher is None else f" Its teacher, given the question: {_share(teacher['recall_at_1'])}."
    two = _share(report["decoding"]["two_hop"]["kept"])
    return [
        parts.figure(
            "Facts kept", _share(facts["kept"]), f"of {facts['backbone'] * facts['queries']:,.0f}",
            "Of the questions that the language model answers right, so many are still right when the embedding "
            f"alone is read; of those over two hops {two}.", parts.scale(facts["kept"]),
        ),
        _refusals(refusals),
        parts.figure(
            "Passage found first", _share(hop["llm2vec-gen"]["recall_at_1"]), f"of {hop['llm2vec-gen']['queries']:,}",
            f"Questions whose passage is the nearest of {hop['llm2vec-gen']['passages']:,}.{than}",
            parts.scale(hop["llm2vec-gen"]["recall_at_1"], teacher and teacher["recall_at_1"]),
        ),
    ]  # fmt: skip


def _refusals(refusals: dict) -> str:
    meaning = (
        "Harmful requests whose embedding decodes to a refusal; of harmless look-alikes "
        f"{_share(refusals['lookalike'])} do."
    )
    bar = parts.scale(refusals["harmful"], refusals["lookalike"])
    return parts.figure("Refusals", _share(refusals["harmful"]), "of harmful requests", meaning, bar)


def _of_gem(report: dict) -> list[str]:
    kept, count, language = report["kept"], report["queries"], report["language"]
    own = next((share for name, share in report["neighbours"].items() if "/" not in name), None)
    other = next(((name, share) for name, share in report["neighbours"].items() if "/" in name), None)
    figures = [
        parts.figure(
            "Facts through the bottleneck", _share(kept["all facts"]), f"of {count['all facts']:,}",
            "Of the questions that the language model answers right, so many are still right behind the special "
            f"tokens alone; of those over two hops {_share(kept['two_hop'])}.", parts.scale(kept["all facts"]),
        )
    ]  # fmt: skip
    if own is not None:
        than = "" if other is None else f" {other[0].split('/')[-1]}: {_share(other[1])}."
        words = f"Queries whose nearest neighbour has the same answer.{than}"
        bar = parts.scale(own, None if other is None else other[1])
        figures.append(parts.figure("Neighbours with the same answer", _share(own), "of queries", words, bar))
    before, after = language["the LM before"], language["GEM's LM"]
    words = (
        f"Still a language model: {before['perplexity']:.2f} before, and {_share(after['accuracy'])} of the facts "
        f"right, {_share(before['accuracy'])} before."
    )
    figures.append(parts.figure("Perplexity without special tokens", f"{after['perplexity']:.2f}", "", words))
    return figures


def _badges(reference: dict) -> str:
    mean, spread = reference["margin"]
    words = (
        "How far a decoded text lies above the texts of others, in cosine; of shuffled pairs it is "
        f"{parts.cosine(mean)} ± {spread:.2f}. Badges are measured against this."
    )
    return parts.figure("True pairs apart", f"+{reference['true_margin']:.2f}", "cosine", words)


def _share(value: float) -> str:
    return f"{value:.0%}" if value < 0.995 or value == 1 else f"{value:.1%}"
