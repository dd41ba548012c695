"""A medium: all that badges know of how an embedder's vectors are read, whatever its method keeps of a text.

How texts become what is kept, what that decodes to, its vector, how likely a text is behind it, and the blocks by which
one tells whether any text is known to lie there. The three media are in `media`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from jaxtyping import Float
from torch import Tensor

from workbench.embedders.base import Embedder
from workbench.embedders.encoding import Encoding, SpecialCache

if TYPE_CHECKING:
    from workbench.embedders.lifter import Lifter


@dataclass(frozen=True)
class Cached:
    """What GEM keeps of texts: the special tokens in every layer, and the vectors pooled from them.

    The vectors are no function of the cache: they may be pooled from states that no later layer reads.
    """

    cache: SpecialCache
    embedding: Float[Tensor, "b d_e"]

    def __post_init__(self) -> None:
        if len(self.cache) != len(self.embedding):
            raise ValueError(f"{len(self.cache)} caches, but {len(self.embedding)} embeddings")

    def __len__(self) -> int:
        return len(self.embedding)

    def __getitem__(self, rows: slice | list[int]) -> Cached:
        """What is kept of some of the texts."""
        return Cached(self.cache[rows], self.embedding[rows])


Kept = Tensor | Cached
"""Soft prompts `[b, n, d]`, pooled vectors `[b, d_e]`, or caches, on the CPU; rows are chosen by lists or slices."""


class Medium(ABC):
    """One way to read an embedder's vectors."""

    name: ClassVar[str]
    """What it is called in a reference."""
    texts: ClassVar[int] = 104
    """How many texts a reference is made of where none are given."""
    ships_as: str
    """The name of its reference among those that ship."""
    embedder: Embedder
    lifter: Lifter | None = None
    """The lifter that is read through, if any."""

    @cached_property
    def lifter_fingerprint(self) -> str:
        """Which lifter is read through; empty without one."""
        return "" if self.lifter is None else self.lifter.fingerprint()

    def represent(self, texts: Sequence[str], *, batch_size: int | None = None) -> Kept:
        """What is kept of each text."""
        return self.kept_of(self.embedder.represent(texts, batch_size=batch_size))

    @abstractmethod
    def kept_of(self, encoding: Encoding) -> Kept:
        """What is kept of an encoding."""

    @abstractmethod
    def given(self, kept: Any) -> Kept:
        """`kept` as callers give it, as this medium keeps it."""

    @abstractmethod
    def decode(self, kept: Kept, *, max_new_tokens: int = 64, batch_size: int = 64) -> list[str]:
        """The text that each of them decodes to, greedy."""

    @abstractmethod
    def embedding(self, kept: Kept) -> Float[np.ndarray, "b d_e"]:
        """The vector that each of them stands for."""

    @abstractmethod
    def likelihood(
        self, kept: Kept, texts: Sequence[str], *, batch_size: int = 64
    ) -> Float[np.ndarray, " b"]:
        """The mean log-likelihood of a token of each text behind the row beside it."""

    @abstractmethod
    def vectors(self, kept: Kept) -> Float[Tensor, "b n d"]:
        """All that is read, as blocks of vectors."""

    @abstractmethod
    def with_vectors(self, kept: Kept, blocks: Float[Tensor, "b n d"]) -> Kept:
        """`kept` with these in the place of `vectors`."""

    def blocks(self, kept: Kept) -> Float[Tensor, "b n d"]:
        """What `Manifold` judges by: `vectors`, unless a medium knows better."""
        return self.vectors(kept)
