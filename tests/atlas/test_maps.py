"""Maps of a store: samples counted by hand, neighbours kept, computed once, and again where they must be."""

import numpy as np
import pytest
from stores import SHAPE, SIZE, built, failing_after, numbers, write_rows

from workbench.atlas import build as building
from workbench.atlas import maps, neighbours, projection
from workbench.atlas.maps import map_of, place_all
from workbench.atlas.neighbours import highest, preserved, unit
from workbench.atlas.plans import ClusterPlan, MapPlan
from workbench.atlas.sample import Sample, columns, groups, stratified
from workbench.atlas.store import Made, open_store
from workbench.errors import UsageError, WorkbenchError

BLOBS = 4


def blobs(texts):
    """Text n is in blob n % 4: on one of four axes, with a little of its own."""
    own = np.stack([numbers(text, SIZE) for text in texts])
    which = [int(text.split()[1]) % BLOBS for text in texts]
    soft_prompts = np.zeros((len(texts), *SHAPE), np.float32)
    return Made((np.eye(SIZE)[which] * 5 + 0.3 * own).astype(np.float32), soft_prompts)


@pytest.fixture
def store(tmp_path):
    built(tmp_path / "s", write_rows(tmp_path / "a.jsonl", 60), make=blobs)
    return open_store(str(tmp_path / "s"))


@pytest.fixture
def fits(monkeypatch):
    """UMAP's stand-in (PCA): a list of how many vectors each fit was given."""
    seen = []

    def fit(vectors, seed=0):
        seen.append((len(vectors), seed))
        return projection.pca(vectors)

    monkeypatch.setattr(projection, "umap", fit)
    return seen


def test_shares_of_a_sample_by_hand():
    # Of 10 rows each label gets 1; the 6 others go to the lowest (t + 0.5) / count for the t-th row of a label:
    # a 1.5/60 .025, 2.5/60 .042, 3.5/60 .058, 4.5/60 .075, 5.5/60 .092; b 1.5/30 .05, 2.5/30 .083; c 1.5/9 .167.
    labels = list("a" * 60 + "b" * 30 + "c" * 9 + "d")
    np.random.default_rng(1).shuffle(labels)
    sample = stratified(labels, 10, seed=3)
    drawn = [labels[row] for row in sample.rows]
    assert {name: drawn.count(name) for name in "abcd"} == {"a": 5, "b": 3, "c": 1, "d": 1}
    assert sample.rows.tolist() == sorted(set(sample.rows.tolist()))
    assert str(sample) == "showing 10 of 100"


@pytest.mark.parametrize("n", [7, 40, 333, 999])
def test_every_label_is_within_one_row_of_its_share_and_never_without_one(n):
    labels = ["a"] * 700 + ["b"] * 250 + ["c"] * 48 + ["d", "e"]
    drawn = [labels[row] for row in stratified(labels, n).rows]
    assert len(drawn) == n
    for name in "abcde":
        share = n * labels.count(name) / 1000
        assert drawn.count(name) >= 1
        assert drawn.count(name) <= max(1, share + 1)
        assert drawn.count(name) >= share - 2, (
            "those that get their one row beyond their share take it from others"
        )


def test_a_sample_is_random_within_a_label_and_the_seed_decides_it():
    labels = [""] * 1000
    one, same, other = (stratified(labels, 100, seed).rows for seed in (0, 0, 1))
    assert one.tolist() == same.tolist() != other.tolist()
    assert abs(one.mean() - 500) < 100, "not the first rows"
    assert stratified(labels[:5], 9).rows.tolist() == [0, 1, 2, 3, 4]
    assert str(stratified([""] * 25_000, 20_000)) == "showing 20,000 of 25,000"


def test_more_labels_than_rows_are_refused():
    with pytest.raises(UsageError, match="3 rows cannot hold one of each of 4 groups"):
        stratified(list("abcda"), 3)
    with pytest.raises(ValueError, match="not among 3"):
        Sample(np.array([1, 3]), 3)


def test_the_highest_of_each_row_with_ties_to_the_lower_column(monkeypatch):
    scores = np.random.default_rng(0).integers(0, 4, (50, 9)).astype(np.float32)
    for k in (1, 4, 9):
        assert highest(scores, k).tolist() == np.argsort(-scores, axis=1, kind="stable")[:, :k].tolist()


def test_neighbours_are_the_same_block_by_block_and_asked_of_some_points_only(monkeypatch):
    draw = np.random.default_rng(0)
    vectors, coords = (
        draw.normal(size=(60, 5)).astype(np.float32),
        draw.normal(size=(60, 2)).astype(np.float32),
    )
    whole, placed = preserved(vectors, coords), projection.place(vectors[:9] + 1, vectors, coords)
    asked = np.array([3, 17, 44])
    some = preserved(vectors, coords, rows=asked)
    assert some.per_point.tolist() == whole.per_point[asked].tolist()
    assert some.chance == whole.chance == pytest.approx(10 / 59)
    monkeypatch.setattr(neighbours, "CELLS", 60 * 7)
    assert preserved(vectors, coords).per_point.tolist() == whole.per_point.tolist()
    np.testing.assert_allclose(projection.place(vectors[:9] + 1, vectors, coords), placed, atol=1e-6)
    # Slowly, from the definition.
    similar = unit(vectors) @ unit(vectors).T - 9 * np.eye(60)
    far = ((coords[:, None].astype(float) - coords) ** 2).sum(-1) + 99 * np.eye(60)
    kept = [len(set(np.argsort(-similar[n])[:10]) & set(np.argsort(far[n])[:10])) / 10 for n in range(60)]
    np.testing.assert_allclose(whole.per_point, kept, atol=1e-6)


def test_a_map_of_blobs_keeps_their_neighbours_and_the_store_keeps_the_map(store):
    said = []
    made = map_of(store, MapPlan(method="pca"), report=said.append)
    assert said == ["the store has no map yet: making one"]
    facts = made.facts
    assert (facts.total, facts.fitted, facts.measured, facts.projection) == (60, 60, 60, "PCA")
    assert facts.chance == pytest.approx(10 / 59)
    assert facts.preserved == pytest.approx(preserved(store.vectors().embeddings, made.points).mean)
    assert facts.preserved > 0.5 > 2.5 * facts.chance
    kept = open_store(store.uri).coordinates()
    assert kept.ids == made.ids == columns(store, ["id"])["id"]
    np.testing.assert_array_equal(kept.points, made.points)
    assert kept.facts == facts.to_dict()


def test_umap_is_fitted_on_the_sample_and_the_others_are_placed_by_it(store, fits):
    made = map_of(store, MapPlan(rows=24, by="topic", seed=5))
    assert fits == [(24, 5)]
    assert (made.facts.fitted, made.facts.total, made.facts.projection) == (24, 60, "UMAP")
    topics = groups(store, "topic")
    assert sorted(topics[row] for row in made.shown.rows) == ["a"] * 12 + ["b"] * 12
    vectors = store.vectors().embeddings
    fitted = made.shown.rows
    np.testing.assert_array_equal(made.points[fitted], projection.pca(vectors[fitted]))
    other = next(row for row in range(60) if row not in fitted)
    spot = projection.place(vectors[[other]], vectors[fitted], made.points[fitted])[0]
    np.testing.assert_allclose(made.points[other], spot, atol=1e-6)
    assert made.facts.lines()[0] == (
        "UMAP of 60 rows, seed 5: fitted on 24, in proportion by topic, the others placed by their neighbours"
    )
    assert str(made.shown) == "showing 24 of 60"


def test_a_map_is_computed_once_and_again_only_where_it_must_be(store, fits):
    plan = MapPlan(rows=24, by="topic")
    first, said = map_of(store, plan), []
    again = map_of(open_store(store.uri), plan, report=said.append)
    assert (len(fits), said) == (1, [])
    np.testing.assert_array_equal(again.points, first.points)
    assert (again.facts, again.ids) == (first.facts, first.ids)
    for other, why in (
        (MapPlan(rows=24, by="topic", seed=1), "made with seed 0, not seed 1"),
        (MapPlan(rows=30, by="topic", seed=1), "made with fitted 24, not fitted 30"),
        (MapPlan(rows=30, seed=1), "made with by topic, not by None"),
        (MapPlan(rows=99, by="topic", seed=1), "made with fitted 30, not fitted 60"),
    ):
        map_of(store, other, report=said.append)
        assert why in said[-1]
    assert (len(fits), len(said)) == (5, 4)
    map_of(store, MapPlan(rows=500, by="year", seed=1), report=said.append)
    assert len(said) == 4, "a column decides nothing where every row is fitted"


def test_a_store_that_has_grown_is_mapped_again(tmp_path, fits, monkeypatch):
    monkeypatch.setattr(building, "CHUNK", 16)
    path = write_rows(tmp_path / "a.jsonl", 40)
    with pytest.raises(KeyboardInterrupt):
        built(tmp_path / "s", path, make=failing_after(2))
    store, said = open_store(str(tmp_path / "s")), []
    assert len(map_of(store, MapPlan()).ids) == 32
    built(tmp_path / "s", path)
    made = map_of(store, MapPlan(), report=said.append)
    assert said == ["the store has 40 rows and its map 32: making it again"]
    assert (len(made.ids), made.facts.total, len(fits)) == (40, 40, 2)
    store.write_coordinates(["x", *made.ids[1:]], made.points, made.facts.to_dict())
    map_of(store, MapPlan(), report=said.append)
    assert said[1:] == ["the store's map is of other rows: making it again"]


def test_a_large_map_is_measured_on_some_rows_and_says_so(store, monkeypatch):
    monkeypatch.setattr(maps, "MEASURED", 20)
    facts = map_of(store, MapPlan(method="pca", seed=2)).facts
    assert facts.measured == 20
    assert facts.lines()[1].endswith("nearest neighbours (chance 0.169), measured on 20 rows")
    asked = stratified([""] * 60, 20, 2).rows
    points = store.coordinates().points
    assert facts.preserved == pytest.approx(preserved(store.vectors().embeddings, points, rows=asked).mean)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (
            lambda store: map_of(store, MapPlan(by="colour")),
            UsageError,
            "no metadata column 'colour'; it has year",
        ),
        (
            lambda store: map_of(store, MapPlan(rows=9, by="year")),
            UsageError,
            "9 rows cannot hold one of each of 60",
        ),
        (lambda store: MapPlan(rows=2), UsageError, "at least 3, not 2"),
        (lambda store: MapPlan(seed=-1), UsageError, "a seed must be from 0"),
        (lambda store: ClusterPlan(rows=1), UsageError, "at least 2, not 1"),
    ],
)
def test_what_cannot_be_mapped_is_refused(store, call, error, words):
    with pytest.raises(error, match=words):
        call(store)
    assert store.coordinates() is None


def test_two_rows_have_no_map(tmp_path):
    built(tmp_path / "s", write_rows(tmp_path / "a.jsonl", 2))
    with pytest.raises(WorkbenchError, match="has 2 rows; a map needs at least three"):
        map_of(open_store(str(tmp_path / "s")), MapPlan())


@pytest.mark.slow
def test_umap_of_blobs_keeps_their_neighbours_also_of_those_that_it_was_not_fitted_on():
    texts = [f"text {n}" for n in range(200)]
    vectors = blobs(texts).embedding
    fitted = stratified([text.split()[1][-1] for text in texts], 120)
    points = place_all(vectors, MapPlan(), fitted)
    others = np.setdiff1d(np.arange(200), fitted.rows)
    for rows in (fitted.rows, others):
        kept = preserved(vectors, points, k=20, rows=rows)
        assert kept.mean > 0.45 > 4 * kept.chance
    # The nearest row on the map is of the same blob.
    far = ((points[:, None] - points) ** 2).sum(-1) + 99 * np.eye(200)
    assert (np.argmin(far, axis=1) % BLOBS == np.arange(200) % BLOBS).mean() > 0.98
