"""Perplexity of a backbone on texts, token by token."""

from __future__ import annotations

import math

import torch

from workbench.backbone import Backbone
from workbench.errors import UsageError
from workbench.objectives import IGNORED, reconstruction_loss


@torch.no_grad()
def perplexity(backbone: Backbone, ids: list[list[int]], *, batch_size: int = 64) -> float:
    """exp of the mean negative log-likelihood of every token after the first of its text, over all texts.

    `ids` are token ids as the backbone reads them. The mean is over tokens, so a batch changes nothing. Raises
    UsageError where no text has two tokens.
    """
    order = sorted((row for row in ids if len(row) > 1), key=len)
    if not order:
        raise UsageError("perplexity needs a text of at least two tokens")
    total, count = 0.0, 0
    for start in range(0, len(order), batch_size):
        batch = backbone.pad(order[start : start + batch_size], side="right")
        states = backbone.hidden(backbone.embed(batch.ids), mask=batch.mask, positions=batch.positions)
        labels = batch.ids.masked_fill(~batch.mask, IGNORED)[:, 1:]
        tokens = int((labels != IGNORED).sum())
        total += float(reconstruction_loss(states.last[:, :-1], labels, backbone.logits)) * tokens
        count += tokens
    return math.exp(total / count)
