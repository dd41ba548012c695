"""The page *Training*: a run's losses and decoded samples, while it trains or afterwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from workbench.figures.prints.training import losses_print
from workbench.figures.training import RATE, TOTAL, label, loss_names, losses
from workbench.ui import parts, prints, state, training_samples

if TYPE_CHECKING:
    import pandas as pd

    from workbench.training.history import History
    from workbench.training.watched import Watch

LEDE = (
    "What a training run has logged: its losses over the steps, the learning rate and, where it was watched, what "
    "some queries decoded to on the way. A run is a folder with "
    "run.json and log.jsonl, as `workbench train` writes it; a run that is training is followed."
)
HINT = "Name the folder that was given to `workbench train … --output`."
RECORD = (
    "A record of all its steps, kept without what they led to. The embedder {embedder} is from another training by the "
    "same recipe."
)
EVERY = 5
"""Seconds between two looks at a run that trains."""


def page(
    read: Callable[[str], History], watched: Callable[[str], Watch | None], runs: Sequence[str] = ()
) -> None:
    """Draws the page.

    `read(folder)` gives a run's history, `watched(folder)` what was watched of it, or None; `runs` are the folders to
    choose from, the newest first.
    """
    parts.page_title("Training", LEDE.replace("`", ""))
    folder = st.selectbox(
        "Run",
        list(runs),
        index=0 if runs else None,
        key="run",
        bind="query-params",
        accept_new_options=True,
        placeholder="Choose a run, or type the path of its folder",
    )
    if not folder:
        parts.empty("No run yet: workbench train writes one. Type the path of its folder above.")
        return
    with state.problems(HINT):
        history = read(folder)
    log = st.toggle("Logarithmic losses", key="log", bind="query-params")
    every = EVERY if history.live else None
    st.fragment(_follow, run_every=every)(folder, read, log, history.live)
    st.fragment(training_samples.draw, run_every=every)(folder, watched)
    _settings(history)


def table(rows: Sequence[dict[str, float | int]]) -> pd.DataFrame:
    """What was logged as a table: the step, the losses, then all else."""
    import pandas as pd

    frame = pd.DataFrame(list(rows))
    first = ["step", *loss_names(rows)]
    return frame.reindex(columns=[*first, *(name for name in frame if name not in first)])


def _follow(folder: str, read: Callable[[str], History], log: bool, was_live: bool) -> None:
    """Reads the run again and draws it; the page starts over once the run has ended."""
    with state.problems(HINT):
        history = read(folder)
    if was_live and not history.live:
        st.rerun()
    if not history.rows:
        every = history.settings.get("logging_steps")
        parts.empty(f"This run has logged nothing yet{f': it logs every {every} steps' if every else ''}.")
        return
    _figures(history)
    figure = losses(history.rows, log=log, dark=state.is_dark())
    st.plotly_chart(figure, width="stretch", key="losses", config={"displaylogo": False})
    parts.table_of(lambda: table(history.rows), f"{history.folder.name}-log")
    prints.figure_of(lambda: losses_print(history.rows, log=log), f"{history.folder.name}-losses")


def _figures(history: History) -> None:
    last = history.rows[-1]
    if history.elsewhere is not None:
        said, meaning = "finished", RECORD.format(embedder=_near(history.elsewhere))
    elif history.finished:
        said, meaning = "finished", "The artifact is written."
    elif history.live:
        said, meaning = "training", f"Logged {_ago(history.age)} ago; looked at again every {EVERY} seconds."
    else:
        said, meaning = "stopped", f"Logged {_ago(history.age)} ago; no artifact lies beside the log."
    shown = [parts.figure("State", said, "", meaning)]
    shown.append(parts.figure("Steps", f"{int(last['step']):,}", "", "The last one that was logged."))
    for name in loss_names([last])[:3]:
        first = next(row[name] for row in history.rows if name in row)
        title = "Loss" if name == TOTAL else label(name).capitalize()
        shown.append(parts.figure(title, f"{last[name]:.3g}", "", f"It began at {first:.3g}."))
    if RATE in last:
        shown.append(parts.figure("Learning rate", parts.small(last[RATE]), "", "At that step."))
    parts.figures(*shown)


def _settings(history: History) -> None:
    def frame() -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame(
            {"setting": list(history.settings), "value": [*map(str, history.settings.values())]}
        )

    parts.table_of(frame, f"{history.folder.name}-settings", "What it was started with")


def _near(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _ago(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 129_600 else f"{seconds / 86_400:.0f} days"
