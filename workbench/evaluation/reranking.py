"""Reranking, as mteb defines it: each query orders its own candidates, and the average precision of that order."""

from __future__ import annotations

from workbench.errors import UsageError
from workbench.evaluation import retrieval
from workbench.evaluation.protocol import Encode, Score
from workbench.evaluation.retrieval_files import Retrieval

MAIN = "map_at_1000"


def evaluate(data: Retrieval, encode_query: Encode, encode_document: Encode, *, task: str) -> Score:
    """MAP (the main score, `map_at_1000`) and the other figures of retrieval, each query among its candidates.

    The score's items are the queries' average precisions, which an interval resamples. Raises UsageError where a query
    that is judged has no candidates, WorkbenchError where a vector is not finite, with its line.
    """
    listed = data.candidates or {}
    for id in data.judgments:
        if not listed.get(id):
            raise UsageError(f"{task}: query {id!r} is judged, but has no candidates to rerank")
    return retrieval.evaluate(
        data, encode_query, encode_document, task=task, protocol="reranking", main_metric=MAIN
    )
