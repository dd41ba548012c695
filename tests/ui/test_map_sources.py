"""The map's sources as the app opens them, on the throw-away default: its atlas, a store, a file brought along."""

import pytest
from conftest import HOSTILE, TEXTS
from streamlit.testing.v1 import AppTest
from test_pages import html


def open_page(**query):
    def script():
        from workbench.ui import pages

        pages.neighbourhoods()

    app = AppTest.from_function(script, default_timeout=200)
    app.query_params.update(query)
    return app.run()


@pytest.fixture
def sources(use_shipped):
    from workbench.ui import loaders

    return loaders.map_sources(loaders.source())


@pytest.fixture
def store(use_shipped, tmp_path):
    return build(tmp_path / "store")


def build(folder, seed=None):
    """A store of a few texts by the throw-away default, or by another embedder on its backbone."""
    from workbench.atlas.build import build, facts_of, make_with
    from workbench.atlas.entries import source_of
    from workbench.embedders.artifact import load_embedder
    from workbench.embedders.llm2vec_gen import LLM2VecGen

    embedder = load_embedder()
    if seed is not None:
        embedder = LLM2VecGen.untrained(embedder.backbone, embedder.config, seed=seed)
    path = folder.with_suffix(".csv")
    path.write_text("text,year\n" + "".join(f'"{text}",{2000 + n}\n' for n, text in enumerate(TEXTS)))
    source = source_of(path)
    build(str(folder), source, facts_of(embedder, source, None), make_with(embedder, None, 8))
    return str(folder)


def test_a_store_is_searched_filtered_read_and_clustered(sources, store):
    found = sources.store(store)
    assert found.points.texts == list(TEXTS)
    assert found.let("year >= 2005") == [5, 6]
    hits = found.near(found.points.embeddings[4], 2, "year < 2005")
    assert hits[0].text == list(TEXTS)[4]
    assert hits[0].similarity == pytest.approx(1)
    again = sources.shipped().read(4)
    assert found.read(4).texts == ["Tell me about gold."] == again.texts
    named = found.clusters("k-means", 2)
    assert sum(len(one.rows) for one in named.clusters) == len(TEXTS)
    assert named.centres is not None


def test_the_shipped_atlas_is_filtered_and_belongs_to_the_default(sources, use_shipped):
    from workbench.errors import UsageError
    from workbench.ui import loaders

    found = sources.shipped()
    assert found.let("topic = 'cities'") == [0, 1]
    assert [hit.id for hit in found.near(found.points.embeddings[1], 1, "topic = 'cities'")] == ["1"]
    assert [hit.id for hit in found.near(found.points.embeddings[6], 1, None)] == ["6"]
    with pytest.raises(UsageError, match="colour"):
        found.let("colour = 1")
    other = loaders.map_sources(
        loaders.source(use_shipped / "embedders" / "llm2vec-gen", backbone="fieldguide")
    )
    with pytest.raises(UsageError, match="the default embedder's vectors"):
        other.shipped()


def test_another_embedder_s_store_is_refused_with_both_sides(use_shipped, tmp_path):
    app = open_page(source="store", store=build(tmp_path / "other", seed=3))
    assert not app.exception
    assert "does not fit: its embedder is" in app.error[0].value.replace("\\", "")
    assert not app.get("plotly_chart")


@pytest.mark.parametrize(
    ("uri", "said"), [("/nowhere/at/all", "no store at"), ("s3://a/b", "stores of this machine alone")]
)
def test_what_is_no_store_is_one_line(use_shipped, uri, said):
    app = open_page(source="store", store=uri)
    assert not app.exception
    assert said in app.error[0].value.replace("\\", "")


def test_the_page_opens_a_store_and_shows_what_a_row_decodes_to(store):
    app = open_page(source="store", store=store, colour="year", point="Tell me about gold.")
    assert not app.error
    shown = html(app)
    assert "PCA map of 7 texts" in shown
    assert "Its embedding decodes to" in shown
    assert "nan" not in shown
    assert "&lt;script" in shown


def test_a_file_is_embedded_with_its_bad_rows_counted_and_its_texts_stay_texts(use_shipped):
    app = open_page(source="file")
    lines = "".join(f'{{"query": "What is number {n}?", "group": "{n % 2}"}}\n' for n in range(6))
    data = lines + '{"query": ""}\nno json\n' + f'{{"query": "{HOSTILE}", "group": "{HOSTILE}"}}\n'
    app.file_uploader[0].set_value((f"{HOSTILE}.jsonl", data.encode(), "application/json")).run()
    assert not app.exception
    assert not app.error
    shown = html(app)
    assert "7 of 9 rows of &lt;script&gt;" in shown
    assert "1 left out: empty; 1 left out: not valid JSON" in shown
    app.selectbox(key="point").select_index(6).run()
    assert "<script" not in html(app) + app.get("plotly_chart")[0].proto.spec
    assert "Its embedding decodes to" in html(app)
    folder = app.session_state["corpus"]["held"].path.parent
    assert folder.is_dir()
    app.file_uploader[0].set_value(("a.csv", b"text\n\n", "text/csv")).run()
    assert "a\\.csv" in app.error[0].value


def test_directions_need_the_teacher_and_are_of_some_texts(sources, monkeypatch):
    import numpy as np

    from workbench.atlas import directions

    class Teacher:
        id, dimension = "stand-in", 24

        def fingerprint(self):
            return ""

        def embed(self, texts, batch_size=64):
            return np.stack([np.full(24, -1.0 if text in TEXTS else 1.0, np.float32) for text in texts])

    monkeypatch.setattr(directions, "teacher_of", lambda embedder: Teacher())
    found = sources.shipped()
    many = found.directions()
    assert len(many.sample) == len(TEXTS)
    upwards = found.points.embeddings.sum(axis=1) > 0  # questions lie opposite to all that is answered
    assert 0 < many.found.nearer_response == pytest.approx(upwards.mean())
    one = found.direction(found.read(2))
    np.testing.assert_allclose(one.to_text, many.found.to_text[2:3], atol=1e-5)
