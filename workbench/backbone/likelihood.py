"""How likely tokens are behind what a backbone has read: the states that predict them, and logits in chunks.

Training's reconstruction terms and the badges' likelihood gaps both come through here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor

from workbench.backbone.generation import cache_of
from workbench.backbone.kernels import on_gpu
from workbench.objectives import IGNORED, log_likelihoods, reconstruction_loss

if TYPE_CHECKING:
    from workbench.backbone.model import Backbone

LOGITS_AT_ONCE = 2**25
"""Logits held at once, at most: positions times vocabulary."""


def token_loss(
    backbone: Backbone,
    predicting: Float[Tensor, "b t d"],
    labels: Int[Tensor, "b t"],
    places: Int[Tensor, " m"] | None = None,
) -> Float[Tensor, ""]:
    """`reconstruction_loss` by the backbone's own head, in chunks as `chunk_of` says."""
    chunk = chunk_of(backbone, labels.numel())
    return reconstruction_loss(predicting, labels, backbone.logits, chunk=chunk, places=places)


def states_behind(
    backbone: Backbone, soft_prompts: Float[Tensor, "b n d"], ids: Int[Tensor, "b t"]
) -> Float[Tensor, "b t d"]:
    """The states that predict each of `ids` behind soft prompts, of which the last predicts the first token.

    Ids are padded on the right, where causal attention keeps real tokens from seeing padding: no mask is needed.
    """
    inputs = torch.cat([soft_prompts.to(backbone.device, backbone.dtype), backbone.embed(ids[:, :-1])], dim=1)
    return backbone.hidden(inputs).last[:, soft_prompts.shape[1] - 1 :]


def states_behind_cache(
    backbone: Backbone,
    keys_values: Float[Tensor, "b layers 2 heads n size"],
    last: Float[Tensor, "b d"],
    next_positions: Int[Tensor, " b"],
    ids: Int[Tensor, "b t"],
) -> Float[Tensor, "b t d"]:
    """The states that predict each of `ids` behind cached keys and values, as `Backbone.generate_behind` goes on there.

    The chat template's opening of an answer is read first, and its last token predicts the first of `ids`; without
    one, `last` does. Ids are padded on the right, where causal attention keeps real tokens from seeing padding.
    Gradients reach the cache where they are recorded.
    """
    rows, device = len(ids), backbone.device
    opening = torch.tensor(backbone.answer_opening, dtype=torch.long, device=device).expand(rows, -1)
    read = torch.cat([opening, ids[:, :-1].to(device)], dim=1)
    first = last.to(device, backbone.dtype)[:, None]
    if not read.shape[1]:
        return first
    cached, ahead = keys_values.shape[4], torch.arange(read.shape[1], device=device)
    places = next_positions.to(device)[:, None] + ahead
    states = backbone.hidden(
        backbone.embed(read),
        mask=torch.ones(rows, cached + read.shape[1], dtype=torch.bool, device=device),
        positions=places.clamp(max=backbone.max_length - 1),  # padding may lie beyond the window
        cache=cache_of(keys_values.to(device, backbone.dtype)),
    ).last
    return states[:, opening.shape[1] - 1 :] if opening.shape[1] else torch.cat([first, states], dim=1)


@torch.no_grad()
def mean_log_likelihoods(
    backbone: Backbone, predicting: Float[Tensor, "b t d"], labels: Int[Tensor, "b t"]
) -> Float[Tensor, " b"]:
    """Each row's mean log-likelihood of a labelled token, by the backbone's own head; a row has at least one."""
    chunk = chunk_of(backbone, labels.numel())
    logs = log_likelihoods(predicting, labels, backbone.logits, chunk=chunk)
    return logs.sum(dim=1) / (labels != IGNORED).sum(dim=1)


def chunk_of(backbone: Backbone, positions: int) -> int:
    """How many of so many positions get logits at once: LOGITS_AT_ONCE, on a GPU a sixteenth where that is more.

    A GPU multiplies a few rows hardly faster than many; the chunks of a large batch may be larger.
    """
    few = max(1, LOGITS_AT_ONCE // backbone.vocab_size)
    return max(few, positions // 16) if on_gpu(backbone.device) else few
