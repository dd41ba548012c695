"""A training run: the embedder as it was at one step beside another, and how it came near its last one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from workbench.figures.pair import approach_chart
from workbench.figures.prints.pair import approach_print
from workbench.ui import parts, prints, state
from workbench.ui.compare import pair
from workbench.ui.compare.source import Opened, Pair, Watched

if TYPE_CHECKING:
    import pandas as pd

    from workbench.atlas.comparison import Nearness

STEP, BESIDE = "at_step", "beside_step"
EMPTY = (
    "No watched run yet: workbench train … --watch-every 100 keeps the vectors of some queries while it trains. Type "
    "the path of its folder above."
)
HINT = "Name the folder of a run that was started with `workbench train … --watch-every`."
ONE = "This run was looked at once so far, at step {step}: there is nothing to compare it with yet."
CURVE = (
    "How many of each text’s nearest neighbours are those of the last step, and the share of the last step’s variance "
    "that no turning explains. Dotted: what texts paired at random reach. Upright: the two steps below."
)


def draw(opened: Opened, place: Any) -> None:
    """Draws this mode; `place` is what is left of the page's first row."""
    with place:
        folder = st.selectbox(
            "Run",
            list(opened.runs),
            index=0 if opened.runs else None,
            key="run",
            bind="query-params",
            accept_new_options=True,
            placeholder="Choose a run, or type the path of its folder",
        )
    if not folder or not folder.strip():
        parts.empty(EMPTY)
        return
    with state.problems(HINT):
        watched = opened.watch(folder.strip())
        if len(watched.steps) < 2:
            parts.empty(ONE.format(step=f"{watched.steps[0]:,}"))
            return
        with st.spinner("Comparing the steps …", show_time=True):
            near, maps = watched.approach(), watched.maps()
    left, right = st.columns(2, gap="medium")
    with left:
        step = _slider("Step", STEP, watched.steps, watched.steps[0])
    with right:
        beside = _slider("Beside it", BESIDE, watched.steps, watched.steps[-1])
    with state.problems(HINT):
        sides = watched.side(step), watched.side(beside)
        with st.spinner("Comparing …", show_time=True):
            comparison = opened.compared(*sides)
    _curve(watched, near, (step, beside), comparison.overlap.chance)
    one, other = (maps[watched.steps.index(at)] for at in (step, beside))
    pair.draw(Pair(watched.texts, *sides, one, other, comparison, around=maps))


def table(steps: list[int], near: list[Nearness]) -> pd.DataFrame:
    """A row for each step: the neighbours shared with the last one, and the residual."""
    import pandas as pd

    return pd.DataFrame(
        {
            "step": steps,
            "overlap": [one.overlap for one in near],
            "residual": [one.residual.value for one in near],
            "residual, shuffled": [one.residual.shuffled for one in near],
        }
    )


def _slider(label: str, key: str, steps: list[int], default: int) -> int:
    options = [f"{step:,}" for step in steps]
    if st.session_state.get(key) not in (None, *options):  # of another run
        st.session_state.pop(key)
    chosen = st.select_slider(label, options, f"{default:,}", key=key, bind="query-params")
    return steps[options.index(chosen)]


def _curve(watched: Watched, near: list[Nearness], marked: tuple[int, int], chance: float) -> None:
    lines = watched.steps, [one.overlap for one in near], [one.residual.value for one in near]
    others: dict[str, Any] = {"chance": chance, "shuffled": [one.residual.shuffled for one in near]}
    others["marked"] = marked
    figure = approach_chart(*lines, **others, dark=state.is_dark())
    st.plotly_chart(figure, width="stretch", key="approach", config={"displayModeBar": False})
    parts.show(parts.note(CURVE))
    parts.table_of(lambda: table(watched.steps, near), "approach", "The steps as a table")
    prints.figure_of(lambda: approach_print(*lines, **others), "approach", label="The steps as a figure")
