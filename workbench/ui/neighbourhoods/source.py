"""Where the texts of the map come from, and what can be asked of them; nothing is computed before it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    import numpy as np

    from workbench.atlas.corpus import Held
    from workbench.atlas.directions import Directions
    from workbench.atlas.named import Named
    from workbench.atlas.points import Points
    from workbench.atlas.sample import Sample
    from workbench.atlas.search import Hit
    from workbench.decoding.trust import Readings

Method = Literal["k-means", "HDBSCAN"]
Projection = Literal["PCA", "UMAP"]


class Pointing(NamedTuple):
    """Where the embeddings of some rows point, and which rows those were."""

    found: Directions
    sample: Sample


@dataclass(frozen=True)
class Source:
    """Points, and what can be asked of them. Every function raises WorkbenchError where it cannot answer."""

    key: str
    """Tells it apart from every other source; a selection belongs to it."""
    points: Points
    own: Callable[[str], Readings]
    """A text of the user's own, read."""
    read: Callable[[int], Readings]
    """A point, read."""
    near: Callable[[np.ndarray, int, str | None], list[Hit]]
    """The k rows nearest to a vector, among those that a filter lets through."""
    let: Callable[[str], list[int]]
    """The points that a filter (SQL over the metadata, id and text) lets through."""
    clusters: Callable[[Method, int], Named]
    direction: Callable[[Readings], Directions]
    """Where one reading's embedding points."""
    directions: Callable[[], Pointing]
    """Where the embeddings of many points point."""
    others: float = float("nan")
    """The mean cosine of an embedding with the decoded texts of other rows, where it is known."""
    says: str = ""
    """What was read and what was left out."""


@dataclass(frozen=True)
class Sources:
    """How each kind of source is opened; each raises WorkbenchError where it cannot be."""

    shipped: Callable[[], Source]
    store: Callable[[str], Source]
    hold: Callable[[str, bytes], Held]
    """A file's name and bytes, put into a temporary folder and looked over."""
    corpus: Callable[[Held, str, Callable[[int, int], Any]], Callable[[Projection], Source]]
    """A held file, embedded by its column of texts while `progress(done, total)` is told; then drawn either way."""
