"""How alike two sets of vectors of the same texts are, whatever space each lies in: Procrustes, and linear CKA."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from workbench.errors import WorkbenchError


@dataclass(frozen=True)
class Alignment:
    """One set of vectors laid onto another of the same texts: moved, turned or mirrored, and scaled as a whole."""

    moved: Float[np.ndarray, "n d"]
    """The moving vectors in the space of the fixed ones."""
    residual: float
    """The share of the fixed vectors' variance that is left between the two after the best fit, from 0 to 1."""

    def __post_init__(self) -> None:
        if self.moved.ndim != 2 or not -1e-6 <= self.residual <= 1 + 1e-6:
            raise ValueError(f"vectors of shape {self.moved.shape} with a residual of {self.residual}")


def align(
    moving: Float[np.ndarray, "n d_m"], fixed: Float[np.ndarray, "m d"], *, same_spread: bool = False
) -> Alignment:
    """Orthogonal Procrustes (Schönemann 1966): the turn or mirroring of `moving` that comes nearest to `fixed`.

    Both are moved to the same centre. The scale is the one that fits best; with `same_spread` it is the one that
    gives both the same variance, as maps want it: the best one shrinks what does not fit. Spaces of different
    dimensions are compared by zero padding: the smaller one lies in the larger, and whatever then lies outside of
    the fixed space is dropped from `moved`, but counts in the residual, which is the same in both directions
    (scipy's `disparity`). Before that, more dimensions than texts become their n PCA coordinates, which loses nothing.
    Raises WorkbenchError where m is not n, for fewer than two texts, numbers that are not finite, equal vectors.
    """
    from scipy.linalg import orthogonal_procrustes

    _check(moving, fixed)
    start, _ = _coordinates(moving)
    end, axes = _coordinates(fixed)
    size = max(start.shape[1], end.shape[1])
    turn, fit = orthogonal_procrustes(_padded(start, size), _padded(end, size))
    fit = min(float(fit), 1.0)  # both have norm 1, so that this is the cosine between them
    spread = np.linalg.norm(_centred(fixed)) * (1.0 if same_spread else fit)
    turned = (_padded(start, size) @ turn)[:, : end.shape[1]]
    moved = turned @ axes * spread + np.asarray(fixed, dtype=np.float64).mean(0)
    return Alignment(moved.astype(np.float32), 1.0 - fit**2)


def residual(left: Float[np.ndarray, "n d_l"], right: Float[np.ndarray, "m d_r"]) -> float:
    """The residual of `align` alone, quicker: 1 less the squared sum of the cross-covariance's singular values.

    Raises WorkbenchError as `align` does.
    """
    _check(left, right)
    cross = _coordinates(left)[0].T @ _coordinates(right)[0]
    return 1.0 - min(float(np.linalg.svd(cross, compute_uv=False).sum()), 1.0) ** 2


def linear_cka(left: Float[np.ndarray, "n d_l"], right: Float[np.ndarray, "m d_r"]) -> float:
    """Linear centred kernel alignment, from 0 to 1 (Kornblith et al. 2019, section 3): how far the texts' inner
    products agree. Turning, mirroring, moving and scaling either set as a whole changes nothing.

    With few texts in many dimensions unrelated sets reach more than 0: `compare` says how much.
    Raises WorkbenchError as `align` does.
    """
    _check(left, right)
    one, other = ((x := _centred(vectors)) @ x.T for vectors in (left, right))
    return float((one * other).sum() / np.linalg.norm(one) / np.linalg.norm(other))


def _check(left: np.ndarray, right: np.ndarray) -> None:
    if left.ndim != 2 or right.ndim != 2 or len(left) != len(right) or len(left) < 2:
        raise WorkbenchError(
            f"vectors of shape {left.shape} and {right.shape} cannot be laid onto each other: both need a row for each "
            "of the same texts, at least two"
        )
    for vectors in (left, right):
        if not np.isfinite(vectors).all():
            raise WorkbenchError("a vector is not finite: the sets cannot be compared")
        if np.ptp(np.asarray(vectors, dtype=np.float64), axis=0).max(initial=0.0) == 0:
            raise WorkbenchError("all vectors of a set are the same: there is nothing to compare")


def _centred(vectors: np.ndarray) -> np.ndarray:
    wide = np.asarray(vectors, dtype=np.float64)
    return wide - wide.mean(0)


def _coordinates(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The centred vectors with norm 1 as a whole, `[n, m]` with m at most n, and the axes `[m, d]` they are along."""
    centred = _centred(vectors)
    centred /= np.linalg.norm(centred)
    n, d = centred.shape
    if d <= n:
        return centred, np.eye(d)
    left, sizes, axes = np.linalg.svd(centred, full_matrices=False)
    return left * sizes, axes


def _padded(coordinates: np.ndarray, size: int) -> np.ndarray:
    return np.pad(coordinates, ((0, 0), (0, size - coordinates.shape[1])))
