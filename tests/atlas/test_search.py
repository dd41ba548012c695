"""Search finds what comparing every row by hand finds: exact, filtered, behind a writer, and through the index."""

import numpy as np
import pytest
from stores import SIZE, built, contents, failing_after, make, numbers, write_rows

from workbench.atlas import build as building
from workbench.atlas.search import FILTERS, Search, build_index, partitions_of, probes_of
from workbench.atlas.store import Made, open_store
from workbench.errors import UsageError


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(building, "CHUNK", 64)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("search")
    built(folder / "s", write_rows(folder / "a.jsonl", 200))
    return open_store(str(folder / "s"))


def by_hand(query, texts, k):
    """The k most similar of the texts, one cosine after the other."""
    found = []
    for text in texts:
        vector = numbers(text, SIZE).astype(np.float64)
        found.append((-(vector @ query) / np.sqrt((vector @ vector) * (query @ query)), int(text.split()[1])))
    return sorted(found)[:k]


def same(hits, wanted):
    assert [hit.position for hit in hits] == [position for _, position in wanted]
    np.testing.assert_allclose([hit.similarity for hit in hits], [-cosine for cosine, _ in wanted], atol=1e-6)


def test_the_nearest_rows_are_those_found_by_hand_with_all_they_hold(store):
    search, texts = Search(store), [f"text {n}" for n in range(200)]
    for seed in range(5):
        query = np.random.default_rng(seed).standard_normal(SIZE).astype(np.float32)
        same(search.nearest(query, 7), by_hand(query, texts, 7))
    [hit] = search.nearest(3 * numbers("text 42", SIZE), 1)
    assert (hit.text, hit.metadata, hit.position) == ("text 42", {"year": 1942, "topic": "a"}, 42)
    assert hit.id == contents(store.uri)[42]["id"]
    assert hit.similarity == pytest.approx(1)
    assert len(search.nearest(query, 500)) == 200


def test_a_filter_is_applied_before_the_nearest_are_taken(store):
    query, search = numbers("anything", SIZE), Search(store)
    for where, kept in (
        ("year > 1990", [n for n in range(200) if n % 100 > 90]),
        ("topic = 'b' AND year < 1904", [1, 3, 101, 103]),
        ("text = 'text 7'", [7]),
        ("year > 3000", []),
    ):
        same(search.nearest(query, 5, where=where), by_hand(query, [f"text {n}" for n in kept], 5))


def test_remembered_filters_are_those_of_the_version_and_few(store):
    query, search = numbers("anything", SIZE), Search(store)
    first = search.nearest(query, 5, where="year > 1990")
    assert search.nearest(query, 5, where="year > 1990") == first
    for year in range(1950, 1950 + 2 * FILTERS):
        kept = [f"text {n}" for n in range(200) if 1900 + n % 100 == year]
        same(search.nearest(query, 5, where=f"year = {year}"), by_hand(query, kept, 5))
    assert len(search._filters) == FILTERS


def test_a_row_finds_its_neighbours_and_not_itself(store):
    row = contents(store.uri)[5]
    hits = Search(store).like(row["id"], 4)
    same(hits, by_hand(numbers("text 5", SIZE), [f"text {n}" for n in range(200) if n != 5], 4))
    assert len(Search(store).like(row["id"], 4, where="topic = 'a'")) == 4
    with pytest.raises(UsageError, match="has no row 'nobody'"):
        Search(store).like("nobody")


def test_equally_similar_rows_come_in_the_order_of_the_input(tmp_path):
    def alike(texts):
        made = make(texts)
        return Made(
            np.tile(made.embedding[:1] * 0 + np.arange(SIZE, dtype=np.float32), (len(texts), 1)), made[1]
        )

    built(tmp_path / "s", write_rows(tmp_path / "a.jsonl", 100), make=alike)
    hits = Search(open_store(str(tmp_path / "s"))).nearest(np.ones(SIZE, np.float32), 6)
    assert [hit.position for hit in hits] == [0, 1, 2, 3, 4, 5]


def test_an_open_search_finds_what_others_write_and_move(tmp_path):
    path = write_rows(tmp_path / "a.jsonl", 200)
    with pytest.raises(KeyboardInterrupt):
        built(tmp_path / "s", path, make=failing_after(2))
    search, query = Search(open_store(str(tmp_path / "s"))), numbers("text 150", SIZE)
    same(search.nearest(query, 3), by_hand(query, [f"text {n}" for n in range(128)], 3))
    built(tmp_path / "s", path)  # writes the rest, and compacts: every row has moved
    same(search.nearest(query, 3), by_hand(query, [f"text {n}" for n in range(200)], 3))
    other = open_store(str(tmp_path / "s"))
    other.table.delete("position IN (3, 150)")
    same(search.nearest(query, 3), by_hand(query, [f"text {n}" for n in range(200) if n not in (3, 150)], 3))
    assert len(search.nearest(query, 9, where="position < 5")) == 4  # remembered for this version
    other.table.delete("position = 4")
    assert len(search.nearest(query, 9, where="position < 5")) == 3


def test_above_the_limit_an_index_is_made_and_its_hits_are_refined(tmp_path):
    path = write_rows(tmp_path / "a.jsonl", 700)
    built(tmp_path / "s", path, exact_rows=500)
    store = open_store(str(tmp_path / "s"))
    [index] = store.table.list_indices()
    assert (index.index_type, index.num_indexed_rows) == ("IvfPq", 700)
    assert not build_index(store, exact_rows=500)
    indexed, exact, found = Search(store, exact_rows=500), Search(store), 0
    for seed in range(20):
        query = np.random.default_rng(seed).standard_normal(SIZE).astype(np.float32)
        wanted, hits = exact.nearest(query, 10), indexed.nearest(query, 10)
        found += len({hit.id for hit in wanted} & {hit.id for hit in hits})
        similarities = {hit.id: hit.similarity for hit in wanted}
        assert all(
            hit.similarity == pytest.approx(similarities.get(hit.id, hit.similarity), abs=1e-5)
            for hit in hits
        )
        assert hits == sorted(hits, key=lambda hit: -hit.similarity)
    assert found >= 198
    assert all(hit.metadata["topic"] == "b" for hit in indexed.nearest(query, 10, where="topic = 'b'"))
    new = Made(-numbers("anything", SIZE)[None], make(["text 0"]).soft_prompts)
    store.write([{"id": "new", "position": 700, "text": "text 700", "year": 1, "topic": "c"}], new)
    assert indexed.nearest(-numbers("anything", SIZE), 1)[0].id == "new"


def test_a_store_at_the_limit_has_no_index(tmp_path):
    built(tmp_path / "s", write_rows(tmp_path / "a.jsonl", 300), exact_rows=300)
    assert open_store(str(tmp_path / "s")).table.list_indices() == []
    assert (partitions_of(1_000_000), probes_of(1_000_000), probes_of(150)) == (1000, 100, 12)


@pytest.mark.parametrize(
    ("query", "options", "message"),
    [
        (np.ones(SIZE + 1), {}, r"a query of shape \[17\], but the store's vectors are \[16\]"),
        (np.full(SIZE, np.nan), {}, "finite and not zero"),
        (np.zeros(SIZE), {}, "finite and not zero"),
        (np.ones(SIZE), {"k": 0}, "at least one hit"),
        (np.ones(SIZE), {"where": "colour = 'red'"}, "No field named colour"),
        (np.ones(SIZE), {"where": "year >"}, "the filter 'year >'"),
    ],
)
@pytest.mark.parametrize("exact_rows", [1, 1000])
def test_what_cannot_be_searched_for_is_one_clear_line(store, query, options, message, exact_rows):
    with pytest.raises(UsageError, match=message) as raised:
        Search(store, exact_rows=exact_rows).nearest(query.astype(np.float32), **options)
    assert "\n" not in str(raised.value)
