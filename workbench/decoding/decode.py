"""Soft prompts back to text: the backbone reads the vectors and continues, batched and KV-cached."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from workbench.backbone import Backbone
from workbench.errors import WorkbenchError


def decode(
    embedder: Any,
    soft_prompts: Tensor | np.ndarray,
    *,
    max_new_tokens: int = 64,
    temperature: float = 0.0,
    seed: int = 0,
    batch_size: int = 64,
) -> list[str]:
    """The text that the backbone reads out of each block of soft prompts (arXiv 2603.10913, section 3).

    `embedder` is anything with a `.backbone`, or a `Backbone`; `soft_prompts` is `[b, n, d]`, or `[n, d]` for one.
    Greedy at temperature 0. Raises `WorkbenchError` for a shape that does not fit or values that are not finite.
    """
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
    options: dict[str, Any] = {"max_new_tokens": max_new_tokens, "temperature": temperature, "seed": seed}
    return backbone.detokenize(backbone.generate_from(vectors.float(), batch_size=batch_size, **options))
