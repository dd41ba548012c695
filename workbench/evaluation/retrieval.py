"""Retrieval: ranks of the right passages by cosine, and the figures made of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.errors import WorkbenchError


@dataclass(frozen=True)
class RetrievalScores:
    """Recall at 1 and 10 and the mean reciprocal rank, over `queries` queries and `passages` passages."""

    recall_at_1: float
    recall_at_10: float
    mrr: float
    queries: int
    passages: int


def ranks(queries: np.ndarray, passages: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The rank (1 = best) of the right passage of each query by cosine similarity.

    queries `[q, d]`, passages `[p, d]`, right `[q]` (row of the right passage). Of equally similar passages all
    count as ranked before the right one, so a constant embedder gets no credit. Raises WorkbenchError on a vector
    that is not finite.
    """
    if not (np.isfinite(queries).all() and np.isfinite(passages).all()):
        raise WorkbenchError(
            "retrieval: a vector is not finite; was the embedder trained with too high a rate?"
        )
    similarity = _unit(queries) @ _unit(passages).T
    own = similarity[np.arange(len(right)), right]
    return (similarity >= own[:, None]).sum(axis=1)


def score(queries: np.ndarray, passages: np.ndarray, right: np.ndarray) -> RetrievalScores:
    """Recall at 1 and 10 and MRR of the right passages; shapes as in `ranks`."""
    rank = ranks(queries, passages, right)
    return RetrievalScores(
        float((rank == 1).mean()),
        float((rank <= 10).mean()),
        float((1 / rank).mean()),
        len(queries),
        len(passages),
    )


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
