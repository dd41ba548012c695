"""Exact nearest neighbours by cosine similarity, and how many of them a map keeps."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from workbench.errors import WorkbenchError


@dataclass(frozen=True)
class Neighbours:
    """The nearest rows, best first."""

    indices: Int[np.ndarray, " k"]
    similarities: Float[np.ndarray, " k"]
    """Cosine similarities, from -1 to 1."""

    def __post_init__(self) -> None:
        if self.indices.shape != self.similarities.shape or self.indices.ndim != 1:
            raise ValueError(
                f"indices {self.indices.shape} and similarities {self.similarities.shape} differ"
            )


@dataclass(frozen=True)
class Preservation:
    """How many of a point's nearest neighbours among the vectors are also its nearest on the map."""

    per_point: Float[np.ndarray, " n"]
    """The share kept for every point, from 0 to 1."""
    k: int
    """How many neighbours were compared."""

    @property
    def mean(self) -> float:
        """The share kept on average."""
        return float(self.per_point.mean())

    @property
    def chance(self) -> float:
        """The share that a random map keeps: k of the n - 1 other points."""
        return self.k / (len(self.per_point) - 1)


def unit(vectors: Float[np.ndarray, "*n d"]) -> Float[np.ndarray, "*n d"]:
    """Vectors of length 1 in float32; a zero vector stays zero, so its similarity to everything is 0.

    Raises WorkbenchError where a number is not finite.
    """
    vectors = np.asarray(vectors, dtype=np.float32)
    if not np.isfinite(vectors).all():
        raise WorkbenchError("a vector is not finite: neighbours cannot be found")
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)


def nearest(vectors: Float[np.ndarray, "n d"], query: Float[np.ndarray, " d"], k: int = 10) -> Neighbours:
    """The `k` rows of `vectors` most similar to `query` (fewer where there are fewer rows); ties go to the lower row.

    The search is exact. Raises WorkbenchError where the dimensions differ or a number is not finite.
    """
    if vectors.ndim != 2 or query.shape != vectors.shape[1:]:
        raise WorkbenchError(f"a query of shape {query.shape} does not fit vectors of shape {vectors.shape}")
    similarities = unit(vectors) @ unit(query)
    order = np.argsort(-similarities, kind="stable")[: max(k, 0)]
    return Neighbours(order, similarities[order])


def preserved(
    vectors: Float[np.ndarray, "n d"], coords: Float[np.ndarray, "n 2"], k: int = 10
) -> Preservation:
    """The share of each point's `k` nearest neighbours (cosine) that are among its `k` nearest on the map (Euclidean).

    `k` shrinks to what n points allow. Raises WorkbenchError for fewer than three points or unequal lengths.
    """
    n = len(vectors)
    if n < 3 or len(coords) != n:
        raise WorkbenchError(
            f"{n} vectors and {len(coords)} map positions: at least three of each are needed"
        )
    k = min(k, n - 2)
    normal = unit(vectors)
    coords = np.asarray(coords, dtype=np.float64)
    distances = np.linalg.norm(coords[:, None] - coords[None], axis=-1)
    here, there = _ranked(-(normal @ normal.T), k), _ranked(distances, k)
    kept = (here[:, :, None] == there[:, None, :]).any(-1).mean(-1)
    return Preservation(kept.astype(np.float32), k)


def _ranked(distances: np.ndarray, k: int) -> np.ndarray:
    distances = distances.copy()
    np.fill_diagonal(distances, np.inf)
    return np.argsort(distances, axis=1, kind="stable")[:, :k]
