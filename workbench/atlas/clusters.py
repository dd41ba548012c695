"""Clusters of many vectors: which rows belong together, what their centre says, and which words set them apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Float, Int

from workbench.atlas.neighbours import unit
from workbench.atlas.plans import ClusterPlan
from workbench.atlas.sample import Sample, columns, groups, stratified
from workbench.decoding.trust import cosines
from workbench.errors import UsageError, WorkbenchError

if TYPE_CHECKING:
    from workbench.atlas.store import Store
    from workbench.embedders.base import Embedder

NOISE = -1
"""The label of rows that belong to no cluster (HDBSCAN alone gives it)."""
PART = 500
"""Rows whose soft prompts are in memory at once."""


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


@dataclass(frozen=True)
class StoreClusters:
    """The clusters of a store, largest first; row numbers are those of `ids` and `texts`."""

    ids: list[str]
    """The rows that were clustered, in the order of the input."""
    texts: list[str]
    clusters: list[Cluster]
    sample: Sample
    """Which rows of the store they are."""

    def __post_init__(self) -> None:
        if not len(self.ids) == len(self.texts) == len(self.sample):
            raise ValueError(
                f"{len(self.ids)} ids, {len(self.texts)} texts and {len(self.sample)} rows differ"
            )

    @property
    def outside(self) -> int:
        """How many of the rows belong to no cluster."""
        return len(self.ids) - sum(len(cluster.rows) for cluster in self.clusters)


@dataclass(frozen=True)
class Centres:
    """What the backbone says where clusters have their centres, and how far to trust that."""

    vectors: Float[np.ndarray, "c d_e"]
    decoded: list[str]
    """Greedy, behind soft prompts that stand for the centre alone; no text is seen."""
    decoded_embeddings: Float[np.ndarray, "c d_e"]
    """The decoded texts, embedded as documents."""

    def __post_init__(self) -> None:
        if self.vectors.shape != self.decoded_embeddings.shape or len(self.vectors) != len(self.decoded):
            raise ValueError(f"{len(self.decoded)} sentences for centres of shape {self.vectors.shape}")

    @property
    def round_trip(self) -> Float[np.ndarray, " c"]:
        """Cosine between each centre and the embedding of its sentence, from -1 to 1."""
        return np.diagonal(cosines(self.vectors, self.decoded_embeddings)).copy()

    @property
    def others(self) -> Float[np.ndarray, " c"]:
        """Each centre's mean cosine with the sentences of the other clusters; not a number for a single cluster."""
        if len(self.vectors) < 2:
            return np.full(len(self.vectors), np.nan, np.float32)
        table = cosines(self.vectors, self.decoded_embeddings)
        return (table.sum(axis=1) - np.diagonal(table)) / (len(table) - 1)


def clusters_of(store: "Store", plan: ClusterPlan, terms: int = 5) -> StoreClusters:
    """The clusters of a store's vectors, each with `terms` words; of a store larger than the plan's rows, of a sample.

    Raises what `label` raises, and UsageError for a column that the store has not.
    """
    store.refresh()
    sample = stratified(groups(store, plan.by), plan.rows, plan.seed)
    known, rows = columns(store, ["id", "text"]), sample.rows.tolist()
    ids, texts = ([known[name][row] for row in rows] for name in ("id", "text"))
    vectors = store.vectors().embeddings[sample.rows]
    labels = label(vectors, plan.method, size=plan.size, seed=plan.seed)
    return StoreClusters(ids, texts, gather(vectors, texts, labels, terms), sample)


def mean_soft_prompts(store: "Store", ids: Sequence[str]) -> Float[np.ndarray, "n d"]:
    """The mean of those rows' soft prompts. Raises what `Store.soft_prompts` raises, ValueError for no rows.

    LLM2Vec-Gen's embedding is affine in the soft prompts (arXiv 2603.10913, section 3), so their mean is what the
    backbone would read had the rows' mean vector been encoded.
    """
    if not ids:
        raise ValueError("no rows have no mean")
    parts = [ids[start : start + PART] for start in range(0, len(ids), PART)]
    total = sum(store.soft_prompts(part).sum(axis=0, dtype=np.float64) for part in parts)
    return np.asarray(total / len(ids), dtype=np.float32)


def read_centres(
    embedder: "Embedder",
    centroids: Float[np.ndarray, "c d_e"],
    soft_prompts: Float[np.ndarray, "c n d"],
    *,
    max_new_tokens: int = 64,
) -> Centres:
    """What the plain backbone says behind the soft prompts of each centre (greedy), and that sentence embedded.

    `soft_prompts` are the members' means (`mean_soft_prompts`), or the centroids through a lifter (`Lifter.lift`).
    """
    from workbench.decoding.decode import decode  # torch comes with it

    decoded = decode(embedder.backbone, soft_prompts, max_new_tokens=max_new_tokens)
    again = np.asarray(embedder.encode_document(decoded), dtype=np.float32)
    return Centres(np.asarray(centroids, dtype=np.float32), decoded, again)


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
