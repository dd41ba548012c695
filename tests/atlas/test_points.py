"""Points: an atlas and a store as the map shows them; neighbours and clusters found by hand; brought files bounded."""

import numpy as np
import pytest
from stores import built, numbers, write_rows

from workbench.atlas import points, prebuilt
from workbench.atlas.corpus import embedded, hold
from workbench.atlas.maps import map_of, seen
from workbench.atlas.named import in_memory, named
from workbench.atlas.plans import MapPlan
from workbench.atlas.projection import pca
from workbench.atlas.store import open_store
from workbench.decoding.decode import decode
from workbench.decoding.trust import read
from workbench.embedders.config import LLM2VecGenConfig
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.errors import UsageError, WorkbenchError


@pytest.fixture(scope="module")
def embedder(tiny_backbone):
    return LLM2VecGen.untrained(tiny_backbone, LLM2VecGenConfig(n_compression=3, dimension=16))


def some_points(texts, vectors, metadata=None):
    rows, places = [str(row) for row in range(len(texts))], np.zeros((len(texts), 2), np.float32)
    return points.Points(rows, texts, metadata or {}, vectors.astype(np.float32), places, "", len(texts))


@pytest.fixture(scope="module")
def tiny_atlas(embedder, tmp_path_factory):
    path = tmp_path_factory.mktemp("atlas") / "a.parquet"
    texts = [f"Tell me about number {n}." for n in range(7)]
    return prebuilt.build(embedder, texts, [{"topic": "a", "kind": "b"}] * 7, output=path)


@pytest.fixture
def store(tmp_path):
    built(tmp_path / "s", write_rows(tmp_path / "a.jsonl", 60))
    return open_store(str(tmp_path / "s"))


def test_a_store_without_a_map_is_drawn_by_pca_and_stays_as_it_is(store):
    found = points.of_store(store)
    vectors = np.stack([numbers(f"text {n}", 16) for n in range(60)])
    np.testing.assert_allclose(found.coords, pca(vectors), atol=1e-6)
    np.testing.assert_array_equal(found.embeddings, vectors)
    assert found.metadata == {"year": [1900 + n for n in range(60)], "topic": ["a", "b"] * 30}
    assert "PCA map of 60 texts" in found.says
    assert store.coordinates() is None, "nothing is written"


def test_the_map_that_a_store_keeps_is_shown_and_of_a_large_one_a_sample(store):
    kept = map_of(store, MapPlan(method="pca", by="topic"))
    assert seen(store, 60).points.tobytes() == kept.points.tobytes()
    some = points.of_store(store, most=10)
    assert (len(some), some.total) == (10, 60)
    for row, text in enumerate(some.texts):
        n = int(text.split()[1])
        np.testing.assert_array_equal(some.coords[row], kept.points[n])
        np.testing.assert_array_equal(some.embeddings[row], numbers(text, 16))
        assert some.of(row) == {"year": 1900 + n, "topic": "ab"[n % 2]}


def test_neighbours_rows_and_tables(store):
    found = points.of_store(store)
    hits = found.near(numbers("text 7", 16), 2)
    assert (hits[0].text, hits[0].metadata["year"]) == ("text 7", 1907)
    assert hits[0].similarity == pytest.approx(1)
    assert found.rows[hits[1].id] == hits[1].position
    table = found.table([7, 2])
    assert table["text"] == ["text 7", "text 2"]
    assert list(table) == ["id", "text", "year", "topic", "x", "y"]
    assert table["x"] == pytest.approx(found.coords[[7, 2], 0].tolist(), abs=1e-6)
    assert found.table([])["x"] == []


def test_points_in_memory_are_filtered_as_a_store_is():
    memory = in_memory(some_points(["it's gold", "iron"], np.eye(2), {"kind": ["a", "b"]}))
    where = "kind = 'a' AND text LIKE '%gold'"
    assert [name for batch in memory.scan(["id"], where) for name in batch["id"].to_pylist()] == ["0"]
    with pytest.raises(UsageError, match="colour"):
        list(memory.scan(["id"], "colour = 'red'"))


def test_clusters_have_the_numbers_of_the_points_and_are_read_at_their_mean(embedder, tiny_atlas):
    rng = np.random.default_rng(0)
    vectors = np.concatenate([rng.normal(0, 0.01, (4, 16)) + 1, rng.normal(0, 0.01, (3, 16)) - np.arange(16)])
    texts = [f"gold {n}" for n in range(4)] + [f"iron {n}" for n in range(3)]
    found = named(embedder, some_points(texts, vectors), "kmeans", 2, tiny_atlas)
    assert [sorted(one.rows.tolist()) for one in found.clusters] == [[0, 1, 2, 3], [4, 5, 6]]
    assert [one.terms[0] for one in found.clusters] == ["gold", "iron"]
    means = np.stack([tiny_atlas.soft_prompts[:4].mean(0), tiny_atlas.soft_prompts[4:].mean(0)])
    assert found.centres is not None
    assert found.centres.decoded == decode(embedder.backbone, means)


def test_a_brought_file_becomes_a_store_and_goes_with_its_holder(embedder):
    text = (
        b"text,place,position\nWhat is gold?,a,1\n,b,2\n<script>x</script>,c,3\nWho are you?,d,4\nAgain,e,5\n"
    )
    held, steps = hold("mine.csv", text), []
    assert (held.column, held.rows) == ("text", 5)
    corpus = embedded(
        held, embedder, "text", progress=lambda done, total: steps.append((done, total)), limit=3
    )
    assert steps[-1] == (4, 5)
    found = points.of_store(corpus.store)
    assert found.texts == ["What is gold?", "<script>x</script>", "Who are you?"]
    assert found.metadata == {"place": ["a", "c", "d"]}
    np.testing.assert_allclose(found.embeddings, embedder.encode(found.texts), atol=1e-5)
    said = corpus.says()
    assert "3 of 5 rows of mine.csv" in said
    assert "1 left out: empty" in said
    assert "1 left out: only the first 3 good rows" in said
    assert "without the column 'position'" in said
    folder = held.path.parent
    held.folder.cleanup()
    assert not folder.exists()


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.pdf", b"x", "cannot read a.pdf: a corpus is one of .csv"),
        ("a.csv", b"", "a.csv is empty"),
        ("a.txt", b"\n\n", "a.txt is empty"),
        ("a.parquet", b"PAR1 nothing", "a.parquet: not a parquet file"),
        ("a.csv", b"text,text\n1,2\n", "a.csv: a column name stands twice"),
        ("../../a.jsonl", b"nothing\n", "a.jsonl holds no row that can be read"),
    ],
)
def test_a_wrong_file_is_one_line_that_names_it(name, data, message):
    with pytest.raises(WorkbenchError) as raised:
        hold(name, data)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
    assert "/tmp" not in str(raised.value)


def test_the_texts_column_is_known_by_its_name_or_because_it_is_alone(embedder):
    assert hold("a.csv", b"question,b\nx,y\n").column == "question"
    assert hold("a.jsonl", b'{"only": "x"}\n').column == "only"
    held = hold("a.csv", b"a,b\nx,y\n")
    assert held.column is None
    with pytest.raises(UsageError, match=r"a.csv has no column 'c'; it has a, b"):
        embedded(held, embedder, "c")


def test_rows_are_read_by_their_own_soft_prompts(embedder):
    corpus = embedded(hold("a.txt", b"What is gold?\nWho are you?\nTell me about lions.\n"), embedder, "text")
    found = points.of_store(corpus.store)
    ours = points.store_readings(embedder, corpus.store, [found.ids[2], found.ids[0]])
    theirs = read(embedder, ["Tell me about lions.", "What is gold?"])
    assert ours.texts == theirs.texts
    assert ours.responses == theirs.responses
    np.testing.assert_allclose(ours.soft_prompts, theirs.soft_prompts, atol=2e-2)
    np.testing.assert_allclose(ours.embeddings, theirs.embeddings, atol=1e-5)
    with pytest.raises(WorkbenchError, match="no rows"):
        points.store_readings(embedder, corpus.store, [])


def test_an_own_text_is_read_behind_the_store_s_instruction(embedder):
    bare, behind = (points.own_reading(embedder, "gold", what) for what in (None, "Answer this:"))
    np.testing.assert_allclose(bare.embeddings, embedder.encode(["gold"]), atol=1e-5)
    wanted = embedder.represent(["gold"], instruction="Answer this:").embedding.numpy()
    np.testing.assert_allclose(behind.embeddings, wanted, atol=1e-5)
    assert np.abs(bare.embeddings - behind.embeddings).max() > 1e-3
