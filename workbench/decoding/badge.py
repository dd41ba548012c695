"""Badges: how far to trust what an embedding decodes to, in one word with its numbers.

A text is compared with what it was read from in two ways, both against foils (encodings of other texts): the cosine of
the vector with the embedded text, and the text's likelihood behind it. Two more figures say whether the embedder's own
lie there at all. What counts as much comes from a `Reference`, never from the other rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
from torch import Tensor

from workbench.decoding.figures import Foils, embed_documents, figures
from workbench.decoding.manifold import Manifold
from workbench.decoding.media import medium_of
from workbench.decoding.medium import Cached, Medium
from workbench.decoding.reference import Reference
from workbench.embedders.base import Embedder
from workbench.errors import UsageError

Level = Literal["high", "doubtful", "off the manifold"]


@dataclass(frozen=True)
class Badge:
    """How far to trust one reading."""

    cosine: float
    """Between the vector and the embedding of the decoded text."""
    null: float
    """The mean of the same with the foils' decoded texts."""
    gap: float
    """Log-likelihood a token of the decoded text behind what it was read from, less the mean of that behind foils'."""
    score: float
    """`Reference.score`."""
    stretch: float
    """How unusual the norms are, in limits: above 1 the block is off the manifold."""
    outside: float
    """How much lies in unusual directions, in limits: above 1 the block is off the manifold."""
    level: Level
    """"off the manifold" as these two say; else "high" where the score reaches the reference's threshold and the cosine
    is above its null, which no likelihood makes up for; else "doubtful"."""

    def to_dict(self) -> dict[str, float | str]:
        """The badge as JSON takes it, four digits behind the point."""
        return {
            name: value if isinstance(value, str) else round(value, 4) for name, value in asdict(self).items()
        }

    def line(self) -> str:
        """The badge in one line."""
        return f"cosine {self.cosine:.2f} (others {self.null:.2f})  gap {self.gap:+.2f}  {self.level}"


class Judge:
    """Gives badges to the readings of one embedder, through one medium."""

    def __init__(self, embedder: Embedder | Medium, reference: Reference) -> None:
        """`embedder` stands for what its encodings keep. Raises UsageError for a method that keeps nothing to read,
        FingerprintMismatch for the reference of another embedder, medium or lifter."""
        self.medium = medium_of(embedder)
        self.reference = reference
        reference.check(self.medium)
        known = self.medium.represent(reference.texts)
        self.manifold = Manifold.of(self.medium.blocks(known)[: len(known) // 2])
        documents = embed_documents(self.medium.embedder, reference.foil_texts)
        self.foils = Foils(known[reference.foils], documents)

    def badges(
        self, kept: Tensor | np.ndarray | Cached, texts: Sequence[str], *, batch_size: int = 64
    ) -> list[Badge]:
        """The badge of each row of what the medium keeps with the text beside it, which was decoded from it.

        That is soft prompts `[b, n, d]`, pooled vectors `[b, d_e]` or caches. A badge depends on nothing but its own
        pair. Raises UsageError for another shape than the embedder's, or a number of texts that is not theirs.
        """
        rows = self.medium.given(kept)
        blocks = self.medium.blocks(rows)
        if blocks.shape[1:] != self.manifold.center.shape or len(blocks) != len(texts):
            wanted = [len(texts), *self.manifold.center.shape]
            raise UsageError(
                f"{self.medium.name} of shape {list(blocks.shape)} for {len(texts)} texts, not {wanted}"
            )
        if not len(blocks):
            return []
        found = figures(self.medium, self.foils, rows, texts, batch_size=batch_size)
        columns = (
            found.cosine,
            found.null,
            found.gap,
            self.reference.score(found),
            self.manifold.stretch(blocks).numpy() / self.reference.stretch_limit,
            self.manifold.outside(blocks).numpy() / self.reference.outside_limit,
        )
        numbers = np.stack(columns, axis=1).tolist()
        return [
            Badge(*row, level=self._level(margin, *row[3:]))
            for row, margin in zip(numbers, found.margin.tolist(), strict=True)
        ]

    def _level(self, margin: float, score: float, stretch: float, outside: float) -> Level:
        if max(stretch, outside) > 1:
            return "off the manifold"
        return "high" if score >= self.reference.threshold and margin > 0 else "doubtful"
