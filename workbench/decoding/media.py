"""The three media: LLM2Vec-Gen's soft prompts, GEM's special tokens, and a lifter for the pooled vectors of both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from workbench.decoding.decode import decode
from workbench.decoding.likelihood import cache_likelihood, text_likelihood
from workbench.decoding.medium import Cached, Medium
from workbench.decoding.search import Search, best_readings
from workbench.embedders.base import Embedder
from workbench.embedders.encoding import Encoding, SpecialCache
from workbench.embedders.gem import GEM
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.errors import UsageError

if TYPE_CHECKING:
    from workbench.embedders.lifter import Lifter


class SoftPrompts(Medium):
    """LLM2Vec-Gen's own soft prompts `[b, n, d]`."""

    name = "soft prompts"
    ships_as = "default"

    def __init__(self, embedder: Embedder) -> None:
        """Raises UsageError for a method without soft prompts."""
        self.reader = self.embedder = with_soft_prompts(embedder)

    def kept_of(self, encoding: Encoding) -> Tensor:
        assert encoding.soft_prompts is not None  # LLM2Vec-Gen always has them
        return encoding.soft_prompts

    def given(self, kept: Any) -> Tensor:
        return torch.as_tensor(kept).float()

    def decode(self, kept: Tensor, *, max_new_tokens: int = 64, batch_size: int = 64) -> list[str]:
        return decode(self.embedder, kept, max_new_tokens=max_new_tokens, batch_size=batch_size)

    @torch.no_grad()
    def embedding(self, kept: Tensor) -> Float[np.ndarray, "b d_e"]:
        """`W_a` of the soft prompts, as in encoding."""
        module = self.reader.module
        prompts = kept.to(module.alignment.weight.device, module.alignment.weight.dtype)
        return module.alignment(module.pool(prompts)).float().cpu().numpy()

    def likelihood(
        self, kept: Tensor, texts: Sequence[str], *, batch_size: int = 64
    ) -> Float[np.ndarray, " b"]:
        return text_likelihood(self.embedder.backbone, kept, texts, batch_size=batch_size)

    def vectors(self, kept: Tensor) -> Float[Tensor, "b n d"]:
        return kept

    def with_vectors(self, kept: Tensor, blocks: Float[Tensor, "b n d"]) -> Tensor:
        return blocks


class ThroughLifter(Medium):
    """Pooled vectors `[b, d_e]`, read through a lifter by the plain backbone.

    A lifter makes soft prompts like any other of whatever direction it is given, so that they tell nothing: the vector
    itself is judged, as a block of one, by its norm and its direction. Of a text that is one row to learn directions
    from, where soft prompts are many: a reference takes four times the texts. With `search`, what it decodes to is the
    best of many readings; the reference is that of the first ones.
    """

    name = "lifter"
    texts = 4 * Medium.texts

    def __init__(self, embedder: Embedder, lifter: Lifter, search: Search | None = None) -> None:
        self.embedder, self.lifter, self.search = embedder, lifter, search
        self.ships_as = f"{embedder.method}-lifter"
        self._lifter, self._lift = lifter, lifter.lift

    def kept_of(self, encoding: Encoding) -> Tensor:
        return encoding.embedding

    def given(self, kept: Any) -> Tensor:
        vectors = torch.as_tensor(kept).float().cpu()
        return vectors[None] if vectors.ndim == 1 else vectors

    def decode(self, kept: Tensor, *, max_new_tokens: int = 64, batch_size: int = 64) -> list[str]:
        limits: dict[str, Any] = {"max_new_tokens": max_new_tokens, "batch_size": batch_size}
        if self.search is not None:
            return best_readings(self.embedder, self._lifter, kept, self.search, **limits)
        return decode(self.embedder.backbone, self._lift(kept), **limits)

    def embedding(self, kept: Tensor) -> Float[np.ndarray, "b d_e"]:
        return kept.numpy()

    def likelihood(
        self, kept: Tensor, texts: Sequence[str], *, batch_size: int = 64
    ) -> Float[np.ndarray, " b"]:
        return text_likelihood(self.embedder.backbone, self._lift(kept), texts, batch_size=batch_size)

    def vectors(self, kept: Tensor) -> Float[Tensor, "b 1 d_e"]:
        return kept[:, None]

    def with_vectors(self, kept: Tensor, blocks: Float[Tensor, "b 1 d_e"]) -> Tensor:
        return blocks[:, 0]


class SpecialTokens(Medium):
    """GEM's special tokens: their keys and values in every layer, read by the fine-tuned backbone."""

    name = "special tokens"
    ships_as = "gem"
    embedder: GEM

    def __init__(self, embedder: GEM) -> None:
        self.embedder = embedder

    def kept_of(self, encoding: Encoding) -> Cached:
        if encoding.special_cache is None:
            raise UsageError("no text has no cache of special tokens")
        return Cached(encoding.special_cache, encoding.embedding)

    def given(self, kept: Any) -> Cached:
        if not isinstance(kept, Cached):
            raise UsageError(f"a badge of GEM's needs a cache with its embeddings, not {type(kept).__name__}")
        return kept

    def decode(self, kept: Cached, *, max_new_tokens: int = 64, batch_size: int = 64) -> list[str]:
        return decode(self.embedder, kept.cache, max_new_tokens=max_new_tokens, batch_size=batch_size)

    def embedding(self, kept: Cached) -> Float[np.ndarray, "b d_e"]:
        return kept.embedding.numpy()

    def likelihood(
        self, kept: Cached, texts: Sequence[str], *, batch_size: int = 64
    ) -> Float[np.ndarray, " b"]:
        with self.embedder.language_model() as backbone:
            return cache_likelihood(backbone, kept.cache, texts, batch_size=batch_size)

    def vectors(self, kept: Cached) -> Float[Tensor, "b n d"]:
        """`[b, n, layers * 2 * heads * size]`: a special token's keys and values, layer by layer."""
        return kept.cache.keys_values.movedim(4, 1).flatten(2)

    def with_vectors(self, kept: Cached, blocks: Float[Tensor, "b n d"]) -> Cached:
        """Other keys and values; the embedding and the state that ends the cache stay, and so give nothing away."""
        cache = kept.cache
        shape = cache.keys_values.movedim(4, 1).shape
        changed = blocks.reshape(len(blocks), *shape[1:]).movedim(1, 4)
        return Cached(SpecialCache(changed, cache.last, cache.next_positions), kept.embedding)

    def blocks(self, kept: Cached) -> Float[Tensor, "b n d"]:
        """The values alone: keys turn with their position, so that by them a longer text would look like none."""
        return kept.cache.keys_values[:, :, 1].movedim(3, 1).flatten(2)


def medium_of(
    embedder: Embedder | Medium, lifter: Lifter | None = None, search: Search | None = None
) -> Medium:
    """How an embedder is read: through a lifter (and a search) where one is given, else what its encodings keep.

    A medium is handed back as it is. Raises UsageError for a method whose encodings keep nothing to read.
    """
    if isinstance(embedder, Medium):
        return embedder
    if lifter is not None:
        return ThroughLifter(embedder, lifter, search)
    return SpecialTokens(embedder) if isinstance(embedder, GEM) else SoftPrompts(embedder)


def with_soft_prompts(embedder: Embedder) -> LLM2VecGen:
    """The embedder, if it is one whose encodings hold soft prompts; UsageError where it is not."""
    if not isinstance(embedder, LLM2VecGen):
        raise UsageError(f"a {embedder.method} embedder has no soft prompts; take an LLM2Vec-Gen embedder")
    return embedder
