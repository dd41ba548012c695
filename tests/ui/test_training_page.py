"""The page *Training* and what it reads: runs that train, are finished or stopped, and folders that are none."""

import json
import os
import time

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from workbench.errors import UsageError, WorkbenchError
from workbench.figures.training import COSINE, SHARED, loss_names, losses, samples
from workbench.files import shipped
from workbench.training.history import FRESH, read_run, runs_below
from workbench.ui.training import table

HOSTILE = "<script>x</script>"
ROWS = [
    {"step": 10, "loss": 2.5, "loss_align": 1.5, "loss_recon": 1.0, "learning_rate": 0.001},
    {"step": 20, "loss": 1.25, "loss_align": 0.75, "loss_recon": 0.5, "learning_rate": 0.0005},
]


@pytest.fixture
def run(tmp_path):
    """A run of two lines with a third that is half written, as it stands while it trains."""
    folder = tmp_path / "runs" / "<b>mine</b>"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"lr": 0.001, "seed": 0}))
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS) + '{"step": 30, "lo')
    return folder


@pytest.fixture
def watched(run):
    """What was watched of it: two queries, the same words, looked at at steps 0, 10 and 20."""
    watch = run / "watch"
    watch.mkdir()
    texts = [{"row": row, "query": f"What is {HOSTILE}?", "response": "It is gold."} for row in (0, 7)]
    said = {0: ("", "It is <i>lead</i>.", "It is <i>lead</i>."), 7: ("lead", "It", "It is gold.")}
    samples = [
        {**text, "step": step, "decoded": said[text["row"]][at], "cosine": 0.25 * at}
        for at, step in enumerate((0, 10, 20))
        for text in texts
    ]
    for name, rows in (("texts", texts), ("samples", samples)):
        (watch / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return run


def page(runs):
    from workbench.training.history import read_run
    from workbench.ui import loaders, training

    training.page(read_run, loaders.watched, runs)


def opened(runs=(), **query):
    app = AppTest.from_function(page, args=(runs,), default_timeout=60)
    app.query_params.update(query)
    return app.run()


def html(app) -> str:
    assert not app.exception, app.exception
    return "\n".join(element.proto.body for element in app.get("html"))


def test_a_half_written_line_is_left_out(run):
    history = read_run(run)
    assert history.rows == ROWS
    assert history.settings["lr"] == 0.001


def test_training_finished_and_stopped_are_told_apart(run):
    assert read_run(run).live
    long_ago = time.time() - FRESH - 5
    os.utime(run / "log.jsonl", (long_ago, long_ago))
    stopped = read_run(run)
    assert not stopped.live
    assert not stopped.finished
    (run / "config.json").write_text("{}")
    assert read_run(run).finished
    os.utime(run / "log.jsonl")
    os.utime(run / "config.json", (long_ago, long_ago))
    assert read_run(run).live, "the artifact is from before: it trains again"


def test_a_record_kept_without_its_artifact_names_the_embedder_of_its_recipe(run, tmp_path):
    run = run.rename(tmp_path / "runs" / "mine")
    embedder = tmp_path / "embedders" / "mine"
    embedder.mkdir(parents=True)
    config = embedder / "config.json"
    config.write_text(json.dumps({"training": {"lr": 0.001, "seed": 0, "steps": 20, "queries": 9}}))
    history = read_run(run)
    assert (history.finished, history.live, history.elsewhere) == (True, False, embedder)
    shown = html(opened([str(run)]))
    assert '<div class="wb-value">finished' in shown
    assert "A record of all its steps, kept without what they led to." in shown
    for other in ({"lr": 0.5, "seed": 0, "steps": 20}, {"lr": 0.001, "seed": 0, "steps": 30}, None):
        config.write_text(json.dumps({"training": other}))
        assert read_run(run).live, "another recipe's"


def test_the_shipped_record_is_finished():
    history = read_run(shipped("runs", "llm2vec-gen"))
    assert history.finished
    assert history.elsewhere == shipped("embedders", "llm2vec-gen").resolve()


def test_no_run_is_refused(tmp_path, run):
    with pytest.raises(UsageError, match="no folder"):
        read_run(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="no training run"):
        read_run(tmp_path)
    (run / "run.json").write_text("{")
    with pytest.raises(WorkbenchError, match="not valid JSON"):
        read_run(run)


def test_runs_are_found_below_the_newest_first(run, tmp_path):
    other = tmp_path / "runs" / "deep" / "er"
    other.mkdir(parents=True)
    (other / "run.json").write_text("{}")
    assert runs_below([tmp_path / "runs"]) == [run], "the other has logged nothing"
    (other / "log.jsonl").write_text("")
    os.utime(run / "log.jsonl", (1, 1))
    assert runs_below([tmp_path / "runs", tmp_path / "nowhere"]) == [other, run]


def test_the_figure_draws_what_was_logged():
    figure = losses(ROWS)
    drawn = {trace.name: (list(trace.x), list(trace.y)) for trace in figure.data}
    assert drawn == {
        "loss": ([10, 20], [2.5, 1.25]),
        "alignment": ([10, 20], [1.5, 0.75]),
        "reconstruction": ([10, 20], [1.0, 0.5]),
        "learning rate": ([10, 20], [0.001, 0.0005]),
    }
    assert figure.layout.yaxis.type == "linear"
    assert losses(ROWS, log=True).layout.yaxis.type == "log"


def test_a_loss_that_starts_late_is_drawn_from_there():
    late = [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0, "loss_contrastive": 3.0}]
    drawn = {trace.name: list(trace.x) for trace in losses(late).data}
    assert drawn == {"loss": [1, 2], "contrastive": [2]}
    assert loss_names(late) == ["loss", "loss_contrastive"]
    assert not losses([]).data


def test_the_table_has_the_losses_first():
    frame = table(ROWS)
    assert list(frame) == ["step", "loss", "loss_align", "loss_recon", "learning_rate"]
    pd.testing.assert_series_equal(frame["loss"], pd.Series([2.5, 1.25], name="loss"))


def test_the_page_shows_the_newest_run(run):
    app = opened([str(run)])
    shown = html(app)
    assert '<div class="wb-value">training' in shown
    assert '<div class="wb-value">20' in shown
    assert '<div class="wb-value">1.25' in shown
    assert "It began at 2.5." in shown
    assert "5 × 10⁻⁴" in shown
    assert app.get("plotly_chart")


def test_the_table_is_made_once_it_is_opened(run):
    app = opened([str(run)])
    assert not app.dataframe
    app.session_state[f"table-{run.name}-log"] = True
    app.run()
    assert app.dataframe[0].value["loss"].tolist() == [2.5, 1.25]
    assert [button.label for button in app.get("download_button")] == ["CSV", "Parquet"]


def test_a_link_opens_any_folder(run):
    app = opened(run=str(run), log="true")
    assert '<div class="wb-value">training' in html(app)
    assert '"type":"log"' in app.get("plotly_chart")[0].proto.spec.replace(" ", "")


def test_without_a_run_and_without_lines_it_says_so(run):
    assert "No run yet" in html(opened())
    (run / "log.jsonl").write_text("")
    assert "This run has logged nothing yet." in html(opened([str(run)]))
    (run / "run.json").write_text(json.dumps({"logging_steps": 10}))
    assert "logged nothing yet: it logs every 10 steps." in html(opened([str(run)]))


def test_a_folder_that_is_no_run_is_one_line(tmp_path):
    app = opened(run=str(tmp_path))
    assert len(app.error) == 1
    assert "no training run" in app.error[0].value
    assert "--output" in app.info[0].value


def test_the_samples_of_a_watched_run_are_shown_step_by_step(watched):
    app = opened([str(watched)])
    shown = html(app)
    assert [box.label for box in app.selectbox] == ["Run", "Query"]
    assert app.selectbox[1].options == [f"What is {HOSTILE}? (row 0)", f"What is {HOSTILE}? (row 7)"]
    assert "It is gold." in shown
    assert '<span class="step">step 0</span><span class="what">(nothing)</span>' in shown
    lead = 'It is <mark class="decoded">&lt;i&gt;lead&lt;/i&gt;.</mark>'
    assert f'<span class="step">step 10 to 20</span><span class="what">{lead}</span>' in shown
    assert "words shared 67% · cosine 0.50" in shown
    assert "<script>" not in shown
    assert "was not watched" not in shown
    app.selectbox[1].select_index(1).run()
    steps = html(app)
    assert '<span class="step">step 20</span><span class="what">It is gold.</span>' in steps
    assert "words shared 100% · cosine 0.50" in steps


def test_a_link_opens_a_sample_and_the_table_has_them_all(watched):
    app = opened([str(watched)], sample=f"What is {HOSTILE}? (row 7)")
    assert app.selectbox[1].value.endswith("(row 7)")
    app.session_state[f"table-{watched.name}-samples"] = True
    app.run()
    frame = app.dataframe[0].value
    assert list(frame) == ["step", "row", "query", "response", "decoded", "cosine", "shared"]
    assert frame["shared"].round(3).tolist() == [0, 0, 0.667, 0.5, 0.667, 1]


def test_losses_and_samples_are_figures(watched):
    app = opened([str(watched)], log="true")
    for name in ("losses", "samples"):
        app.session_state[f"print-{watched.name}-{name}"] = True
    app.run()
    assert not app.exception
    assert [one.proto.label for one in app.get("download_button")] == ["PDF", "SVG"] * 2


def test_the_curve_is_that_of_the_means(watched):
    drawn = json.loads(opened([str(watched)]).get("plotly_chart")[1].proto.spec)["data"]
    assert {line["name"]: line["x"] for line in drawn} == {SHARED: [0, 10, 20], COSINE: [0, 10, 20]}
    lines = {line.name: list(line.y) for line in samples([0, 5], [None, 0.5], [None, None]).data}
    assert lines == {SHARED: [0.5]}, "what is not known is not drawn"


def test_a_run_that_was_not_watched_says_how_to(run, watched):
    (watched / "watch/samples.jsonl").unlink()
    assert "no sample was decoded" in html(opened([str(run)]))
    (watched / "watch/texts.jsonl").unlink()
    assert "--watch-every 100" in html(opened([str(run)]))


def test_texts_without_responses_are_shown_without_marks(watched):
    path = watched / "watch/samples.jsonl"
    rows = [{**json.loads(line), "response": "", "cosine": None} for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    app = opened([str(watched)])
    shown = html(app)
    assert "It is &lt;i&gt;lead&lt;/i&gt;." in shown
    assert "<mark" not in shown
    assert "Its response" not in shown
    assert len(app.get("plotly_chart")) == 1, "there is nothing to draw"


def test_a_damaged_watch_is_one_line_and_the_rest_stands(watched):
    path = watched / "watch/samples.jsonl"
    path.write_text(path.read_text()[:-9])
    app = opened([str(watched)])
    assert len(app.error) == 1
    assert "line 6" in app.error[0].value
    assert '<div class="wb-value">training' in html(app)
    assert [box.label for box in app.expander] == ["As a table", "As a figure", "What it was started with"]
