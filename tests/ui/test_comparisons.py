"""Both sides of a comparison as the app opens them, on the throw-away default: another embedder, a watched run."""

import json

import numpy as np
import pytest
from conftest import HOSTILE, TEXTS
from safetensors.numpy import save_file
from streamlit.testing.v1 import AppTest
from test_pages import html

from workbench.errors import UsageError, WorkbenchError


def open_page(opened=(), **query):
    """The page as the app opens it, with folders that were opened in the sidebar."""

    def script():
        from workbench.ui import pages

        pages.compare()

    app = AppTest.from_function(script, default_timeout=200)
    app.session_state["opened embedders"] = list(opened)
    app.query_params.update(query)
    return app.run()


@pytest.fixture
def other(use_shipped, tmp_path):
    """Another embedder on the same backbone, of another dimension."""
    from workbench.embedders.artifact import load_embedder, save
    from workbench.embedders.config import LLM2VecGenConfig
    from workbench.embedders.llm2vec_gen import LLM2VecGen

    backbone = load_embedder().backbone
    config = LLM2VecGenConfig(n_compression=2, dimension=16)
    save(LLM2VecGen.untrained(backbone, config, seed=3), tmp_path / "other")
    return str(tmp_path / "other")


@pytest.fixture
def opened(use_shipped):
    from workbench.ui import loaders

    return loaders.open_comparison("LLM2Vec-Gen", loaders.source(), [])


@pytest.fixture
def run(tmp_path):
    """A run that was watched at three steps, and decoded at two of them."""
    place = tmp_path / "run" / "watch"
    place.mkdir(parents=True)
    texts = [
        {"row": 10 * n, "query": f"query {n}", "response": f"response {n}", "topic": "ab"[n % 2]}
        for n in range(6)
    ]
    samples = [
        {
            "step": step,
            "row": 20,
            "query": "query 2",
            "response": "response 2",
            "decoded": f"at {step}",
            "cosine": 0.5,
        }
        for step in (0, 8)
    ]
    for name, rows in (("texts", texts), ("samples", samples)):
        (place / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    draw = np.random.default_rng(0)
    for step in (0, 4, 8):
        save_file(
            {"embedding": draw.normal(size=(6, 5)).astype(np.float16)},
            place / f"vectors-{step:06d}.safetensors",
        )
    return place.parent


def test_the_other_side_is_embedded_once_while_its_progress_is_told(opened, other, monkeypatch):
    from workbench.embedders.artifact import load_embedder
    from workbench.embedders.llm2vec_gen import LLM2VecGen
    from workbench.ui.loaders import atlas, comparisons

    monkeypatch.setattr(comparisons, "BATCH", 3)
    told, texts = [], opened.atlas()
    left = opened.side("", texts, lambda *_: told.append("the atlas keeps the default's vectors"))
    assert told == []
    np.testing.assert_array_equal(left.vectors, atlas().embeddings)
    right = opened.side(other, texts, lambda done, total: told.append((done, total)))
    assert told == [(3, 7), (6, 7), (7, 7)]
    assert right.name == "other"
    np.testing.assert_allclose(right.vectors, load_embedder(other).encode(list(TEXTS)), atol=1e-4)
    monkeypatch.setattr(LLM2VecGen, "encode_batch", None)
    np.testing.assert_array_equal(opened.side(other, texts, lambda *_: None).vectors, right.vectors)
    found = opened.compared(left, right)
    assert found is opened.compared(left, right), "kept"
    assert [one.coords.shape for one in opened.maps(left, right, "PCA")] == [(7, 2), (7, 2)]
    assert found.overlap.k == 5


def test_texts_that_are_not_the_atlas_s_are_embedded_on_both_sides(opened):
    from workbench.atlas.compared_texts import ComparedTexts

    texts = ComparedTexts(["Tell me about gold.", "one", "two"], {}, "mine")
    side = opened.side("", texts, lambda *_: None)
    assert side.vectors.shape == (3, 24)
    assert side.decoded(0)[:2] == opened.side("", opened.atlas(), lambda *_: None).decoded(4)[:2]
    long = ComparedTexts(["gold " * 2000, "one", "two"], {}, "mine")
    assert "1 texts were too long" in opened.side("", long, lambda *_: None).says


def test_the_page_compares_the_default_with_an_embedder_by_its_path(other):
    app = open_page(**{"with": other}, text="Tell me about silver.", shade="kind")
    assert not app.error
    shown = html(app)
    assert "LLM2Vec-Gen decodes it to" in shown
    assert "other decodes it to" in shown
    assert "On the 7 texts of the shipped atlas." in shown
    assert "<script" not in shown + app.get("plotly_chart")[0].proto.spec


def test_a_file_s_texts_are_embedded_on_both_sides_and_stay_texts(other):
    app = open_page(opened=[other], texts="file")
    lines = "".join(json.dumps({"query": f"What is number {n}?", "group": HOSTILE}) + "\n" for n in range(5))
    data = lines + json.dumps({"query": HOSTILE, "group": "b"}) + "\nno json\n"
    app.file_uploader[0].set_value((f"{HOSTILE}.jsonl", data.encode(), "application/json")).run()
    assert not app.exception
    assert not app.error
    app.selectbox(key="point").select_index(5).run()
    shown = html(app)
    assert "On 6 of the 7 rows of &lt;script&gt;" in shown
    assert "1 left out: no text, or one that stood before" in shown
    assert "other decodes it to" in shown
    assert "<script" not in shown + app.get("plotly_chart")[0].proto.spec


def test_an_embedder_compared_with_itself_is_the_same(use_shipped):
    app = open_page(**{"with": str(use_shipped / "embedders" / "llm2vec-gen")})
    assert not app.error
    values = [part.split("<")[0] for part in html(app).split('<div class="wb-value">')[1:]]
    assert values == ["100%", "1.00", "0.00"]


def test_a_path_that_is_gone_or_none_is_one_line(use_shipped, tmp_path):
    for path, said in ((tmp_path / "gone", "gone"), (tmp_path, "no config.json")):
        app = open_page(**{"with": str(path)})
        assert not app.exception
        assert len(app.error) == 1
        assert said in app.error[0].value.replace("\\", "")
        assert "another embedder" in app.info[0].value
    assert "Nothing to compare with yet" in html(open_page())


def test_a_watched_run_is_opened_step_by_step(opened, run):
    found = opened.watch(str(run))
    assert found.steps == [0, 4, 8]
    assert found.texts.texts[2] == "query 2"
    assert found.texts.metadata == {"topic": list("ababab")}
    assert found.side(8).decoded(2) == ("at 8", "response 2", 0.5, "the teacher’s vector of the response")
    assert found.side(4).decoded(2) is None
    assert found.side(8).decoded(3) is None
    near, laid = found.approach(), found.maps()
    assert [one.overlap for one in near][-1] == 1
    assert near[-1].residual.value == pytest.approx(0, abs=1e-5)
    assert len(laid) == 3
    itself = opened.compared(found.side(8), found.side(8))
    assert itself.residual.value == pytest.approx(0, abs=1e-5)


def test_a_run_that_goes_on_is_read_again(opened, run):
    assert len(opened.watch(str(run)).approach()) == 3
    save_file({"embedding": np.eye(6, 5).astype(np.float16)}, run / "watch" / "vectors-000012.safetensors")
    found = opened.watch(str(run))
    assert found.steps == [0, 4, 8, 12]
    assert len(found.approach()) == len(found.maps()) == 4
    assert found.approach()[2].overlap < 1, "the last step is another one now"


def test_what_is_no_watched_run_is_said(opened, run, tmp_path):
    with pytest.raises(UsageError, match="--watch-every"):
        opened.watch(str(tmp_path))
    for path in (run / "watch").glob("vectors*"):
        path.unlink()
    with pytest.raises(UsageError, match="no vectors yet"):
        opened.watch(str(run))
    (run / "watch" / "vectors-000000.safetensors").write_bytes(b"torn")
    with pytest.raises(WorkbenchError, match="cannot be read"):
        opened.watch(str(run)).side(0)


def test_the_page_opens_a_watched_run(use_shipped, run):
    app = open_page(compare="a training run", run=str(run), point="query 2", at_step="0")
    assert not app.error
    shown = html(app)
    assert "Step 0 decodes it to" in shown
    assert "Step 8 decodes it to" in shown
    assert "Cosine with the teacher’s vector of the response: 0.50" in shown
    assert "On the 6 watched queries." in shown
