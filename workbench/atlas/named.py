"""Clusters of points with what the language model says at their centres; and points as a store in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from workbench.atlas.clusters import Centres, Cluster, gather, label, mean_soft_prompts, read_centres
from workbench.atlas.layout import StoreFacts
from workbench.atlas.plans import ROWS
from workbench.atlas.points import Points
from workbench.atlas.prebuilt import Atlas
from workbench.atlas.sample import Sample, stratified
from workbench.atlas.store import Made, Store, create_store

if TYPE_CHECKING:
    from workbench.embedders.base import Embedder


class Named(NamedTuple):
    """Clusters of points, largest first, and what stands at their centres."""

    clusters: list[Cluster]
    """Their rows are numbers of points."""
    centres: Centres | None
    """None where no soft prompts are kept, and no centre can be read."""
    sample: Sample
    """Which points were clustered."""


def named(
    embedder: Embedder,
    points: Points,
    method: Literal["hdbscan", "kmeans"],
    size: int,
    kept: Store | Atlas,
    *,
    rows: int = ROWS,
) -> Named:
    """The clusters of the points (of a sample above `rows`), read through the soft prompts that `kept` holds of them.

    Raises what `label` raises.
    """
    sample = stratified([""] * len(points), rows)
    texts = [points.texts[row] for row in sample.rows.tolist()]
    vectors = points.embeddings[sample.rows]
    found = gather(vectors, texts, label(vectors, method, size=size))
    found = [Cluster(sample.rows[one.rows], one.centroid, one.terms) for one in found]
    if not found or (isinstance(kept, Store) and kept.facts.soft_prompts is None):
        return Named(found, None, sample)
    means = np.stack([_mean(kept, points, one.rows) for one in found])
    return Named(found, read_centres(embedder, np.stack([one.centroid for one in found]), means), sample)


def _mean(kept: Store | Atlas, points: Points, rows: np.ndarray) -> np.ndarray:
    if isinstance(kept, Store):
        return mean_soft_prompts(kept, [points.ids[row] for row in rows.tolist()])
    return kept.soft_prompts[rows].mean(axis=0)


def in_memory(points: Points) -> Store:
    """The points as a store without a folder, for filters in SQL; its metadata are texts, and nothing is decoded."""
    import pyarrow as pa

    facts = StoreFacts(
        method="", embedder="", backbone={}, dimension=points.embeddings.shape[1], soft_prompts=None,
        instruction=None, source="", source_hash="", reading={},
    )  # fmt: skip
    store = create_store("memory://", facts, dict.fromkeys(points.metadata, pa.string()))
    rows = [
        {"id": name, "position": row, "text": points.texts[row], **points.of(row)}
        for row, name in enumerate(points.ids)
    ]
    store.write(rows, Made(points.embeddings, None))
    return store
