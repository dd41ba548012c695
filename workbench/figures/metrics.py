"""Metrics in words: what a person reads where files and reports have mteb's own name."""

from __future__ import annotations

from typing import NamedTuple


class Metric(NamedTuple):
    """A metric's name to read, and what it measures."""

    name: str
    meaning: str


KNOWN = {
    "accuracy": Metric("accuracy", "the share that is classified right"),
    "cosine_spearman": Metric("Spearman", "rank correlation of the cosines with the pairs’ scores"),
    "macro_accuracy": Metric("accuracy", "the share of right answers, every task counting the same"),
    "map_at_1000": Metric("MAP", "mean average precision of the ranking"),
    "max_ap": Metric("AP", "average precision in telling like pairs from unlike ones"),
    "ndcg_at_10": Metric("nDCG@10", "how high the right passages stand among the first 10"),
    "perplexity": Metric("perplexity", "how unlikely the texts are to the language model"),
    "top_5_accuracy": Metric("found in top 5", "the share whose stand-in is among the first 5"),
    "v_measure": Metric("V-measure", "how far clusters and classes are the same"),
}
"""By mteb's name."""


def name(raw: str) -> str:
    """The metric's name to read; of one that is not known, its own with spaces and signs."""
    return KNOWN[raw].name if raw in KNOWN else raw.replace("_at_", "@").replace("_", " ")


def meaning(raw: str) -> str:
    """What the metric measures, behind its raw name; the raw name alone of one that is not known."""
    return f"{raw}: {KNOWN[raw].meaning}" if raw in KNOWN else raw
