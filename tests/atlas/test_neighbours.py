"""Neighbours against a plain loop, and the kept share against a case counted by hand."""

import numpy as np
import pytest

from workbench.atlas.neighbours import nearest, preserved, unit
from workbench.errors import WorkbenchError


def slow_cosine(a, b):
    return (
        sum(x * y for x, y in zip(a, b, strict=True)) / (sum(x * x for x in a) * sum(y * y for y in b)) ** 0.5
    )


def test_nearest_is_the_slow_cosine_search(rng):
    vectors = rng.normal(size=(40, 7)).astype(np.float32)
    query = rng.normal(size=7).astype(np.float32)
    slow = [slow_cosine(row.tolist(), query.tolist()) for row in vectors]
    found = nearest(vectors, query, 5)
    assert found.indices.tolist() == sorted(range(40), key=lambda row: -slow[row])[:5]
    np.testing.assert_allclose(found.similarities, sorted(slow, reverse=True)[:5], atol=1e-6)


def test_a_vector_is_its_own_nearest_whatever_its_length(rng):
    vectors = rng.normal(size=(10, 4)).astype(np.float32)
    found = nearest(vectors, vectors[3] * 50, 3)
    assert found.indices[0] == 3
    assert found.similarities[0] == pytest.approx(1.0, abs=1e-6)


def test_ties_go_to_the_lower_row_and_k_is_bounded():
    vectors = np.array([[0, 1], [1, 0], [2, 0], [3, 0]], dtype=np.float32)
    assert nearest(vectors, vectors[1], 99).indices.tolist() == [1, 2, 3, 0]


def test_a_zero_vector_is_similar_to_nothing():
    vectors = np.array([[0, 0], [1, 0]], dtype=np.float32)
    assert nearest(vectors, vectors[1], 2).similarities.tolist() == [1.0, 0.0]
    assert unit(vectors)[0].tolist() == [0.0, 0.0]


def test_what_cannot_be_searched_is_refused():
    with pytest.raises(WorkbenchError, match="not finite"):
        nearest(np.array([[1.0, np.nan]], dtype=np.float32), np.ones(2, dtype=np.float32))
    with pytest.raises((WorkbenchError, TypeError)):  # as a type where shapes are checked
        nearest(np.ones((2, 3), dtype=np.float32), np.ones(4, dtype=np.float32))


def test_kept_share_by_hand():
    # Angles 0, 10, 90 and 100 degrees: the nearest neighbour is the partner at 10 degrees.
    angles = np.deg2rad([0, 10, 90, 100])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    # On the map 0-1 are partners again (kept), but 2 and 3 are each nearest to 1 and to 2 (kept only for 3).
    coords = np.array([[0, 0], [1, 0], [2.5, 0], [4.5, 0]], dtype=np.float32)
    kept = preserved(vectors, coords, k=1)
    assert kept.per_point.tolist() == [1, 1, 0, 1]
    assert kept.mean == 0.75
    assert kept.chance == pytest.approx(1 / 3)


def test_a_faithful_map_keeps_everything_and_a_random_one_the_chance(rng):
    angles = np.sort(rng.uniform(0, np.pi / 3, 300))
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    flat = np.stack([angles, np.zeros(300)], axis=1).astype(np.float32)
    assert preserved(vectors, flat).mean > 0.99
    random = preserved(vectors, rng.normal(size=(300, 2)).astype(np.float32))
    assert random.mean == pytest.approx(random.chance, abs=0.02)


def test_too_few_points_have_no_neighbourhoods():
    with pytest.raises(WorkbenchError, match="at least three"):
        preserved(np.ones((2, 2), dtype=np.float32), np.ones((2, 2), dtype=np.float32))


@pytest.fixture
def rng():
    return np.random.default_rng(0)
