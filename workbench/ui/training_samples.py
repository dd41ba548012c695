"""The part *Decoded over the steps* of the page *Training*: what samples of a watched run were read as on the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import streamlit as st

from workbench.decoding.samples import Stretch, progress, shared, stretches
from workbench.figures.prints.training import samples_print
from workbench.figures.training import samples as curve
from workbench.ui import parts, prints, state

if TYPE_CHECKING:
    import pandas as pd

    from workbench.training.watched import Sample, Watch

NOT_WATCHED = (
    "This run was not watched. With --watch-every 100, workbench train llm2vec-gen and workbench train gem write down "
    "every 100 steps what some queries decode to (and the vectors of some more), and it is shown here; the training "
    "itself stays the same, byte for byte."
)
NOTHING_DECODED = "This run was watched, but no sample was decoded: --watch-samples says how many are."
LONG = 12
"""Stretches that are shown without a scroll bar."""


def draw(folder: str, read: Callable[[str], Watch | None]) -> None:
    """Draws the part; `read(folder)` gives what was watched of a run, None for nothing."""
    st.subheader("Decoded over the steps", anchor=False)
    with state.told():
        watch = read(folder)
        if watch is None:
            parts.empty(NOT_WATCHED)
        elif not watch.samples:
            parts.empty(NOTHING_DECODED)
        else:
            _curve(watch)
            _one_query(watch)
            parts.table_of(lambda: table(watch.samples), f"{watch.folder.name}-samples")


def table(samples: list[Sample]) -> pd.DataFrame:
    """The samples as a table, a row for each query and step."""
    import pandas as pd

    frame = pd.DataFrame(samples)
    return frame.assign(shared=[shared(sample) for sample in samples])


def _curve(watch: Watch) -> None:
    """The means of the samples, where there is anything to compare them with."""
    steps = progress(watch.samples)
    if all(one.shared is None and one.cosine is None for one in steps):
        return
    values = [one.step for one in steps], [one.shared for one in steps], [one.cosine for one in steps]
    figure = curve(*values, dark=state.is_dark())
    st.plotly_chart(figure, width="stretch", key="samples", config={"displaylogo": False})
    count = len({sample.row for sample in watch.samples})
    parts.show(
        parts.note(
            f"Means over the queries that are decoded, {count:,} of {len(watch.texts):,} watched ones."
        )
    )
    prints.figure_of(lambda: samples_print(*values), f"{watch.folder.name}-samples")


def _one_query(watch: Watch) -> None:
    """The query that is chosen, its response, and what it decoded to from the first look on."""
    queries = {sample.row: sample.query for sample in watch.samples}
    repeated = [query for query in queries.values() if list(queries.values()).count(query) > 1]
    names = {
        f"{query} (row {row:,})" if query in repeated else query: row
        for row, query in sorted(queries.items())
    }
    chosen = st.selectbox("Query", list(names), key="sample", bind="query-params")
    row = names[chosen]
    response = next(sample.response for sample in watch.samples if sample.row == row)
    if response:
        parts.show(parts.card("Its response", f"Row {row:,} of the corpus.", parts.plain(response)))
    found = stretches(watch.samples, row)
    words = " Marked is what the response does not say." if response else ""
    parts.show(parts.note(f"Greedily decoded; steps with the same text stand together.{words}"))
    listed = parts.stretches([_row(one, bool(response)) for one in found])
    with st.container(height=520 if len(found) > LONG else "content", border=False):
        parts.show(listed)


def _row(stretch: Stretch, compared: bool) -> tuple[str, str, str]:
    """When, what was decoded (HTML), and how close it is."""
    when = f"{stretch.first:,}" + (f" to {stretch.last:,}" if stretch.last > stretch.first else "")
    reading = parts.marked(stretch.compared.right, "decoded") if compared else parts.plain(stretch.decoded)
    said = [f"words shared {stretch.compared.shared:.0%}"] if compared else []
    if stretch.cosine is not None:
        said.append(f"cosine {parts.cosine(stretch.cosine)}")
    return f"step {when}", reading, " · ".join(said)
