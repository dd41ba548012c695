"""Two embedders, or two states of one, on the same texts: whose neighbours stay, and how alike the spaces are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from workbench.atlas.alignment import align, linear_cka, residual
from workbench.atlas.neighbours import blocks, highest, preserved, unit
from workbench.atlas.projection import pca, umap
from workbench.errors import WorkbenchError

SHUFFLES = 5
"""Random pairings that say what unrelated sets of vectors would reach."""


@dataclass(frozen=True)
class Overlap:
    """Each text's nearest texts in two spaces, best first, itself left out."""

    left: Int[np.ndarray, "n k"]
    right: Int[np.ndarray, "n k"]

    def __post_init__(self) -> None:
        if self.left.shape != self.right.shape or self.left.ndim != 2:
            raise ValueError(f"neighbours of shape {self.left.shape} and {self.right.shape} differ")

    @property
    def k(self) -> int:
        """How many neighbours are compared."""
        return self.left.shape[1]

    @cached_property
    def per_text(self) -> Float[np.ndarray, " n"]:
        """The share of a text's neighbours that it has in both spaces, from 0 to 1."""
        return (self.left[:, :, None] == self.right[:, None, :]).any(-1).mean(-1)

    @property
    def mean(self) -> float:
        """The share on average."""
        return float(self.per_text.mean())

    @property
    def chance(self) -> float:
        """The share that unrelated spaces have on average: k of the n - 1 other texts."""
        return self.k / (len(self.left) - 1)

    def least(self, most: int) -> Int[np.ndarray, " m"]:
        """The texts whose neighbours differ most, at most `most` of them; ties in the order of the rows."""
        return np.argsort(self.per_text, kind="stable")[: max(most, 0)]


class Against(NamedTuple):
    """A figure, and the same of texts that are paired at random (mean of SHUFFLES pairings, of one in `approach`)."""

    value: float
    shuffled: float


@dataclass(frozen=True)
class Comparison:
    """How alike two sets of vectors of the same texts are."""

    overlap: Overlap
    cka: Against
    """`linear_cka`: 1 = the same up to turning and scaling."""
    residual: Against
    """Of Procrustes, as `align` has it: 0 = the same up to turning and scaling."""


class Nearness(NamedTuple):
    """How near a set of vectors has come to another one."""

    overlap: float
    """`Overlap.mean`."""
    residual: Against


class LaidMap(NamedTuple):
    """A map that was laid onto another one."""

    coords: Float[np.ndarray, "n 2"]
    kept: float
    """The share of each text's 10 nearest neighbours that the map keeps (`preserved`), on average."""


def overlap(left: Float[np.ndarray, "n d_l"], right: Float[np.ndarray, "m d_r"], k: int = 10) -> Overlap:
    """The `k` nearest texts (cosine) of every text in both spaces; `k` shrinks to what n texts allow.

    Raises WorkbenchError for fewer than three texts, where m is not n, or numbers that are not finite.
    """
    n = len(left)
    if n < 3 or len(right) != n or k < 1:
        raise WorkbenchError(
            f"{n} and {len(right)} vectors with {k} neighbours: at least three texts in both spaces are needed"
        )
    return Overlap(_nearest(unit(left), min(k, n - 2)), _nearest(unit(right), min(k, n - 2)))


def compare(
    left: Float[np.ndarray, "n d_l"], right: Float[np.ndarray, "m d_r"], k: int = 10, seed: int = 0
) -> Comparison:
    """Everything that is said of two sets of vectors, whose lengths do not count: all of it is about directions.

    Raises WorkbenchError as `overlap` and `align` do.
    """
    found = overlap(left, right, k)
    one, other = unit(left), unit(right)
    return Comparison(found, _against(linear_cka, one, other, seed), _against(residual, one, other, seed))


def approach(
    sets: Sequence[Float[np.ndarray, "n _"]], to: Float[np.ndarray, "n d"], k: int = 10, seed: int = 0
) -> list[Nearness]:
    """How near each set, such as a step of a training run, has come to `to`, such as the last step.

    Raises WorkbenchError as `overlap` and `align` do.
    """
    last = unit(to)
    return [Nearness(overlap(one, to, k).mean, _against(residual, unit(one), last, seed)) for one in sets]


def maps(
    sets: Sequence[Float[np.ndarray, "n _"]], projection: Literal["PCA", "UMAP"] = "PCA", seed: int = 0
) -> list[LaidMap]:
    """A map of each set of vectors of the same texts, every one laid onto the first so that a text stands at about the
    same place in all of them: `align` in the plane, to the same spread. A map moves, turns and mirrors as a whole
    only; what still differs, the vectors differ in.

    Raises WorkbenchError as `pca` and `align` do.
    """
    first, *others = [pca(vectors) if projection == "PCA" else umap(vectors, seed) for vectors in sets]
    laid = [first, *(align(coords, first, same_spread=True).moved for coords in others)]
    return [
        LaidMap(coords, preserved(vectors, coords).mean) for coords, vectors in zip(laid, sets, strict=True)
    ]


def _against(
    measure: Callable[..., float], left: np.ndarray, right: np.ndarray, seed: int, times: int = SHUFFLES
) -> Against:
    draw = np.random.default_rng(seed)
    shuffled = [measure(left, right[draw.permutation(len(right))]) for _ in range(times)]
    return Against(measure(left, right), float(np.mean(shuffled)))


def _nearest(normal: np.ndarray, k: int) -> np.ndarray:
    found = []
    for some in blocks(np.arange(len(normal)), len(normal)):
        alike = normal[some] @ normal.T
        alike[np.arange(len(some)), some] = -np.inf
        found.append(highest(alike, k))
    return np.concatenate(found)
