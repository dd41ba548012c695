"""Clustering, as mteb defines it: mini-batch k-means with as many clusters as labels, and the v-measure."""

from __future__ import annotations

import random

import numpy as np
from jaxtyping import Float

from workbench.errors import UsageError
from workbench.evaluation.files import Labelled
from workbench.evaluation.protocol import Encode, Score, embedded

SEED = 42
BATCH, FAST_BATCH = 500, 512
EXPERIMENTS, DRAWN = 10, 16_384
MAIN = "v_measure"


def evaluate(sets: list[Labelled], encode: Encode, *, task: str) -> Score:
    """The mean v-measure (the main score) over the sets, each clustered whole in batches of 500.

    This is mteb's first definition (ClusteringLegacy: ArxivClusteringS2S, TwentyNewsgroupsClustering and so on); a
    set of one label counts 1, as there. The score's items are the sets' v-measures, which an interval resamples: of a
    single set there is none. Raises WorkbenchError where a vector is not finite, with its line.
    """
    if not sets:
        raise UsageError(f"{task}: there is no set to cluster")
    where = [place for part in sets for place in part.where]
    vectors = embedded(encode, [text for part in sets for text in part.texts], where)
    starts = np.cumsum([0, *map(len, sets)])
    found = [
        _v_measure(vectors[start : start + len(part)], np.array(part.labels), BATCH)
        for part, start in zip(sets, starts, strict=False)
    ]
    details = {"definition": "sets", "batch": BATCH, "sets": len(sets), "texts": int(starts[-1])}
    return _score(task, found, details)


def evaluate_fast(
    data: Labelled,
    encode: Encode,
    *,
    task: str,
    max_texts: int | None = None,
    max_fraction: float | None = None,
) -> Score:
    """The mean v-measure (the main score) over ten draws of 16,384 texts with replacement, in batches of 512.

    This is mteb's second definition (Clustering, the tasks with .v2). `max_texts` or `max_fraction` embeds a sample
    of the texts only; mteb's tasks name one of them, most `max_texts=2048`, and its default is a fraction of 0.04. The
    score's items are the ten v-measures, which an interval resamples: it covers the draws, not the texts.
    """
    if max_texts is not None and max_fraction is not None:
        raise UsageError("max_texts and max_fraction exclude each other")
    draw, rows = random.Random(SEED), list(range(len(data)))
    if max_fraction is not None:
        max_texts = int(max_fraction * len(data))
    if max_texts is not None:
        rows = draw.sample(rows, k=min(len(data), max_texts))
    if not rows:
        raise UsageError(f"{task}: no text is left of {len(data)} with max_fraction={max_fraction}")
    vectors = embedded(encode, [data.texts[row] for row in rows], [data.where[row] for row in rows])
    labels, found = np.array([data.labels[row] for row in rows]), []
    for _ in range(EXPERIMENTS):
        chosen = draw.choices(range(len(rows)), k=DRAWN)
        found.append(_v_measure(vectors[chosen], labels[chosen], FAST_BATCH, len(set(labels))))
    details = {"definition": "draws", "batch": FAST_BATCH, "texts": len(rows), "drawn": DRAWN}
    return _score(task, found, details)


def _v_measure(
    vectors: Float[np.ndarray, "b d"], labels: np.ndarray, batch: int, clusters: int | None = None
) -> float:
    """The harmonic mean of homogeneity and completeness of the clusters that k-means finds."""
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.metrics import v_measure_score

    clusters = clusters or len(set(labels))
    if clusters < 2:
        return 1.0
    model = MiniBatchKMeans(n_clusters=clusters, batch_size=batch, n_init="auto", random_state=SEED)
    return float(v_measure_score(labels, model.fit_predict(vectors)))


def _score(task: str, found: list[float], details: dict[str, object]) -> Score:
    main = float(np.mean(found))
    metrics = {MAIN: main, f"{MAIN}_std": float(np.std(found))}
    return Score(task, "clustering", MAIN, main, metrics, len(found), np.array(found), details=details)
