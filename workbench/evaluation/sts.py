"""Semantic textual similarity, as mteb defines it: the rank correlation of cosines with graded scores."""

from __future__ import annotations

import numpy as np

from workbench.errors import WorkbenchError
from workbench.evaluation.files import Pairs
from workbench.evaluation.protocol import STATISTICS, Encode, Score, cosines, embedded


def evaluate(pairs: Pairs, encode: Encode, *, task: str) -> Score:
    """Spearman (the main score) and Pearson of similarity and gold score, in whatever range the gold scores are.

    `similarity` is the cosine, the negative Manhattan and the negative Euclidean distance. The score keeps the cosines
    and gold scores `[m, 2]`, and an interval resamples the pairs. Raises WorkbenchError where a vector is not finite,
    or nothing varies: all gold scores, or all similarities, are the same.
    """
    vectors = embedded(encode, pairs.first + pairs.second, pairs.where * 2).astype(np.float64)
    first, second = vectors[: len(pairs)], vectors[len(pairs) :]
    similarities = {
        "cosine": cosines(first, second),
        "manhattan": -np.abs(first - second).sum(axis=1),
        "euclidean": -np.linalg.norm(first - second, axis=1),
    }
    metrics = {}
    for name, values in similarities.items():
        for what, column in (("gold scores", pairs.scores), (f"{name} similarities", values)):
            if len(np.unique(column)) < 2:
                raise WorkbenchError(f"{task}: no correlation, all {len(pairs)} {what} are the same")
        both = np.stack([values, pairs.scores], axis=1)
        metrics[f"{name}_spearman"] = STATISTICS["cosine_spearman"](both)
        metrics[f"{name}_pearson"] = float(np.corrcoef(values, pairs.scores)[0, 1])
    main = "cosine_spearman"
    kept = np.stack([similarities["cosine"], pairs.scores], axis=1)
    return Score(task, "sts", main, metrics[main], metrics, n=len(pairs), pairs=kept)
