"""What every protocol shares: how it asks for vectors, the score it gives, and the interval of that score."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from workbench.errors import WorkbenchError
from workbench.evaluation.redraws import REDRAWS, average_precision, spearman
from workbench.files import measured

Encode = Callable[[list[str]], Float[np.ndarray, "b d"]]
"""Texts to vectors; a retrieval protocol takes two of them, `encode_query` and `encode_document`."""
DRAWS, LEVEL = 1000, 0.95


class Interval(NamedTuple):
    """Where the main score lies in the middle 95 % of the resamples."""

    low: float
    high: float


@dataclass(frozen=True)
class Score:
    """What one protocol found on one task.

    Scores are fractions from 0 to 1 as mteb gives them; correlations may be negative, a perplexity is at least 1.
    Raises ValueError where the parts disagree: the main score must be that of the items or pairs.
    """

    task: str
    """The task's name, as the caller gave it."""
    protocol: str
    """The protocol's name, such as "sts" or "retrieval"."""
    main_metric: str
    """The name of the main score among the metrics."""
    main_score: float
    metrics: dict[str, float]
    """Every figure by name, the main one among them."""
    n: int
    """How many items the main score is of; what is resampled for an interval."""
    items: Float[np.ndarray, " m"] | None = None
    """Values whose mean is the main score: a query's nDCG, a text's share of right classifications."""
    pairs: Float[np.ndarray, "m 2"] | None = None
    """Rows that give the main score by `STATISTICS`, where it is no mean; what its columns are stands there."""
    details: dict[str, Any] = field(default_factory=dict)
    """What else is needed to read or repeat the score; plain JSON values."""

    def __post_init__(self) -> None:
        if self.metrics.get(self.main_metric) != self.main_score:
            raise ValueError(f"{self.main_metric} is not among the metrics with the main score")
        rows = self.rows
        if rows is None:
            return
        if len(rows) != self.n or (self.items is not None and self.pairs is not None):
            raise ValueError(f"{self.n} items are counted, {len(rows)} are kept, of one kind only")
        again = self.statistic(rows)
        if not np.isclose(again, self.main_score, rtol=1e-6, atol=1e-6):
            raise ValueError(f"{self.main_metric} is {self.main_score}, but that of its items {again}")

    @property
    def rows(self) -> np.ndarray | None:
        """What is resampled: the items `[m]` or the pairs `[m, 2]`; None where the score keeps neither."""
        return self.items if self.pairs is None else self.pairs

    def statistic(self, rows: np.ndarray) -> float:
        """The main metric of some of the rows."""
        return float(rows.mean()) if rows.ndim == 1 else STATISTICS[self.main_metric](rows)

    def to_dict(self) -> dict[str, Any]:
        """The score as JSON takes it, without the items; None where a figure is undefined."""
        kept = ("task", "protocol", "main_metric", "main_score", "metrics", "n", "details")
        return measured({name: getattr(self, name) for name in kept})


def interval(score: Score, seed: int = 0, *, draws: int = DRAWS) -> Interval | None:
    """The 95 % percentile bootstrap interval of the main score; None where the score keeps fewer than two rows.

    What is drawn with replacement is the protocol's unit: pairs of texts (STS, pair classification), test texts
    (classification, averaged over the experiments), experiments or sets (clustering), queries (retrieval, reranking,
    safety, reasoning), questions within their subject (multiple choice), texts (perplexity). It covers the choice of
    those units, and nothing else: not another seed, not another training set.
    """
    if score.rows is None or len(score.rows) < 2:
        return None
    found = resampled(score, seed, draws=draws)
    found = found[np.isfinite(found)]
    if not len(found):
        return None
    low, high = np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high))


def resampled(score: Score, seed: int = 0, *, draws: int = DRAWS) -> Float[np.ndarray, " r"]:
    """The main score of each of `draws` resamples; NaN where a resample does not define it (one label only, say).

    A seed draws the same rows for every score of as many items, so that two embedders on one task may be compared
    resample by resample (a paired bootstrap). Raises ValueError for a score without items or pairs.
    """
    rows = score.rows
    if rows is None:
        raise ValueError(f"{score.task} keeps nothing to resample")
    strata = rows[:, 1] if score.main_metric == "macro_accuracy" else np.zeros(len(rows))
    order = np.argsort(strata, kind="stable")
    _, start, group, size = np.unique(
        strata[order], return_index=True, return_inverse=True, return_counts=True
    )
    first, many, generator = start[group], size[group], np.random.default_rng(seed)
    quick = REDRAWS.get(score.main_metric) if rows.ndim == 2 else None
    statistic = quick(rows) if quick else lambda chosen: score.statistic(rows[chosen])
    found = np.empty(draws)
    for draw in range(draws):  # as many rows of each stratum as it has, with replacement
        found[draw] = statistic(order[first + (generator.random(len(rows)) * many).astype(np.int64)])
    return found


def embedded(encode: Encode, texts: Sequence[str], where: Sequence[str]) -> Float[np.ndarray, "b d"]:
    """The vectors of the texts, each text encoded once however often it stands there.

    `where` says for each text where it was read. Raises WorkbenchError where a vector is not finite, with the place,
    ValueError where there is not one vector for each text.
    """
    row = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    vectors = np.asarray(encode(list(row)))
    if vectors.ndim != 2 or len(vectors) != len(row):
        raise ValueError(f"{len(row)} texts were encoded to an array of shape {list(vectors.shape)}")
    found = vectors[[row[text] for text in texts]]
    broken = np.flatnonzero(~np.isfinite(found).all(axis=1))
    if len(broken):
        raise WorkbenchError(f"{where[broken[0]]}: the vector of this text is not finite")
    return found


def cosines(a: Float[np.ndarray, "b d"], b: Float[np.ndarray, "b d"]) -> Float[np.ndarray, " b"]:
    """The cosine of every row with the row beside it, in float64; 0 where a vector is zero.

    It is 1 less half the squared distance of the unit vectors, so that equal vectors have the cosine 1 exactly: the
    same texts are tied, as they are in mteb.
    """
    left, right = unit(a), unit(b)
    zero = ~(left.any(axis=1) & right.any(axis=1))
    return np.where(zero, 0.0, 1 - 0.5 * ((left - right) ** 2).sum(axis=1))


def unit(vectors: Float[np.ndarray, "b d"]) -> Float[np.ndarray, "b d"]:
    """The vectors at length 1 in float64; a zero vector stays zero."""
    rows = vectors.astype(np.float64)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norms == 0, 1.0, norms)


def _macro_accuracy(rows: np.ndarray) -> float:
    """Columns: right (1 or 0), number of the subject."""
    return float(np.mean([rows[rows[:, 1] == subject, 0].mean() for subject in np.unique(rows[:, 1])]))


def _perplexity(rows: np.ndarray) -> float:
    """Columns: negative log-likelihood of a text, how many tokens it is of."""
    return float(np.exp(rows[:, 0].sum() / rows[:, 1].sum()))


STATISTICS: dict[str, Callable[[np.ndarray], float]] = {
    "cosine_spearman": lambda rows: spearman(rows)(np.arange(len(rows))),
    "max_ap": lambda rows: average_precision(rows)(np.arange(len(rows))),
    "macro_accuracy": _macro_accuracy,
    "perplexity": _perplexity,
}
"""How pairs become a main score, by the main metric's name; each (or its `redraws`) says what its two columns are."""
