"""Encodings back to text: the backbone reads soft prompts, or a cache of special tokens, and continues."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from workbench.backbone import Backbone
from workbench.embedders.base import SpecialCache
from workbench.embedders.gem import GEM
from workbench.errors import WorkbenchError


def decode(
    embedder: Any,
    soft_prompts: Tensor | np.ndarray | SpecialCache,
    *,
    max_new_tokens: int = 64,
    temperature: float = 0.0,
    seed: int = 0,
    batch_size: int = 64,
) -> list[str]:
    """The text that the backbone reads out of each block of soft prompts (arXiv 2603.10913, section 3).

    `embedder` is anything with a `.backbone`, or a `Backbone`; `soft_prompts` is `[b, n, d]`, or `[n, d]` for one, or
    the `special_cache` of a GEM encoding, behind which the fine-tuned backbone answers. Batched, KV-cached, greedy
    at temperature 0. Raises `WorkbenchError` for a shape that does not fit or values that are not finite.
    """
    options: dict[str, Any] = {"max_new_tokens": max_new_tokens, "temperature": temperature, "seed": seed}
    if isinstance(soft_prompts, SpecialCache):
        return _decode_cache(embedder, soft_prompts, batch_size, options)
    backbone: Backbone = embedder if isinstance(embedder, Backbone) else embedder.backbone
    vectors = torch.as_tensor(soft_prompts)
    vectors = vectors[None] if vectors.ndim == 2 else vectors
    if vectors.ndim != 3 or vectors.shape[1] < 1 or vectors.shape[2] != backbone.hidden_size:
        wanted = f"[b, n, {backbone.hidden_size}]"
        raise WorkbenchError(
            f"soft prompts of shape {list(torch.as_tensor(soft_prompts).shape)}, not {wanted}"
        )
    if not vectors.isfinite().all():
        bad = (~vectors.isfinite()).any(dim=(1, 2)).nonzero()[:, 0].tolist()
        raise WorkbenchError(
            f"{len(bad)} of {len(vectors)} soft prompts hold NaN or infinity, the first is number {bad[0]}"
        )
    return backbone.detokenize(backbone.generate_from(vectors.float(), batch_size=batch_size, **options))


def _decode_cache(embedder: Any, cache: SpecialCache, batch_size: int, options: dict[str, Any]) -> list[str]:
    """What the fine-tuned backbone says when it sees nothing but the special tokens (arXiv 2506.04344, section 3.1)."""
    if not isinstance(embedder, GEM):
        raise WorkbenchError("a cache of special tokens is read by the GEM embedder that made it")
    if not cache.keys_values.isfinite().all():
        raise WorkbenchError("the cache of special tokens holds NaN or infinity")
    with embedder.language_model() as backbone:
        new = backbone.generate_behind(
            cache.keys_values, cache.last, cache.next_positions, batch_size=batch_size, **options
        )
    return embedder.backbone.detokenize(new)
