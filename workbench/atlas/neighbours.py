"""Exact nearest neighbours by cosine similarity, and how many of them a map keeps."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from workbench.errors import WorkbenchError

CELLS = 2**23
"""Comparisons in memory at once: many points are compared with all others block by block."""


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

    per_point: Float[np.ndarray, " m"]
    """The share kept for every point that was asked about, from 0 to 1."""
    k: int
    """How many neighbours were compared."""
    points: int
    """How many points there are, each of which may be a neighbour."""

    @property
    def mean(self) -> float:
        """The share kept on average."""
        return float(self.per_point.mean())

    @property
    def chance(self) -> float:
        """The share that a random map keeps: k of the n - 1 other points."""
        return self.k / (self.points - 1)


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


def highest(scores: Float[np.ndarray, "b n"], k: int) -> Int[np.ndarray, "b k"]:
    """The columns of the `k` highest scores of every row, best first; ties go to the lower column. `k` is 1 to n."""
    least = np.partition(scores, -k, axis=1)[:, -k]
    row, column = np.nonzero(scores >= least[:, None])  # at least k of every row, more only where some tie
    order = np.lexsort((-scores[row, column], row))
    first = np.searchsorted(row, np.arange(len(scores)))
    return column[order][first[:, None] + np.arange(k)]


def blocks(rows: Int[np.ndarray, " m"], n: int) -> Iterator[Int[np.ndarray, " b"]]:
    """The rows in parts, each small enough to be compared with `n` others at once."""
    step = max(1, CELLS // max(n, 1))
    for start in range(0, len(rows), step):
        yield rows[start : start + step]


def preserved(
    vectors: Float[np.ndarray, "n d"],
    coords: Float[np.ndarray, "n 2"],
    k: int = 10,
    rows: Int[np.ndarray, " m"] | None = None,
) -> Preservation:
    """The share of each point's `k` nearest neighbours (cosine) that are among its `k` nearest on the map (Euclidean).

    `rows` are the points to ask about, by default all; the neighbours are among all of them either way. `k` shrinks
    to what n points allow. Raises WorkbenchError for fewer than three points or unequal lengths.
    """
    n = len(vectors)
    if n < 3 or len(coords) != n:
        raise WorkbenchError(
            f"{n} vectors and {len(coords)} map positions: at least three of each are needed"
        )
    k = min(k, n - 2)
    normal, (x, y) = unit(vectors), np.asarray(coords, dtype=np.float64).T
    kept = []
    for some in blocks(np.arange(n) if rows is None else rows, n):
        alike = normal[some] @ normal.T
        close = -((x[some, None] - x) ** 2) - (y[some, None] - y) ** 2
        itself = (np.arange(len(some)), some)
        alike[itself] = close[itself] = -np.inf
        here, there = highest(alike, k), highest(close, k)
        kept.append((here[:, :, None] == there[:, None, :]).any(-1).mean(-1))
    return Preservation(np.concatenate(kept).astype(np.float32), k, n)
