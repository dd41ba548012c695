"""Pieces of HTML that the pages are put together from; whatever comes from outside is escaped here."""

from collections.abc import Callable, Sequence
from html import escape
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from workbench.decoding.differences import Span

if TYPE_CHECKING:
    import pandas as pd

STYLE = Path(__file__).with_name("style.css")

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def show(body: str) -> None:
    """Puts finished HTML into the page, in the app's own style."""
    st.html(f'<div class="wb">{body}</div>')


def page_title(title: str, lede: str) -> None:
    """The page's heading and the sentence that says what one sees."""
    st.html(STYLE)
    st.title(title, anchor=False)
    show(f'<p class="wb-lede">{escape(lede)}</p>')


def marked(spans: Sequence[Span], side: str) -> str:
    """A text with the words marked that only this side has; `side` is "answer" or "decoded"."""
    return "".join(
        escape(span.text)
        if span.kind == "same"
        else f'<mark class="{escape(side)}">{escape(span.text)}</mark>'
        for span in spans
    )


def card(title: str, below: str, reading: str, *, accent: bool = False) -> str:
    """A card with a reading in it; `reading` is HTML (from `marked`), title and the note below are text."""
    words = reading or '<span class="wb-note">(nothing: the model stopped at once)</span>'
    kind = "wb-card accent" if accent else "wb-card"
    return (
        f'<section class="{kind}"><h4>{escape(title)}</h4>{note(below)}'
        f'<p class="wb-read">{words}</p></section>'
    )


def scale(value: float, mark: float | None = None) -> str:
    """A bar from 0 to 1 with, if given, a tick to compare with; both are said in figures elsewhere."""
    tick = "" if mark is None or mark != mark else f'<b style="left:{_percent(mark)}"></b>'
    return f'<div class="wb-scale" aria-hidden="true"><i style="width:{_percent(value)}"></i>{tick}</div>'


def figure(name: str, value: str, unit: str, meaning: str, bar: str = "") -> str:
    """A number with its name, what it is measured in, and what it means."""
    return (
        f'<div>{key(name)}<div class="wb-value">{escape(value)}<small>{escape(unit)}</small></div>'
        f"{bar}{note(meaning)}</div>"
    )


def figures(*parts: str, one_column: bool = False) -> None:
    """Numbers side by side, or below each other."""
    show(f'<div class="wb-figures{" one" if one_column else ""}">{"".join(parts)}</div>')


def tokens(labels: Sequence[str], special: Sequence[bool], heat: Sequence[float] | None = None) -> str:
    """Tokens as chips; `heat` (0 to 1) colours those that are not special."""
    chips = []
    for row, (label, is_special) in enumerate(zip(labels, special, strict=True)):
        kinds = ["special"] if is_special else []
        style = ""
        if heat is not None and not is_special:
            kinds += ["heat", "strong"] if heat[row] > 0.75 else ["heat"]
            style = f' style="--heat:{_percent(heat[row])}"'
        chips.append(f'<span class="{" ".join(kinds)}"{style}>{escape(label)}</span>')
    return f'<div class="wb-tokens">{"".join(chips)}</div>'


def neighbour_list(rows: Sequence[tuple[str, str, float]]) -> str:
    """Neighbours as (text, what is said below it, cosine similarity), best first."""
    items = "".join(
        f'<li><span class="rank">{rank}</span><span class="what">{escape(text)}<em>{escape(below)}</em></span>'
        f'<span class="sim">{cosine(similarity)}{scale(similarity)}</span></li>'
        for rank, (text, below, similarity) in enumerate(rows, start=1)
    )
    return f'<ul class="wb-list">{items}</ul>'


def passage(title: str, text: str, decoded: str, answer: str, round_trip: float, shuffled: float) -> str:
    """One point of the map in words: its text, what its embedding decodes to, the model's answer, and the trust."""
    own = key("The model’s own answer") + _small(answer)
    same = note("The model’s own answer is word for word the same.")
    against = "" if shuffled != shuffled else f", against the decoded texts of others {cosine(shuffled)}"
    trust = note(f"Round trip: cosine {cosine(round_trip)}{against}.")
    read = key("Its embedding decodes to") + _small(decoded or "(nothing)")
    body = _small(text) + read + (same if answer == decoded else own) + trust
    return f'<section class="wb-card accent"><h4>{escape(title)}</h4>{body}</section>'


def _small(text: str) -> str:
    return f'<p class="wb-read small">{escape(text)}</p>'


def plain(text: str) -> str:
    """A text as it is, for a `card`."""
    return escape(text)


def readings(rows: Sequence[tuple[str, str, str, float]], chosen: int | None = None) -> str:
    """Readings as (label, decoded text, how far to trust it, cosine), one below the other; `chosen` stands out."""
    items = []
    for row, (label, text, level, similarity) in enumerate(rows):
        kind = ' class="chosen"' if row == chosen else ""
        trust = f'<span class="level" data-level="{escape(level)}">{escape(level)}</span>' if level else ""
        items.append(
            f'<li{kind}><span class="step">{escape(label)}</span>'
            f'<span class="what">{escape(text) or "(nothing)"}</span>'
            f'<span class="sim">{trust}cosine {cosine(similarity)}</span></li>'
        )
    return f'<ul class="wb-steps">{"".join(items)}</ul>'


def stretches(rows: Sequence[tuple[str, str, str]]) -> str:
    """Readings over time as (when, reading, what is said beside it); the readings are HTML (from `marked`)."""
    items = "".join(
        f'<li><span class="step">{escape(when)}</span><span class="what">{reading or "(nothing)"}</span>'
        f'<span class="sim">{escape(beside)}</span></li>'
        for when, reading, beside in rows
    )
    return f'<ul class="wb-steps over-time">{items}</ul>'


def hash_of(whole: str) -> str:
    """A hash cut to eight letters; the whole is its tooltip."""
    return f'<abbr title="{escape(whole)}">{escape(whole[:8])}</abbr>'


def rows_of(rows: Sequence[tuple[str, str]]) -> str:
    """Names and values in two columns; the values are HTML."""
    pairs = "".join(f"<dt>{escape(name)}</dt><dd>{value}</dd>" for name, value in rows)
    return f'<dl class="wb-facts">{pairs}</dl>'


def empty(text: str) -> None:
    """What stands where nothing is to be seen yet."""
    show(f'<div class="wb-empty">{escape(text)}</div>')


def sidebar_facts(title: str, rows: Sequence[tuple[str, str]]) -> None:
    """What is loaded, in the sidebar."""
    pairs = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in rows)
    with st.sidebar:
        show(f'<div class="wb-side">{key(title)}<dl>{pairs}</dl></div>')


def key(text: str) -> str:
    """The small heading above a figure or a list."""
    return f'<div class="wb-key">{escape(text)}</div>'


def note(text: str) -> str:
    """A sentence that stands back."""
    return f'<p class="wb-note">{escape(text)}</p>'


def spaced(name: str) -> str:
    """A column's or a figure's name as words."""
    return name.replace("_", " ")


def cosine(value: float) -> str:
    """A cosine in two digits, with a real minus sign and no minus zero."""
    return f"{value + 0.0:.2f}".replace("-0.00", "0.00").replace("-", "−")


def small(value: float) -> str:
    """A small number in one digit: 0, or a digit times a power of ten."""
    if value == 0:
        return "0"
    digit, power = f"{value:.0e}".split("e")
    return f"{digit} × 10{str(int(power)).translate(_RAISED)}"


def _percent(share: float) -> str:
    return f"{min(max(float(share), 0.0), 1.0):.1%}"


def table_of(
    frame: "pd.DataFrame | Callable[[], pd.DataFrame]", name: str, label: str = "As a table"
) -> None:
    """What a plot shows, as a table to read and to download; made and sent only once it is opened.

    `name` is the downloads' file name, and must be given once on a page. The table is open where
    `st.session_state["table-<name>"]` is True.
    """
    with st.expander(label, icon=":material/table_rows:", key=f"table-{name}", on_change="rerun") as box:
        if not box.open:
            return
        table = frame() if callable(frame) else frame
        st.dataframe(table, hide_index=True, width="stretch", height=min(400, 38 + 35 * max(len(table), 1)))
        with st.container(horizontal=True, gap="small"):
            download("CSV", as_csv(table), f"{name}.csv", "text/csv")
            download("Parquet", as_parquet(table), f"{name}.parquet", "application/vnd.apache.parquet")


def download(label: str, data: bytes, file: str, kind: str) -> None:
    """A link that downloads `data`; `file` names it, and must be given once on a page. `kind` is its MIME type."""
    icon = ":material/download:"
    st.download_button(
        label, data, file, kind, key=f"download-{file}", on_click="ignore", type="tertiary", icon=icon
    )


def as_csv(table: "pd.DataFrame") -> bytes:
    """The table as CSV in UTF-8, without the row numbers."""
    return table.to_csv(index=False).encode("utf-8", "surrogatepass")


def as_parquet(table: "pd.DataFrame") -> bytes:
    """The table as parquet, without the row numbers."""
    whole = BytesIO()
    table.to_parquet(whole, index=False)
    return whole.getvalue()
