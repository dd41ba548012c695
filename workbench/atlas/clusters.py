"""Clusters of many vectors: which rows belong together, where their centre is, and which words set them apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from workbench.atlas.neighbours import unit
from workbench.errors import UsageError, WorkbenchError

NOISE = -1
"""The label of rows that belong to no cluster (HDBSCAN alone gives it)."""


@dataclass(frozen=True)
class Cluster:
    """Rows that belong together; a reading of `centroid` is the cluster's name, `terms` stand beside it."""

    rows: Int[np.ndarray, " m"]
    """Nearest to the centroid first."""
    centroid: Float[np.ndarray, " d_e"]
    """The mean of the rows' vectors, as they are: it lies where a vector of this space could lie."""
    terms: list[str]
    """The words of highest tf-idf among the clusters, best first."""

    def __post_init__(self) -> None:
        if not len(self.rows):
            raise ValueError("a cluster has at least one row")


def label(
    vectors: Float[np.ndarray, "n d_e"],
    method: Literal["hdbscan", "kmeans"] = "hdbscan",
    *,
    size: int | None = None,
    seed: int = 0,
) -> Int[np.ndarray, " n"]:
    """A cluster's number for every row, from 0, by scikit-learn on vectors of length 1; NOISE belongs to none.

    `size` is the smallest cluster for HDBSCAN (5 unless given), the number of clusters for k-means (about the root
    of n / 2 unless given). The seed decides k-means. Raises UsageError for a size that does not fit the rows,
    WorkbenchError for fewer than two rows.
    """
    from sklearn.cluster import HDBSCAN, KMeans

    n = len(vectors)
    if n < 2:
        raise WorkbenchError(f"clusters need at least two rows, not {n}")
    if method == "kmeans":
        size = max(2, round((n / 2) ** 0.5)) if size is None else size
        if not 1 <= size <= n:
            raise UsageError(f"k-means cannot make {size} clusters of {n} rows")
        model = KMeans(size, random_state=seed, n_init=4)  # type: ignore[arg-type]
        return model.fit_predict(unit(vectors)).astype(np.int64)
    if method != "hdbscan":
        raise UsageError(f"clusters are found by hdbscan or kmeans, not {method!r}")
    size = min(5, n) if size is None else size
    if not 2 <= size <= n:
        raise UsageError(f"a smallest cluster of {size} does not fit {n} rows: it must be 2 to {n}")
    model = HDBSCAN(min_cluster_size=size, copy=True)  # type: ignore[arg-type]
    return model.fit_predict(unit(vectors)).astype(np.int64)


def gather(
    vectors: Float[np.ndarray, "n d_e"], texts: Sequence[str], labels: Int[np.ndarray, " n"], terms: int = 5
) -> list[Cluster]:
    """The clusters that `labels` name, largest first, each with its centroid and `terms` words. NOISE is left out.

    Raises WorkbenchError where vectors, texts and labels differ in number.
    """
    if not len(vectors) == len(texts) == len(labels):
        raise WorkbenchError(f"{len(vectors)} vectors, {len(texts)} texts and {len(labels)} labels differ")
    members = [np.flatnonzero(labels == number) for number in sorted(set(labels.tolist()) - {NOISE})]
    members.sort(key=lambda rows: (-len(rows), rows[0]))
    words = tfidf_terms([[texts[row] for row in rows.tolist()] for rows in members], terms)
    found = []
    for rows, names in zip(members, words, strict=True):
        centroid = vectors[rows].mean(axis=0)
        near = np.argsort(-(unit(vectors[rows]) @ unit(centroid)), kind="stable")
        found.append(Cluster(rows[near], centroid, names))
    return found


def tfidf_terms(groups: Sequence[Sequence[str]], terms: int) -> list[list[str]]:
    """For each group of texts the words that it has and the other groups have not, by scikit-learn's tf-idf.

    A group counts as one document; English stop words are left out. A group of no words has no terms.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    if not groups:
        return []
    model = TfidfVectorizer(stop_words="english", sublinear_tf=True)
    try:
        weights = model.fit_transform(["\n".join(group) for group in groups]).toarray()
    except ValueError:  # its word for texts of stop words alone
        return [[] for _ in groups]
    words = model.get_feature_names_out()
    best = np.argsort(-weights, axis=1, kind="stable")[:, :terms]
    return [
        [str(words[column]) for column in row if weights[group, column] > 0] for group, row in enumerate(best)
    ]
