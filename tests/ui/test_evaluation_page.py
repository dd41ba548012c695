"""The page *Evaluation* and what it reads: scores and differences by hand, claims, and runs that cannot be shown."""

import json
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from streamlit.testing.v1 import AppTest

from workbench.errors import UsageError, WorkbenchError
from workbench.evaluation.claims import CLAIMS, OWN, TEACHER, Claim, judge
from workbench.evaluation.protocol import Score, interval
from workbench.evaluation.report import compare, records
from workbench.evaluation.results import Result, Run, read_run, write_run
from workbench.figures.evaluation import difference_map, score_map
from workbench.ui import loaders

HOSTILE = "<script>alert(1)</script>"
LOW, HIGH = (0.0, 0.5, 0.25, 0.25), (0.5, 1.0, 0.75, 0.75)
"""Means of 0.25 and 0.75; the second is 0.5 above the first in every item."""


def result(task, items, lower=False, data_hash="hash"):
    values = np.array(items)
    mean = float(values.mean())
    score = Score(task, "retrieval", "hit", mean, {"hit": mean}, len(values), values,
                  details={"lower_is_better": lower})  # fmt: skip
    return Result(score, interval(score), data_hash, {}, {}, {}, 1.0)


def run(embedder, *results, date="2026-01-01"):
    return Run(embedder, embedder * 8, "workbench evaluate", 0, date, {"torch": "2.13"}, list(results))


@pytest.fixture
def folder(tmp_path):
    """Two runs on three tasks, whose rows are two of the claims' own."""
    tasks = ("two hops", "stand-ins")
    ours = run(
        OWN,
        result(tasks[0], HIGH),
        result(tasks[1], LOW, lower=True),
        result("emotion", LOW),
        date="2026-01-02",
    )
    theirs = run(TEACHER, result(tasks[0], LOW), result(tasks[1], HIGH, lower=True), result("emotion", HIGH))
    write_run(ours, tmp_path / "runs" / "a.parquet")
    write_run(theirs, tmp_path / "runs" / "b.parquet")
    return tmp_path / "runs"


def page(known):
    from workbench.ui import evaluation, loaders

    evaluation.page(loaders.evaluated, known)


def opened(known=(), **query):
    app = AppTest.from_function(page, args=([str(one) for one in known],), default_timeout=60)
    app.query_params.update(query)
    return app.run()


def html(app) -> str:
    assert not app.exception, app.exception
    return "\n".join(element.proto.body for element in app.get("html"))


def test_runs_are_read_in_the_order_they_were_measured(folder):
    found = loaders.evaluated(str(folder))
    assert found.comparison.embedders == [TEACHER, OWN]
    assert loaders.evaluated(f" {folder}/a.parquet; ").comparison.embedders == [OWN]
    both = loaders.evaluated(f"{folder}/a.parquet; {folder}; {folder}/b.parquet")
    assert len(both.runs) == 2, "a file that is named twice is read once"


def test_a_run_that_changed_is_read_again(folder):
    before = loaders.evaluated(str(folder))
    assert loaders.evaluated(str(folder)) is before
    write_run(run("other", result("emotion", HIGH)), folder / "b.parquet")
    assert loaders.evaluated(str(folder)).comparison.embedders == ["other", OWN]


def test_what_is_no_run_is_refused(folder, tmp_path):
    with pytest.raises(UsageError, match="no such file or folder"):
        loaders.evaluated(str(tmp_path / "nowhere"))
    with pytest.raises(UsageError, match="cannot be opened"):
        loaders.evaluated("x" * 5000)
    with pytest.raises(UsageError, match=r"no file there ends in \.parquet"):
        loaders.evaluated(str(tmp_path))
    pd.DataFrame({"a": [1]}).to_parquet(folder / "c.parquet")
    with pytest.raises(UsageError, match=r"c\.parquet is no run"):
        loaders.evaluated(str(folder))


def test_a_run_without_a_column_is_damaged(folder):
    path = folder / "a.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["libraries"]), path)
    with pytest.raises(WorkbenchError, match="'libraries' is missing"):
        read_run(path)


def test_known_folders_are_those_that_hold_runs(folder, tmp_path, monkeypatch):
    shipped = tmp_path / "data" / "evaluation"
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setattr("workbench.ui.loaders.evaluations.PACKAGE", tmp_path / "workbench")
    shipped.mkdir(parents=True)
    assert loaders.known_evaluations() == []
    write_run(run("e", result("t", LOW)), shipped / "e.parquet")
    monkeypatch.chdir(tmp_path)
    assert loaders.known_evaluations() == [str(Path("data", "evaluation"))]


def test_the_score_figure_has_a_mark_and_an_interval_for_each_score():
    comparison = compare([run("a", result("s", LOW), result("t", HIGH)), run("b", result("t", LOW))])
    figure = score_map(records(comparison))
    lines, marks = [[trace for trace in figure.data if trace.mode == mode] for mode in ("lines", "markers")]
    assert [(one.name, list(one.x)) for one in marks] == [("a", [0.25, 0.75]), ("b", [0.25])]
    assert [one.showlegend for one in marks] == [True, True]
    # two marks of 10 pixels and a gap of 16: each stands 5 of 36 pixels above or below its task's middle
    np.testing.assert_allclose(marks[0].y, [-5 / 36, 1 - 5 / 36])
    np.testing.assert_allclose(marks[1].y, [1 + 5 / 36])
    bounds = comparison.results["b", "t"].interval
    assert list(lines[1].x) == [bounds.low, bounds.high, None]
    assert marks[0].marker.symbol[0] != marks[1].marker.symbol[0]
    assert marks[0].marker.color != marks[1].marker.color
    assert list(figure.layout.yaxis.range) == [1.5, -0.5], "the first task stands on top"


def test_a_score_beyond_one_has_an_axis_of_its_own():
    comparison = compare([run("a", result("s", LOW), result("perplexity", (3.0, 5.0), lower=True))])
    figure = score_map(records(comparison))
    marks = [trace for trace in figure.data if trace.mode == "markers"]
    assert [(one.xaxis, list(one.x)) for one in marks] == [("x", [0.25]), ("x2", [4.0])]
    assert [one.showlegend for one in marks] == [True, False]
    assert "↓" in figure.layout.yaxis2.ticktext[0]
    assert "↓" not in figure.layout.yaxis.ticktext[0]
    assert not score_map([]).data


def test_differences_are_open_where_they_hold_zero_and_keep_their_marks():
    runs = [run("a", result("t", LOW)), run("b", result("t", HIGH)), run("c", result("t", LOW[::-1]))]
    rows = records(compare(runs), "a")
    assert [row["difference"] for row in rows] == [None, 0.5, 0.0]
    marks = [trace for trace in difference_map(rows).data if trace.mode == "markers"]
    assert [(one.name, list(one.x)) for one in marks] == [("b", [0.5]), ("c", [0.0])]
    assert not marks[0].marker.symbol[0].endswith("-open")
    assert marks[1].marker.symbol[0].endswith("-open")
    scores = {one.name: one.marker for one in score_map(rows).data if one.mode == "markers"}
    assert marks[0].marker.color == scores["b"].color
    assert marks[0].marker.symbol[0] == scores["b"].symbol[0]


def test_resamples_are_drawn_once_for_all_differences(monkeypatch):
    from workbench.evaluation import report

    drawn, real = [], report.resampled
    monkeypatch.setattr(report, "resampled", lambda score, seed: drawn.append(score) or real(score, seed))
    comparison = compare([run(name, result("t", LOW)) for name in "abc"])
    for reference in "abc":
        records(comparison, reference)
    assert len(drawn) == 3


def test_a_lower_score_is_the_better_one_where_it_is_so_marked(folder):
    comparison = loaders.evaluated(str(folder)).comparison
    said = {claim.task: judge(comparison, claim).said for claim in CLAIMS if claim.other == TEACHER}
    assert (said["two hops"], said["stand-ins"]) == ("held", "held")
    assert said["emotion"] == "did not hold"
    assert said["one hop"] == "not measured"
    alone = compare([run("a", result("t", (1.0,))), run("b", result("t", (0.0,)))])
    assert judge(alone, Claim("", "a", "b", "t")).said == "cannot be told", "one item has no interval"


def test_the_page_shows_scores_differences_and_claims(folder):
    app = opened([folder])
    shown = html(app)
    assert '<div class="wb-value">2<small></small></div><p class="wb-note">Of 2 runs.' in shown
    assert 'stand-ins, <abbr title="hit">hit</abbr> ↓' in shown, "no metric of mteb's: its own name"
    assert shown.count('class="best"><b>0.750 [') == 2, "two hops by ours, emotion by the teacher"
    assert shown.count('class="best"><b>0.250 [') == 1, "of the stand-ins the lower score is the best"
    assert "less MiniLM, the teacher" in shown
    assert shown.count("+0.500 [+0.500,\u00a0+0.500]") == 2, "in the table, and beside the claim"
    assert shown.count("−0.500 [−0.500,\u00a0−0.500]") == 4
    assert "Of 13 claims 2 held, 1 did not hold, 10 not measured." in shown
    assert '<td class="said" data-said="did not hold">✗ did not hold</td>' in shown
    assert len(app.get("plotly_chart")) == 2


def test_the_link_keeps_the_runs_and_the_reference(folder):
    shown = html(opened(results=f"{folder}/a.parquet; {folder}/b.parquet", reference=OWN))
    assert "less LLM2Vec-Gen" in shown
    assert shown.count("−0.500 [−0.500,\u00a0−0.500]") == 3, "two hops, and two of the claims"
    gone = html(opened(results=str(folder), reference="nobody"))
    assert "less MiniLM, the teacher" in gone


def test_scores_and_differences_are_figures_with_the_command_that_makes_them_again(folder):
    app = opened([folder])
    for name in ("scores", "differences"):
        app.session_state[f"print-evaluation-{name}"] = True
    app.run()
    assert not app.exception
    assert [one.proto.label for one in app.get("download_button")] == ["PDF", "SVG"] * 2
    files = f"{folder / 'b.parquet'} {folder / 'a.parquet'}"  # the first measured first
    scores, differences = [one.value for one in app.code]
    assert scores == f"workbench report {files} --output evaluation-scores.pdf"
    assert differences == (
        f"workbench report {files} --reference {shlex.quote(TEACHER)} --output evaluation-differences.pdf"
    )


def test_tables_have_every_digit(folder):
    app = opened([folder])
    assert not app.dataframe
    for name in ("scores", "differences", "claims", "runs"):
        app.session_state[f"table-evaluation-{name}"] = True
    app.run()
    scores, differences, claims, runs = [one.value for one in app.dataframe]
    assert scores["score"].tolist() == [0.25, 0.75, 0.75, 0.75, 0.25, 0.25]
    assert differences["difference"].dropna().tolist() == [0.5, -0.5, -0.5]
    assert claims["verdict"].value_counts()["held"] == 2
    assert runs["torch"].tolist() == ["2.13", "2.13"]


def test_one_embedder_and_other_rows_have_no_differences_and_no_claims(folder):
    write_run(run("mine", result("t", LOW)), folder / "b.parquet")
    app = opened(results=f"{folder}/b.parquet")
    shown = html(app)
    assert "these runs hold no pair of them" in shown
    assert len(app.get("plotly_chart")) == 1
    assert len(app.selectbox) == 1


def test_scores_that_share_no_task_are_said_to_have_no_difference(folder):
    write_run(run("mine", result("t", LOW)), folder / "b.parquet")
    assert "No task of mine can be resampled" in html(opened(results=str(folder), reference="mine"))


def test_without_runs_it_says_how_to_make_one():
    app = opened()
    assert "workbench evaluate --suite fieldguide --output" in html(app)
    assert not app.error


@pytest.mark.parametrize(("damage", "said"), [
    (lambda path: path.write_bytes(path.read_bytes()[:-100]), "not a parquet file"),
    (lambda path: write_run(run("z", result("emotion", LOW, data_hash="other")), path), "measured on different data"),
    (lambda path: write_run(run(TEACHER, result("emotion", HIGH)), path), "two scores of emotion"),
])  # fmt: skip
def test_runs_that_cannot_be_shown_are_one_line(folder, damage, said):
    write_run(read_run(folder / "a.parquet"), folder / "c.parquet")
    damage(folder / "c.parquet")
    app = opened([folder])
    html(app)
    assert len(app.error) == 1
    assert said.replace(" ", "") in app.error[0].value.replace("\\", "").replace(" ", "")
    assert "semicolons" in app.info[0].value
    assert not app.get("plotly_chart")


def test_hostile_names_stay_text(folder):
    hostile = [run(f"{HOSTILE}{name}", result(HOSTILE, items)) for name, items in (("a", LOW), ("b", HIGH))]
    for path, one in zip(("a", "b"), hostile, strict=True):
        write_run(one, folder / f"{path}.parquet")
    app = opened([folder])
    shown = html(app)
    assert HOSTILE not in shown
    assert "&lt;script&gt;" in shown
    for chart in app.get("plotly_chart"):
        drawn = json.loads(chart.proto.spec)
        names = [trace["name"] for trace in drawn["data"]]
        names += [words for trace in drawn["data"] for words in trace.get("customdata", ())]
        names += drawn["layout"]["yaxis"]["ticktext"]
        assert "&lt;script&gt;" in names[0]
        assert not [name for name in names if "<script" in name]
    assert html(opened(results=HOSTILE)).count(HOSTILE) == 0
