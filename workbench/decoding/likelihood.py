"""How likely texts are behind soft prompts: the reconstruction term of training, read text by text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from workbench.errors import UsageError

if TYPE_CHECKING:
    from workbench.backbone import Backbone

LOGITS_AT_ONCE = 2**25
"""Logits held at once, at most: positions times vocabulary."""


@torch.no_grad()
def text_likelihood(
    backbone: Backbone,
    soft_prompts: Float[Tensor, "b n d"],
    texts: Sequence[str],
    *,
    batch_size: int = 64,
) -> Float[np.ndarray, " b"]:
    """The mean log-likelihood of a token of each text behind its own block, `-CE(r | p)` (arXiv 2603.10913, section 3).

    The closing EOS is a token of the text, so that an empty text has one too; the last soft prompt predicts the first.
    Texts of similar length share a batch, and a text's figure does not depend on its company. A text that is longer
    than the backbone's window loses its tail. Raises UsageError unless there is one block for each text.
    """
    if len(soft_prompts) != len(texts):
        raise UsageError(f"{len(soft_prompts)} blocks of soft prompts, but {len(texts)} texts")
    found = np.zeros(len(texts), dtype=np.float32)
    if not len(found):
        return found
    room = backbone.max_length - soft_prompts.shape[1]
    words = backbone.tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    ids = [[*row, backbone.eos_ids[0]][:room] for row in words]
    order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        found[rows] = _of_batch(backbone, soft_prompts[rows], [ids[row] for row in rows]).cpu().numpy()
    return found


def _of_batch(
    backbone: Backbone, soft_prompts: Float[Tensor, "b n d"], ids: list[list[int]]
) -> Float[Tensor, " b"]:
    """One pass over prompts and texts; padding stands on the right, where causal attention hides it."""
    batch = backbone.pad(ids, side="right")
    prompts = soft_prompts.to(backbone.device, backbone.dtype)
    inputs = torch.cat([prompts, backbone.embed(batch.ids[:, :-1])], dim=1)
    rows, length = inputs.shape[:2]
    everything = torch.ones(rows, length, dtype=torch.bool, device=inputs.device)
    positions = torch.arange(length, device=inputs.device).expand(rows, -1)
    states = backbone.hidden(inputs, mask=everything, positions=positions).last[:, prompts.shape[1] - 1 :]
    chunk = max(1, LOGITS_AT_ONCE // backbone.vocab_size)
    parts = zip(states[batch.mask].split(chunk), batch.ids[batch.mask].split(chunk), strict=True)
    logs = torch.cat([_log_likelihood(backbone, part, wanted) for part, wanted in parts])
    table = logs.new_zeros(batch.ids.shape)
    table[batch.mask] = logs
    return table.sum(dim=1) / batch.mask.sum(dim=1)


def _log_likelihood(backbone: Backbone, states: Tensor, wanted: Tensor) -> Tensor:
    logits = backbone.logits(states).float()
    return logits.log_softmax(dim=-1).gather(1, wanted[:, None])[:, 0]
