"""Two spaces of the same texts: neighbours that stay, by hand and by a slow reference; maps laid onto each other."""

import numpy as np
import pytest
from scipy.stats import ortho_group

from workbench.atlas.comparison import approach, compare, maps, overlap
from workbench.atlas.neighbours import preserved
from workbench.errors import WorkbenchError


def cloud(n=40, d=6, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def at(*degrees):
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_neighbours_by_hand():
    # left: 0 and 1 are each other's nearest, and 2 and 3. Right: 0 went over to 3.
    found = overlap(at(0, 10, 100, 115), at(118, 10, 95, 115), k=1)
    assert found.left.tolist() == [[1], [0], [3], [2]]
    assert found.right.tolist() == [[3], [2], [3], [0]]
    assert found.per_text.tolist() == [0, 0, 1, 0]
    assert found.mean == 0.25
    assert found.chance == pytest.approx(1 / 3)
    assert found.least(2).tolist() == [0, 1]
    assert found.least(9).tolist() == [0, 1, 3, 2]


def test_neighbours_by_a_slow_reference():
    left, right = cloud(), cloud(d=9, seed=4)
    found = overlap(left, right, k=5)
    for row in range(len(left)):
        near = []
        for vectors in (left, right):
            cosines = vectors @ vectors[row] / np.linalg.norm(vectors, axis=1)
            cosines[row] = -np.inf
            near.append(set(np.argsort(-cosines)[:5].tolist()))
        assert set(found.left[row].tolist()) == near[0]
        assert set(found.right[row].tolist()) == near[1]
        assert found.per_text[row] == pytest.approx(len(near[0] & near[1]) / 5)


def test_a_turned_copy_is_the_same_and_a_shuffled_one_is_as_chance_has_it():
    vectors = cloud(200, 12)
    turned = 3 * vectors @ ortho_group.rvs(12, random_state=0).astype(np.float32)
    same = compare(vectors, turned)
    assert same.overlap.per_text.tolist() == [1.0] * 200
    assert same.cka.value == pytest.approx(1)
    assert same.residual.value == pytest.approx(0, abs=1e-5)
    assert same.cka.shuffled < 0.2
    assert same.residual.shuffled > 0.8
    other = compare(vectors, vectors[np.random.default_rng(9).permutation(200)])
    assert other.overlap.chance == pytest.approx(10 / 199)
    assert other.overlap.mean == pytest.approx(other.overlap.chance, abs=0.02)
    assert other.cka.value == pytest.approx(other.cka.shuffled, abs=0.05)
    assert other.residual.value == pytest.approx(other.residual.shuffled, abs=0.05)


def test_lengths_do_not_count_and_few_texts_have_few_neighbours():
    vectors = cloud(5, 4)
    found = compare(vectors, vectors * np.arange(1, 6, dtype=np.float32)[:, None])
    assert found.cka.value == pytest.approx(1)
    assert found.overlap.k == 3
    assert found.overlap.mean == 1


def test_a_run_approaches_its_last_step():
    start, end = cloud(), cloud(seed=5)
    found = approach([start, 0.5 * start + 0.5 * end, 3 * end], end)
    assert found[0].overlap == overlap(start, end).mean
    assert found[0].residual == pytest.approx(compare(start, end).residual, abs=0.1)
    assert found[0].residual.value == pytest.approx(compare(start, end).residual.value)
    left = [one.residual.value for one in found]
    assert left[0] > left[1] > left[2] == pytest.approx(0, abs=1e-5)
    assert left[2] < found[2].residual.shuffled > 0.5
    assert found[0].overlap < found[1].overlap < found[2].overlap == 1


def test_the_maps_of_turned_copies_are_the_same_map():
    vectors = cloud()
    sets = [vectors, *(vectors @ ortho_group.rvs(6, random_state=seed).astype(np.float32) for seed in (1, 2))]
    first, *others = (laid.coords for laid in maps(sets))
    for coords in others:
        np.testing.assert_allclose(coords, first, atol=1e-4)


def test_a_map_is_turned_as_a_whole():
    left, right = cloud(), cloud(d=9, seed=4)
    drawn = maps([right])[0].coords
    laid = maps([left, right])
    assert [one.kept for one in laid] == [preserved(left, laid[0].coords).mean, preserved(right, drawn).mean]
    first, moved = (one.coords for one in laid)
    np.testing.assert_array_equal(first, maps([left])[0].coords)
    assert preserved(right, moved).per_point.tolist() == preserved(right, drawn).per_point.tolist()
    spreads = [np.linalg.norm(coords - coords.mean(0)) for coords in (first, moved)]
    assert spreads[0] == pytest.approx(spreads[1], rel=1e-5)
    far = np.square(first - moved).sum()
    mirrored = (drawn - drawn.mean(0)) / np.linalg.norm(drawn - drawn.mean(0)) * spreads[0] + first.mean(0)
    assert far <= np.square(first - mirrored).sum(), "laid on, not only moved"


def test_umap_is_drawn_where_it_is_asked_for(monkeypatch):
    from workbench.atlas import comparison

    asked = []
    monkeypatch.setattr(comparison, "umap", lambda vectors, seed: asked.append(seed) or vectors[:, :2].copy())
    maps([cloud(), cloud(seed=1)], "UMAP", seed=7)
    assert asked == [7, 7]


@pytest.mark.parametrize("lengths", [(2, 2), (9, 8)])
def test_too_few_texts_or_others_are_said(lengths):
    with pytest.raises(WorkbenchError, match="at least three texts in both spaces"):
        overlap(cloud(lengths[0]), cloud(lengths[1]))
