"""Procrustes and CKA: values by hand, identities, invariances, and slow references."""

import numpy as np
import pytest
from scipy.spatial import procrustes
from scipy.stats import ortho_group

from workbench.atlas.alignment import align, linear_cka, residual
from workbench.errors import WorkbenchError

CROSS = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]], dtype=np.float32)

STRETCHED = CROSS * np.array([2, 1], dtype=np.float32)


def cloud(n=30, d=6, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def copy(vectors, seed=1):
    """The same vectors, turned or mirrored, moved and scaled as a whole."""
    d = vectors.shape[1]
    turn = ortho_group.rvs(d, random_state=seed)
    return (2.5 * vectors @ turn + np.arange(d)).astype(np.float32)


@pytest.mark.parametrize("shape", [(30, 6), (10, 24)], ids=["more texts", "more dimensions"])
@pytest.mark.parametrize("same_spread", [False, True])
def test_a_turned_copy_is_laid_onto_its_original(shape, same_spread):
    vectors = cloud(*shape)
    found = align(copy(vectors), vectors, same_spread=same_spread)
    np.testing.assert_allclose(found.moved, vectors, atol=1e-4)
    assert found.residual == pytest.approx(0, abs=1e-6)
    assert linear_cka(copy(vectors), vectors) == pytest.approx(1)


def test_a_stretched_cross_by_hand():
    # (±2, 0), (0, ±1) onto (±1, 0), (0, ±1), of norms √10 and 2. The singular values of the cross-covariance are
    # 4 / 2√10 and 2 / 2√10, so the fit is 3/√10 and the residual 1 - 9/10; the best scale is 3/√10 · 2/√10 = 0.6.
    found = align(STRETCHED, CROSS)
    assert found.residual == pytest.approx(0.1, abs=1e-6)
    np.testing.assert_allclose(found.moved, CROSS * [1.2, 0.6], atol=1e-6)
    spread = align(STRETCHED, CROSS, same_spread=True)
    assert np.linalg.norm(spread.moved) == pytest.approx(2)
    # Inner products are ±4 and ±1 in the one set, ±1 in the other, four times each: 4·4 + 4·1 = 20 between them,
    # 4·16 + 4·1 = 68 and 4 + 4 = 8 within.
    assert linear_cka(STRETCHED, CROSS) == pytest.approx(20 / np.sqrt(68 * 8))


def test_points_along_a_line_and_across_it_by_hand():
    # Two pairs that vary in one text each: nothing of the one set's variance is in the other's.
    left = np.array([[1.0], [-1.0], [0.0], [0.0]])
    right = np.array([[0.0], [0.0], [1.0], [-1.0]])
    assert residual(left, right) == pytest.approx(1)
    assert linear_cka(left, right) == pytest.approx(0, abs=1e-12)


def test_it_is_scipy_s_disparity_in_one_space():
    left, right = cloud(), cloud(seed=5)
    _, _, disparity = procrustes(left, right)
    assert align(right, left).residual == pytest.approx(disparity, abs=1e-6)
    assert residual(right, left) == pytest.approx(disparity, abs=1e-6)


def test_the_residual_is_what_is_left_of_the_variance():
    left, right = cloud(), cloud(seed=5)
    centred = left - left.mean(0)
    left_over = np.square(left - align(right, left).moved).sum() / np.square(centred).sum()
    assert align(right, left).residual == pytest.approx(left_over, abs=1e-5)


@pytest.mark.parametrize("n", [40, 7], ids=["more texts", "more dimensions"])
def test_spaces_of_different_dimension_are_padded(n):
    small, large = cloud(n, 4), cloud(n, 9, seed=3)
    padded = np.pad(small, ((0, 0), (0, 5)))
    _, _, disparity = procrustes(padded, large)
    for one, other in ((small, large), (large, small), (padded, large)):
        assert residual(one, other) == pytest.approx(disparity, abs=1e-6)
        assert align(one, other).residual == pytest.approx(disparity, abs=1e-6)
        assert align(one, other).moved.shape == other.shape
    assert align(copy(padded), small).residual == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(align(copy(padded), small).moved, small, atol=1e-4)


def test_no_other_turn_comes_nearer():
    left, right = cloud(12, 3), cloud(12, 3, seed=8)
    best = np.square(left - align(right, left).moved).sum()
    centred = right - right.mean(0)
    for seed in range(50):
        turned = centred @ ortho_group.rvs(3, random_state=seed)
        scale = (turned * (left - left.mean(0))).sum() / np.square(turned).sum()
        assert np.square(left - left.mean(0) - scale * turned).sum() >= best - 1e-4


@pytest.mark.parametrize("measure", [residual, linear_cka])
def test_turning_moving_scaling_and_swapping_change_nothing(measure):
    left, right = cloud(20, 5), cloud(20, 8, seed=2)
    expected = measure(left, right)
    assert 0 < expected < 1
    assert measure(copy(left), right) == pytest.approx(expected, abs=1e-5)
    assert measure(left, copy(right, 4)) == pytest.approx(expected, abs=1e-5)
    assert measure(right, left) == pytest.approx(expected, abs=1e-9)


def test_cka_is_the_formula_over_dimensions():
    left, right = (x - x.mean(0) for x in (cloud(20, 5).astype(float), cloud(20, 8, seed=2).astype(float)))
    norms = [np.linalg.norm(x.T @ y) for x, y in ((left, right), (left, left), (right, right))]
    assert linear_cka(left, right) == pytest.approx(norms[0] ** 2 / (norms[1] * norms[2]))


@pytest.mark.parametrize("measure", [align, residual, linear_cka])
def test_what_cannot_be_compared_is_said(measure):
    vectors = cloud()
    with pytest.raises(WorkbenchError, match="for each of the same texts"):
        measure(vectors, vectors[1:])
    with pytest.raises(WorkbenchError, match="at least two"):
        measure(vectors[:1], vectors[:1])
    with pytest.raises(WorkbenchError, match="not finite"):
        measure(vectors, np.full_like(vectors, np.nan))
    with pytest.raises(WorkbenchError, match="all vectors of a set are the same"):
        measure(vectors, np.ones_like(vectors))
