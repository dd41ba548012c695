"""Ranked documents and the figures made of them, as trec_eval defines them and mteb reports them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from workbench.evaluation.protocol import unit

CUTOFFS = (1, 3, 5, 10, 20, 100, 1000)
QUERIES_AT_ONCE = 128


def rank(
    queries: Float[np.ndarray, "q d"],
    documents: Float[np.ndarray, "p d"],
    ids: Sequence[str],
    *,
    excluded: Sequence[Sequence[int]] | None = None,
    limit: int = CUTOFFS[-1],
) -> list[Int[np.ndarray, " k"]]:
    """The rows of the documents that each query finds by cosine, best first, at most `limit` of them.

    Of equally similar documents (in float32, as trec_eval compares) the one whose id comes later in the alphabet stands
    first. `excluded` are the rows that a query may not find.
    """
    order = np.array(sorted(range(len(ids)), key=lambda row: ids[row], reverse=True), dtype=np.int64)
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    columns, found = unit(documents)[order].T, []
    for start in range(0, len(queries), QUERIES_AT_ONCE):
        block = (unit(queries[start : start + QUERIES_AT_ONCE]) @ columns).astype(np.float32)
        for number, similarity in enumerate(block, start):
            if excluded is not None:
                similarity[place[np.asarray(excluded[number], dtype=np.int64)]] = -np.inf
            best = _best(similarity, limit)
            found.append(order[best[np.isfinite(similarity[best])]])
    return found


def rank_candidates(
    queries: Float[np.ndarray, "q d"],
    documents: Float[np.ndarray, "p d"],
    ids: Sequence[str],
    candidates: Sequence[Sequence[int]],
    *,
    limit: int = CUTOFFS[-1],
) -> list[Int[np.ndarray, " k"]]:
    """As `rank`, each query among its own candidates (rows of the documents) alone."""
    columns, found = unit(documents), []
    for query, rows in zip(unit(queries), candidates, strict=True):
        order = np.array(sorted(set(rows), key=lambda row: ids[row], reverse=True), dtype=np.int64)
        found.append(order[_best((columns[order] @ query).astype(np.float32), limit)])
    return found


def _best(similarity: Float[np.ndarray, " p"], limit: int) -> Int[np.ndarray, " k"]:
    """Places of the `limit` largest numbers, largest first; of equal ones the earlier place."""
    rows = np.arange(len(similarity))
    if limit < len(similarity):
        rows = np.flatnonzero(similarity >= np.partition(similarity, -limit)[-limit])
    return rows[np.argsort(-similarity[rows], kind="stable")][:limit]


def figures(
    gains: Sequence[int], judged: Sequence[int], cutoffs: Sequence[int] = CUTOFFS
) -> dict[str, float]:
    """nDCG, MAP, recall, precision, MRR and hit rate of one query at every cutoff; 0 where nothing is relevant.

    `gains` are the judgments of the documents found, best first (0 where there is none), `judged` all judgments of the
    query. A judgment of 1 or more is relevant; nDCG takes it as the gain, the other figures as a yes.
    """
    gain = np.maximum(np.array(list(gains), dtype=np.float64), 0)
    ideal = np.sort(np.maximum(np.array(list(judged), dtype=np.float64), 0))[::-1]
    relevant = gain >= 1
    count, hits = int((ideal >= 1).sum()), relevant.cumsum()
    precisions = np.where(relevant, hits / np.arange(1, len(gain) + 1), 0.0)
    first = int(relevant.argmax()) + 1 if relevant.any() else None
    made: dict[str, float] = {}
    for k in cutoffs:
        right = int(relevant[:k].sum())
        made[f"ndcg_at_{k}"] = _gained(gain[:k]) / _gained(ideal[:k]) if count else 0.0
        made[f"map_at_{k}"] = float(precisions[:k].sum()) / count if count else 0.0
        made[f"recall_at_{k}"] = right / count if count else 0.0
        made[f"precision_at_{k}"] = right / k
        made[f"mrr_at_{k}"] = 1 / first if first is not None and first <= k else 0.0
        made[f"hit_rate_at_{k}"] = float(right > 0)
    return made


def _gained(gains: Float[np.ndarray, " k"]) -> float:
    """Discounted cumulative gain: the gain at rank r over log2(r + 1)."""
    return float((gains / np.log2(np.arange(2, len(gains) + 2))).sum())
