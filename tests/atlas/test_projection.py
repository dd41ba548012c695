"""Maps: known shapes come out as known, and new points land among their neighbours."""

import numpy as np
import pytest

from workbench.atlas.projection import framed, pca, place, umap
from workbench.errors import WorkbenchError


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_pca_finds_the_plane_of_largest_variance(rng):
    vectors = rng.normal(size=(200, 6)) * [5, 2, 0.1, 0.1, 0.1, 0.1] + [0, 0, 9, 0, 0, 0]
    coords = pca(vectors.astype(np.float32))
    assert abs(np.corrcoef(coords[:, 0], vectors[:, 0])[0, 1]) > 0.95
    assert abs(np.corrcoef(coords[:, 1], vectors[:, 1])[0, 1]) > 0.95


def test_a_map_fits_the_square_and_keeps_its_shape(rng):
    coords = rng.normal(size=(50, 2)).astype(np.float32) * [10, 3] + 100
    new = framed(coords)
    assert new.min() >= -1.000001
    assert np.ptp(new[:, 0]) == pytest.approx(2, abs=1e-5)
    assert np.ptp(new[:, 1]) / np.ptp(new[:, 0]) == pytest.approx(
        np.ptp(coords[:, 1]) / np.ptp(coords[:, 0]), rel=1e-4
    )


def test_equal_vectors_make_one_point_and_no_warning():
    assert pca(np.ones((4, 3), dtype=np.float32)).tolist() == [[0, 0]] * 4


def test_pca_refuses_what_has_no_plane():
    with pytest.raises(WorkbenchError, match="at least two"):
        pca(np.ones((1, 3), dtype=np.float32))


def test_few_vectors_are_mapped_without_umap(rng):
    vectors = rng.normal(size=(7, 5)).astype(np.float32)
    np.testing.assert_array_equal(umap(vectors), pca(vectors))


def test_a_place_by_hand():
    # Cosines of the new vector (1, 0) to the three rows: 1, 0.6, 0; the third sets the floor of k = 2.
    vectors = np.array([[1, 0], [0.6, 0.8], [0, 1]], dtype=np.float32)
    coords = np.array([[0, 0], [1, 0], [0, 9]], dtype=np.float32)
    # Weights 1 and 0.6, so x = 0.6 / 1.6 and y = 0.
    np.testing.assert_allclose(
        place(np.array([[1, 0]], dtype=np.float32), vectors, coords, k=2), [[0.375, 0]], atol=1e-6
    )


def test_a_new_point_lies_among_its_neighbours(rng):
    vectors = np.concatenate([rng.normal(size=(20, 8)) + 6 * side for side in (np.eye(8)[0], np.eye(8)[1])])
    coords = np.concatenate([rng.normal(size=(20, 2)) * 0.1 + side for side in ([-1, 0], [1, 0])]).astype(
        np.float32
    )
    new = place((6 * np.eye(8)[:2]).astype(np.float32), vectors.astype(np.float32), coords)
    np.testing.assert_allclose(new, [[-1, 0], [1, 0]], atol=0.2)


def test_equally_similar_neighbours_count_equally():
    vectors = np.ones((4, 3), dtype=np.float32)
    coords = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], dtype=np.float32)
    assert place(vectors[:1], vectors, coords, k=2).tolist() == [[0.5, 0.0]]
