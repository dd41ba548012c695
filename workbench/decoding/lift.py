"""Vectors that were never encoded, read through a lifter: centroids, differences, interpolations, a teacher's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from workbench.decoding.search import best_readings
from workbench.decoding.trust import cosines

if TYPE_CHECKING:
    from torch import Tensor

    from workbench.decoding.search import Embed, Search
    from workbench.embedders.base import Embedder
    from workbench.embedders.lifter import Lifter


@dataclass(frozen=True)
class Lifted:
    """Pooled vectors, what they decode to, and how far to trust that."""

    vectors: Float[np.ndarray, "b d_e"]
    decoded: list[str]
    """What the plain backbone says behind the lifted soft prompts, greedy; or the best that a search found."""
    decoded_embeddings: Float[np.ndarray, "b d_e"]
    """The decoded texts, embedded as documents."""
    soft_prompts: Float[np.ndarray, "b n d"]

    def __post_init__(self) -> None:
        lengths = {len(column) for column in (self.vectors, self.decoded, self.soft_prompts)}
        if len(lengths) != 1 or self.vectors.shape != self.decoded_embeddings.shape:
            raise ValueError(
                f"a reading's columns differ: {lengths} rows, vectors {self.vectors.shape}, "
                f"decoded {self.decoded_embeddings.shape}"
            )

    @property
    def round_trip(self) -> Float[np.ndarray, " b"]:
        """Cosine between each vector and the embedding of its decoded text, from -1 to 1."""
        return np.diagonal(cosines(self.vectors, self.decoded_embeddings)).copy()

    @property
    def shuffled(self) -> float:
        """The mean cosine between a vector and the decoded texts of *other* rows; not a number for a single row."""
        table = cosines(self.vectors, self.decoded_embeddings)
        return float(table[~np.eye(len(table), dtype=bool)].mean()) if len(table) > 1 else float("nan")


def read_vectors(
    embedder: Embedder,
    lifter: Lifter,
    vectors: Tensor | np.ndarray,
    *,
    search: Search | None = None,
    embed: Embed | None = None,
    max_new_tokens: int = 64,
    batch_size: int = 64,
) -> Lifted:
    """Lifts vectors `[b, d_e]`, or `[d_e]` for one, to soft prompts and lets the plain backbone read those (greedy).

    With `search` the best of many readings of what lies near each vector is kept (`search.best_readings`, which takes
    `embed`).

    `lifter` comes from `load_lifter(embedder)`, which sees to it that both belong together. The round trip embeds the
    decoded texts behind the "document" instruction, as in `trust.read`. Raises WorkbenchError for vectors of another
    shape, and for those that are not finite or have no direction.
    """
    from workbench.decoding.decode import decode  # torch comes with it

    soft_prompts = lifter.lift(vectors)
    limits: dict[str, Any] = {"max_new_tokens": max_new_tokens, "batch_size": batch_size}
    if search is None:
        decoded = decode(embedder.backbone, soft_prompts, **limits)
    else:
        decoded = best_readings(embedder, lifter, vectors, search, embed=embed, **limits)
    again = np.asarray(embedder.encode_document(decoded, batch_size=batch_size), dtype=np.float32)
    given = np.asarray(vectors, dtype=np.float32)
    return Lifted(given.reshape(len(decoded), -1), decoded, again, soft_prompts.numpy())
