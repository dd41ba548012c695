"""Metrics in words."""

from workbench.evaluation import (
    clustering,
    multiple_choice,
    pair_classification,
    reranking,
    retrieval,
    safety,
)
from workbench.figures import metrics
from workbench.figures.evaluation import score_map

ROW = {"embedder": "ours", "task": "two hops", "metric": "ndcg_at_10", "lower_is_better": False}
SCORE = {"score": 0.5, "low": 0.25, "high": 0.75, "n": 12}


def test_every_protocol_has_a_metric_to_read():
    protocols = (clustering, multiple_choice, pair_classification, reranking, retrieval, safety)
    for raw in (protocol.MAIN for protocol in protocols):
        assert "_" not in metrics.name(raw)
        assert metrics.meaning(raw).startswith(f"{raw}: ")


def test_an_unknown_metric_keeps_its_name():
    assert metrics.name("recall_at_5") == "recall@5"
    assert metrics.name("cosine_f1") == "cosine f1"
    assert metrics.meaning("recall_at_5") == "recall_at_5"


def test_the_figure_says_the_readable_name_and_the_pointer_both():
    figure = score_map([ROW | SCORE])
    assert "nDCG@10" in figure.layout.yaxis.ticktext[0]
    assert "ndcg_at_10" not in figure.layout.yaxis.ticktext[0]
    assert "two hops, nDCG@10 (ndcg_at_10)" in figure.data[1].customdata[0]
