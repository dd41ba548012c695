"""Retrieval, as mteb defines it on judged documents, and the ranks of single right passages by cosine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from workbench.errors import WorkbenchError
from workbench.evaluation.protocol import Encode, Score, embedded
from workbench.evaluation.ranking import figures, rank, rank_candidates
from workbench.evaluation.retrieval_files import Retrieval

MAIN = "ndcg_at_10"


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


def evaluate(
    data: Retrieval,
    encode_query: Encode,
    encode_document: Encode,
    *,
    task: str,
    protocol: str = "retrieval",
    main_metric: str = MAIN,
    ignore_identical_ids: bool = False,
) -> Score:
    """nDCG@10 (the main score), MAP, recall, precision, MRR and hit rate at every cutoff, means over the queries.

    Queries without a judgment are left out and counted; those judged irrelevant throughout count 0. The score's items
    are the main metric of each query, which an interval resamples. `ignore_identical_ids` keeps a query from finding
    the document of its own id (mteb does so in some tasks, ArguAna among them). Raises WorkbenchError where no query is
    judged or a vector is not finite, with its line.
    """
    asked = [row for row, id in enumerate(data.queries.ids) if data.judgments.get(id)]
    if not asked:
        raise WorkbenchError(f"{task}: no query has a judgment")
    names = [data.queries.ids[row] for row in asked]
    found = find(data, asked, encode_query, encode_document, ignore_identical_ids=ignore_identical_ids)
    each = []
    for name, rows in zip(names, found, strict=True):
        judged = data.judgments[name]
        gains = [judged.get(data.documents.ids[row], 0) for row in rows]
        each.append(figures(gains, list(judged.values())))
    metrics = {name: float(np.mean([figure[name] for figure in each])) for name in each[0]}
    items = np.array([figure[main_metric] for figure in each])
    details = {
        "documents": len(data.documents),
        "queries_without_judgments": len(data.queries) - len(asked),
        "ignore_identical_ids": ignore_identical_ids,
        "query_ids": names,
    }
    return Score(
        task, protocol, main_metric, metrics[main_metric], metrics, len(asked), items, details=details
    )


def find(
    data: Retrieval,
    asked: list[int],
    encode_query: Encode,
    encode_document: Encode,
    *,
    ignore_identical_ids: bool = False,
) -> list[Int[np.ndarray, " k"]]:
    """The rows of the documents that each of the `asked` queries (rows) finds, best first."""
    queries = embedded(
        encode_query, [data.queries.texts[row] for row in asked], [data.queries.where[row] for row in asked]
    )
    documents = embedded(encode_document, data.documents.texts, data.documents.where)
    place = data.documents.rows()
    left_out = []
    for id in (data.queries.ids[row] for row in asked):
        names = {*data.excluded.get(id, ()), *([id] if ignore_identical_ids else [])}
        left_out.append({place[name] for name in names if name in place})
    if data.candidates is None:
        return rank(queries, documents, data.documents.ids, excluded=[list(rows) for rows in left_out])
    listed = [
        [place[name] for name in data.candidates.get(data.queries.ids[row], ()) if place[name] not in out]
        for row, out in zip(asked, left_out, strict=True)
    ]
    return rank_candidates(queries, documents, data.documents.ids, listed)
