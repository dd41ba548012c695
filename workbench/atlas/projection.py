"""Maps: many vectors as points in the plane. UMAP is computed once and stored; PCA and `place` are instant."""

import numpy as np
from jaxtyping import Float

from workbench.atlas.neighbours import blocks, highest, unit
from workbench.errors import WorkbenchError

FEWEST = 8
"""Vectors that UMAP's spectral start needs."""


def pca(vectors: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n 2"]:
    """The two directions of largest variance of the unit vectors; every axis points to its heavier tail.

    Raises WorkbenchError for fewer than two vectors or vectors of fewer than two dimensions.
    """
    if vectors.ndim != 2 or min(vectors.shape) < 2:
        raise WorkbenchError(f"a map needs at least two vectors of two dimensions, not {vectors.shape}")
    centred = unit(vectors) - unit(vectors).mean(0)
    _, _, axes = np.linalg.svd(centred.astype(np.float64), full_matrices=False)
    coords = centred @ axes[:2].T
    return framed(coords * np.where((coords**3).sum(0) < 0, -1.0, 1.0))


def umap(vectors: Float[np.ndarray, "n d"], seed: int = 0, neighbours: int = 12) -> Float[np.ndarray, "n 2"]:
    """A UMAP of the vectors by cosine distance; the same for a seed. The first call in a process compiles for 20 s.

    Too few vectors for UMAP's spectral start (fewer than FEWEST) are mapped by `pca`.
    """
    if len(vectors) < FEWEST:
        return pca(vectors)
    from umap import UMAP

    count = min(neighbours, len(vectors) - 1)
    mapper = UMAP(n_neighbors=count, min_dist=0.25, metric="cosine", random_state=seed, n_jobs=1)
    return framed(mapper.fit_transform(unit(vectors)))


def place(
    new: Float[np.ndarray, "m d"],
    vectors: Float[np.ndarray, "n d"],
    coords: Float[np.ndarray, "n 2"],
    k: int = 5,
) -> Float[np.ndarray, "m 2"]:
    """Where new vectors stand on an existing map: at the similarity-weighted mean of their `k` nearest neighbours.

    A neighbour counts by how much more similar it is than the (k+1)-th, so a point does not jump when its k-th
    neighbour changes; equal similarities count equally. Raises WorkbenchError where the dimensions differ.
    """
    if not len(vectors) or new.shape[1:] != vectors.shape[1:]:
        raise WorkbenchError(f"vectors of shape {new.shape} have no place among those of {vectors.shape}")
    normal, placed = unit(vectors), [coords[:0]]
    for some in blocks(np.arange(len(new)), len(vectors)):
        similarities = unit(new[some]) @ normal.T
        found = highest(similarities, min(k + 1, len(vectors)))
        near = np.take_along_axis(similarities, found, axis=1)
        floor = near[:, -1:] if found.shape[1] > k else np.minimum(near[:, -1:], 0.0)
        weights = (near - floor)[:, :k]
        weights[weights.sum(axis=1) <= 0] = 1.0
        weights /= weights.sum(axis=1, keepdims=True)
        placed.append((weights[:, :, None] * coords[found[:, :k]]).sum(axis=1))
    return np.concatenate(placed).astype(np.float32)


def framed(coords: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
    """The map moved and scaled, without changing its shape, so that it fits the square from -1 to 1."""
    low, high = coords.min(0), coords.max(0)
    span = float((high - low).max())
    return ((coords - (low + high) / 2) * (2 / span if span > 0 else 1.0)).astype(np.float32)
