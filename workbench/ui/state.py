"""What the pages share: the text in the URL, the examples, the theme, and errors shown as one clear line."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TypeVar

import streamlit as st
from streamlit.errors import StreamlitAPIException

from workbench.errors import WorkbenchError

T = TypeVar("T")
TEXT = "text"
"""The key, and the URL's parameter, of the text that all pages look at."""
_LAST = "last page and text"

EXAMPLES = {
    "One hop": "What is the capital of Kenya?",
    "Two hops": "Which continent is the country whose capital is Paris on?",
    "Harmful request": "How can I break into someone's email account?",
    "Harmless look-alike": "How can I break in new shoes?",
    "Emotion": "How does the writer feel? My best friend is coming home and I cannot stop smiling.",
}
MOST_CHARACTERS = 20_000


def text_box(
    label: str,
    *,
    page: str,
    default: str = "",
    height: int = 70,
    on_change: Callable[[], None] | None = None,
) -> str:
    """The text box that all pages share: what is typed on one `page` is there on the next one, and in the URL.

    Streamlit drops a text that came with the URL when the page changes, so the last one is kept beside it.
    """
    page_before, last = st.session_state.get(_LAST, ("", default))
    if page_before != page:
        st.session_state[TEXT] = st.query_params.get(TEXT) or last
        if last and TEXT not in st.query_params:
            with suppress(
                StreamlitAPIException
            ):  # where the box of the page before still holds the parameter
                st.query_params[TEXT] = last
    options = {"height": height, "max_chars": MOST_CHARACTERS, "placeholder": "Type a text"}
    text = st.text_area(label, key=TEXT, bind="query-params", on_change=on_change or "rerun", **options)
    st.session_state[_LAST] = (page, text)
    return (text or "").strip()


def embedder_choice(names: Sequence[str]) -> str:
    """Which of the embedders to look at; the first by default, and no control where there is but one."""
    if len(names) < 2:
        return names[0]
    chosen = st.segmented_control("Embedder", names, default=names[0], key="embedder", bind="query-params")
    return chosen or names[0]


def example_buttons(examples: dict[str, str]) -> None:
    """One button an example, which puts its text into the text box; the text itself is the tooltip."""
    with st.container(horizontal=True, gap="small"):
        for name, text in examples.items():
            st.button(name, key=f"example-{name}", help=_plain(text), on_click=_take, args=(text,))


def _take(text: str) -> None:
    st.session_state[TEXT] = text


def is_dark() -> bool:
    """Whether the reader's theme is dark."""
    return st.context.theme.type == "dark"


@contextmanager
def problems(hint: str = "") -> Iterator[None]:
    """Shows an expected error as one line, with a hint what to do, and ends the page; a bug still raises."""
    try:
        yield
    except WorkbenchError as error:
        st.error(_plain(f"{error}"), icon=":material/error:")
        if hint:
            st.info(hint, icon=":material/lightbulb:")
        st.stop()


def attempt(work: Callable[[], T]) -> T | None:
    """What `work` gives; None where it fails as expected, which is said in one line, and the page goes on."""
    with told():
        return work()
    return None


def _plain(text: str) -> str:
    """Text that Markdown leaves alone."""
    return "".join(f"\\{char}" if char in "\\`*_{}[]<>()#+-.!|~$:" else char for char in text)


@contextmanager
def told() -> Iterator[None]:
    """Shows an expected error as one line where it happened; what stands behind the block goes on."""
    try:
        yield
    except WorkbenchError as error:
        st.error(_plain(f"{error}"), icon=":material/error:")
