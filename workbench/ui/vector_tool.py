"""The tool that reads a vector nobody encoded: numbers pasted or uploaded, through the lifter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from workbench.decoding.vector_files import SUFFIXES, parse_vector, read_vectors_file
from workbench.errors import UsageError
from workbench.ui import parts, state
from workbench.ui.said import card, listed, table

if TYPE_CHECKING:
    from streamlit.runtime.uploaded_file_manager import UploadedFile

    from workbench.ui.loaders import Facts, Said, Tools

MOST_VECTORS = 50
"""Of a file with more, the first ones are read."""
MOST_MEGABYTES = 50
MOST_NUMBERS = 200_000
"""Characters of a pasted vector."""
READING = "Lifting and reading; the first time, what trust means is measured too, which takes a minute …"
WHAT = (
    "Any vector of this embedder’s space, of {size} numbers: a centroid, a difference, one of the teacher’s. A lifter "
    "turns it into soft prompts, which the language model reads."
)
ROUNDS = 2
"""Of a search: about half a second a vector."""
SEARCH = (
    "Reads what lies near the vector too, and keeps the reading whose own embedding comes closest. It helps where a "
    "vector lies beside all that the lifter was trained on, and takes longer."
)
NO_LIFTER = "No lifter ships for this embedder. Make one, and name its folder above: {command}"
COMMANDS = {
    "llm2vec-gen": "workbench train lifter --queries data/fieldguide/corpus.jsonl --output my_lifter",
    "gem": "workbench train lifter --embedder data/embedders/gem --queries data/fieldguide/corpus.jsonl "
    "--output my_lifter",
}


def read_a_vector(use: Tools, facts: Facts) -> None:
    """Draws the tool; what was wrong with a vector or a lifter is said in one line."""
    parts.show(parts.note(WHAT.format(size=facts.dimension or "its")))
    left, right = st.columns(2)
    with left:
        pasted = st.text_area(
            "Numbers", key="vector", bind="query-params", height=120, max_chars=MOST_NUMBERS,
            placeholder="0.12, −0.03, …  with commas, spaces or line breaks between them",
        )  # fmt: skip
    with right:
        upload = st.file_uploader(
            f"or a file ({', '.join(SUFFIXES)}), a vector a row", type=[end[1:] for end in SUFFIXES],
            max_upload_size=MOST_MEGABYTES, key="vectors",
        )  # fmt: skip
    words = "A folder that `workbench train lifter` wrote for this embedder."
    lifter = st.text_input(
        "Lifter", key="lifter", bind="query-params", placeholder="the shipped one", help=words
    )
    rounds = (
        ROUNDS
        if st.toggle("Search for a reading that leads back", key="search", bind="query-params", help=SEARCH)
        else 0
    )
    if not (pasted or "").strip() and upload is None:
        parts.empty("Paste the numbers of a vector, or upload a file of vectors.")
        return
    vectors = state.attempt(lambda: _given(pasted or "", upload, facts.dimension))
    if vectors is None:
        return
    if not (lifter or "").strip() and not use.lifter_ships(facts.method):
        parts.empty(NO_LIFTER.format(command=COMMANDS.get(facts.method, COMMANDS["gem"])))
        return
    with st.spinner(READING, show_time=True):
        said = state.attempt(lambda: use.lift(vectors[:MOST_VECTORS], (lifter or "").strip(), rounds))
    if said is not None:
        _show(said, len(vectors))


def _given(pasted: str, upload: UploadedFile | None, size: int | None) -> np.ndarray:
    """The vectors `[b, d_e]` of the file, or else those pasted. Raises UsageError for another size."""
    if upload is not None:
        vectors = read_vectors_file(upload.name, upload.getvalue())
    else:
        vectors = parse_vector(pasted.replace("−", "-"))
    if size is not None and vectors.shape[1] != size:
        raise UsageError(f"a vector of {vectors.shape[1]} numbers, but this embedder’s have {size}")
    return vectors


def _show(said: list[Said], count: int) -> None:
    if count > len(said):
        parts.show(parts.note(f"The first {len(said)} of {count:,} vectors."))
    labels = [str(row) for row in range(1, len(said) + 1)]
    if len(said) == 1:
        card("The vector decodes to", said[0])
    else:
        listed(labels, said)
    parts.table_of(lambda: table(labels, said), "vectors")
