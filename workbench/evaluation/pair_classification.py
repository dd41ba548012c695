"""Pair classification, as mteb defines it: how well a threshold on the similarity tells alike pairs from others."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from workbench.errors import WorkbenchError
from workbench.evaluation.files import Pairs
from workbench.evaluation.protocol import STATISTICS, Encode, Score, cosines, embedded

MAIN = "max_ap"
FIGURES = ("ap", "accuracy", "f1", "precision", "recall")


def evaluate(pairs: Pairs, encode: Encode, *, task: str) -> Score:
    """Average precision: the best over four similarities (`max_ap`, the main score, as in mteb 2) and each one's own.

    The similarities are the cosine, the dot product, and the negative Manhattan and Euclidean distances; for each of
    them `accuracy`, `f1`, `precision` and `recall` are those at the best threshold. The score keeps the similarity that
    was best, and the labels, `[m, 2]`; an interval resamples the pairs and does not choose anew. Raises
    WorkbenchError where a vector is not finite, with its line, or all pairs have one label.
    """
    labels = pairs.scores == 1
    if labels.all() or not labels.any():
        raise WorkbenchError(f"{task}: all {len(pairs)} pairs have the same label; nothing to tell apart")
    vectors = embedded(encode, pairs.first + pairs.second, pairs.where * 2).astype(np.float64)
    first, second = vectors[: len(pairs)], vectors[len(pairs) :]
    similarities = {
        "cosine": cosines(first, second),
        "dot": (first * second).sum(axis=1),
        "manhattan": -np.abs(first - second).sum(axis=1),
        "euclidean": -np.linalg.norm(first - second, axis=1),
    }
    metrics: dict[str, float] = {}
    for name, values in similarities.items():
        found = _thresholds(values, labels)
        found["ap"] = STATISTICS[MAIN](np.stack([values, labels], axis=1))
        metrics |= {f"{name}_{figure}": found[figure] for figure in FIGURES}
    metrics |= {
        f"max_{figure}": max(metrics[f"{name}_{figure}"] for name in similarities) for figure in FIGURES
    }
    best = max(similarities, key=lambda name: metrics[f"{name}_ap"])
    kept = np.stack([similarities[best], labels], axis=1)
    details = {"best_similarity": best, "alike": int(labels.sum())}
    return Score(
        task, "pair-classification", MAIN, metrics[MAIN], metrics, len(pairs), pairs=kept, details=details
    )


def _thresholds(values: Float[np.ndarray, " m"], labels: Bool[np.ndarray, " m"]) -> dict[str, float]:
    """The best accuracy and the best F1 (with its precision and recall) of calling all pairs above a threshold alike.

    A threshold lies between two different similarities, so that pairs of the same one are never told apart, and at
    least one pair stays below it.
    """
    order = np.argsort(-values, kind="stable")
    ranked, right = values[order], labels[order].cumsum()
    cuts = np.flatnonzero(ranked[:-1] != ranked[1:])
    if not len(cuts):
        return dict.fromkeys(("accuracy", "f1", "precision", "recall"), 0.0)
    taken, hits = cuts + 1, right[cuts]
    accuracy = (hits + (~labels).sum() - (taken - hits)) / len(labels)
    f1 = 2 * hits / (taken + labels.sum())
    best = int(f1.argmax())
    return {
        "accuracy": float(accuracy.max()),
        "f1": float(f1[best]),
        "precision": float(hits[best] / taken[best]) if f1[best] > 0 else 0.0,
        "recall": float(hits[best] / labels.sum()),
    }
