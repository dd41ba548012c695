"""Badges: how far to trust what a block of soft prompts decodes to, in one word with its numbers.

A text is compared with its block in two ways, both against foils (encodings of other texts): the cosine of the block's
vector with the embedded text, and the text's likelihood behind the block. Two more figures say whether the block lies
where this embedder's soft prompts lie at all. What counts as much comes from a `Reference`, never from the other rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from workbench.decoding.figures import Foils, embed_documents, figures
from workbench.decoding.manifold import Manifold
from workbench.decoding.reference import Reference, with_soft_prompts
from workbench.embedders.base import Embedder
from workbench.errors import FingerprintMismatch, UsageError

Level = Literal["high", "doubtful", "off the manifold"]


@dataclass(frozen=True)
class Badge:
    """How far to trust one reading."""

    cosine: float
    """Between the vector and the embedding of the decoded text."""
    null: float
    """The mean of the same with the foils' decoded texts."""
    gap: float
    """Log-likelihood a token of the decoded text behind its own soft prompts, less the mean of that behind foils'."""
    score: float
    """`Reference.score`."""
    stretch: float
    """How unusual the norms are, in limits: above 1 the block is off the manifold."""
    outside: float
    """How much lies in unusual directions, in limits: above 1 the block is off the manifold."""
    level: Level
    """"off the manifold" as these two say; else "high" from the reference's threshold on, below it "doubtful"."""

    def to_dict(self) -> dict[str, float | str]:
        """The badge as JSON takes it, four digits behind the point."""
        return {
            name: value if isinstance(value, str) else round(value, 4) for name, value in asdict(self).items()
        }

    def line(self) -> str:
        """The badge in one line."""
        return f"cosine {self.cosine:.2f} (others {self.null:.2f})  gap {self.gap:+.2f}  {self.level}"


class Judge:
    """Gives badges to the readings of one embedder."""

    def __init__(self, embedder: Embedder, reference: Reference) -> None:
        """Raises UsageError for a method without soft prompts, FingerprintMismatch for another embedder's reference."""
        self.embedder = with_soft_prompts(embedder)
        self.reference = reference
        if reference.embedder != embedder.fingerprint():
            raise FingerprintMismatch(
                "the reference of trust", "embedder", reference.embedder, embedder.fingerprint()
            )
        known = self.embedder.represent(reference.texts).soft_prompts
        assert known is not None  # LLM2Vec-Gen always has them
        self.manifold = Manifold.of(known[: len(known) // 2])
        self.foils = Foils(known[reference.foils], embed_documents(self.embedder, reference.foil_texts))

    def badges(
        self, soft_prompts: Tensor | np.ndarray, texts: Sequence[str], *, batch_size: int = 64
    ) -> list[Badge]:
        """The badge of each block `[n, d]` of `[b, n, d]` with the text beside it, which `decode` made of it.

        A badge depends on nothing but its own pair. Raises UsageError for blocks of another shape than the embedder's,
        or a number of texts that is not theirs.
        """
        blocks = torch.as_tensor(soft_prompts).float()
        if blocks.shape[1:] != self.manifold.center.shape or len(blocks) != len(texts):
            wanted = [len(texts), *self.manifold.center.shape]
            raise UsageError(
                f"soft prompts of shape {list(blocks.shape)} for {len(texts)} texts, not {wanted}"
            )
        if not len(blocks):
            return []
        found = figures(self.embedder, self.foils, blocks, texts, batch_size=batch_size)
        columns = (
            found.cosine,
            found.null,
            found.gap,
            self.reference.score(found),
            self.manifold.stretch(blocks).numpy() / self.reference.stretch_limit,
            self.manifold.outside(blocks).numpy() / self.reference.outside_limit,
        )
        rows = np.stack(columns, axis=1).tolist()
        return [Badge(*row, level=self._level(*row[3:])) for row in rows]

    def _level(self, score: float, stretch: float, outside: float) -> Level:
        if max(stretch, outside) > 1:
            return "off the manifold"
        return "high" if score >= self.reference.threshold else "doubtful"
