"""The page *Evaluation*: runs side by side with their intervals, and the papers' claims tried on them."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import streamlit as st

from workbench.figures.evaluation import difference_map, score_map
from workbench.figures.prints.evaluation import difference_print, score_print
from workbench.ui import parts, prints, state, tables

if TYPE_CHECKING:
    import pandas as pd

    from workbench.evaluation.claims import Verdict
    from workbench.evaluation.report import Comparison
    from workbench.evaluation.results import Run
    from workbench.ui.loaders import Evaluated

LEDE = (
    "Several embedders on the same tasks, each score with the interval that its questions allow. What counts is the "
    "difference on the same questions: two intervals may overlap while the difference is clear."
)
EMPTY = (
    "No runs yet: workbench evaluate --suite fieldguide --output runs/mine.parquet measures an embedder. Type the path "
    "of its file, or of a folder of such files, above."
)
HINT = (
    "Name a folder of files that `workbench evaluate … --output` wrote, or single files with semicolons between them: "
    "so one of them can be left out."
)
SCORES = (
    "In brackets: 95% bootstrap intervals over a task’s questions, pairs or texts. In bold: the best of a task. "
    "↓: lower is better. Point at a metric for mteb’s own name of it and what it measures."
)
DIFFERENCES = (
    "In brackets: the paired 95% bootstrap interval. In bold, and filled above: it leaves 0 out. "
    "↓: lower is better, so a difference below 0 is the better one."
)
CLAIMS = (
    "A claim held where the paired interval of the difference is wholly on its side of 0, did not hold where it is "
    "wholly on the other side, and cannot be told in between."
)
NO_CLAIMS = (
    "The papers’ claims are tried on the rows and tasks of the main table (python -m analyses.main_table), and these "
    "runs hold no pair of them."
)


def page(read: Callable[[str], Evaluated], known: Sequence[str] = ()) -> None:
    """Draws the page. `read(path)` gives the runs of a folder or of files; `known` are folders to choose from."""
    parts.page_title("Evaluation", LEDE)
    named = st.selectbox(
        "Runs",
        list(known),
        index=0 if known else None,
        key="results",
        bind="query-params",
        accept_new_options=True,
        placeholder="Type the path of a folder, or of files with semicolons between them",
    )
    if not named or not named.strip(" ;"):
        parts.empty(EMPTY)
        return
    with state.problems(HINT), st.spinner("Reading the runs …", show_time=True):
        found = read(named)
    _summary(found)
    _scores(found)
    if len(found.comparison.embedders) > 1:
        _differences(found)
    _claims(found.comparison)
    parts.table_of(lambda: made(found.runs), "evaluation-runs", "How each run was made")


def made(runs: Sequence[Run]) -> pd.DataFrame:
    """What made each run: embedder, fingerprint, command, date, seed and the versions of the libraries."""
    import pandas as pd

    names = ("embedder", "fingerprint", "suite", "command", "date", "seed")
    return pd.DataFrame([{name: getattr(run, name) for name in names} | run.libraries for run in runs])


def claims_table(found: Sequence[Verdict]) -> pd.DataFrame:
    """The claims with the difference that each was judged by, its bounds, and the verdict."""
    import pandas as pd

    rows = []
    for claim, difference, said in found:
        value, low, high = difference or (None, None, None)
        rows.append({**claim._asdict(), "difference": value, "low": low, "high": high, "verdict": said})
    return pd.DataFrame(rows)


def _summary(found: Evaluated) -> None:
    comparison = found.comparison
    counts = [found.n for found in (result.score for result in comparison.results.values())]
    runs = "1 run" if len(found.runs) == 1 else f"{len(found.runs)} runs"
    least = f"Of {min(counts):,} to {max(counts):,} questions, pairs or texts each."
    parts.figures(
        parts.figure("Embedders", str(len(comparison.embedders)), "", f"Of {runs}."),
        parts.figure("Tasks", str(len(comparison.tasks)), "", least),
        parts.figure("Measured", found.runs[-1].date[:10], "", "The last of the runs."),
    )


def _scores(found: Evaluated) -> None:
    from workbench.evaluation.report import records, scores

    st.subheader("Scores", anchor=False)
    rows = records(found.comparison)
    _chart(score_map(rows, dark=state.is_dark()), "scores")
    parts.show(tables.grid(scores(found.comparison), "task", found.comparison) + parts.note(SCORES))
    parts.table_of(lambda: _frame(rows), "evaluation-scores", "With all digits, to download")
    again = shlex.join(["workbench", "report", *found.files, "--output", "evaluation-scores.pdf"])
    prints.figure_of(lambda: score_print(rows), "evaluation-scores", again)


def _differences(found: Evaluated) -> None:
    from workbench.evaluation.claims import TEACHER
    from workbench.evaluation.report import differences, records

    st.subheader("Differences to one embedder", anchor=False)
    comparison, names = found.comparison, found.comparison.embedders
    first = names.index(TEACHER) if TEACHER in names else 0
    reference = st.selectbox("Reference", names, index=first, key="reference", bind="query-params")
    with state.problems(), st.spinner("Resampling the differences …", show_time=True):
        table, rows = differences(comparison, reference), records(comparison, reference)
    if all(row["difference"] is None for row in rows):
        parts.empty(f"No task of {reference} can be resampled together with another embedder’s.")
        return
    _chart(difference_map(rows, dark=state.is_dark()), "differences")
    parts.show(tables.grid(table, f"less {reference}", comparison) + parts.note(DIFFERENCES))
    parts.table_of(lambda: _frame(rows), "evaluation-differences", "With all digits, to download")
    named = ["--reference", reference, "--output", "evaluation-differences.pdf"]
    again = shlex.join(["workbench", "report", *found.files, *named])
    prints.figure_of(lambda: difference_print(rows), "evaluation-differences", again)


def _claims(comparison: Comparison) -> None:
    from workbench.evaluation.claims import CLAIMS as TRIED
    from workbench.evaluation.claims import UNTESTED, judge

    st.subheader("The papers’ claims", anchor=False)
    with st.spinner("Resampling the differences …", show_time=True):
        found = [judge(comparison, claim) for claim in TRIED]
    if all(verdict.said == "not measured" for verdict in found):
        parts.empty(NO_CLAIMS)
        return
    said = [verdict.said for verdict in found]
    parts.show(tables.verdicts(found) + parts.note(f"{_counted(said)} {CLAIMS} {' '.join(UNTESTED.split())}"))
    parts.table_of(lambda: claims_table(found), "evaluation-claims", "With all digits, to download")


def _counted(said: Sequence[str]) -> str:
    """How many claims fared how, in words."""
    counts = [f"{said.count(one)} {one}" for one in tables.SIGNS if one in said]
    return f"Of {len(said)} claims {', '.join(counts)}."


def _frame(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(list(rows))


def _chart(figure: Any, key: str) -> None:
    st.plotly_chart(figure, width="stretch", key=key, config={"displaylogo": False})
