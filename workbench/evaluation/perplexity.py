"""Perplexity of a backbone on texts, token by token."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float

from workbench.backbone import Backbone
from workbench.backbone.batching import by_length
from workbench.errors import UsageError
from workbench.evaluation.protocol import STATISTICS, Score
from workbench.objectives import IGNORED

POSITIONS = 1024  # logits that exist at once


def perplexity(backbone: Backbone, ids: list[list[int]], *, batch_size: int = 64) -> float:
    """exp of the mean negative log-likelihood of every token after the first of its text, over all texts.

    `ids` are token ids as the backbone reads them. The mean is over tokens, so a batch changes nothing. Raises
    UsageError where no text has two tokens.
    """
    total, count = likelihoods(backbone, ids, batch_size=batch_size).sum(axis=0)
    return math.exp(total / count)


def evaluate(
    texts: list[str], backbone: Backbone, *, task: str, max_length: int = 512, batch_size: int = 64
) -> Score:
    """Perplexity (the main score; lower is better) of texts as they are, without a template.

    Nothing predicts a text's first token, unless the tokenizer puts a BOS before it; texts lose what lies behind
    `max_length` tokens, and are counted. The score keeps each text's negative log-likelihood and how many tokens it is
    of, `[m, 2]`, and an interval resamples the texts. Raises UsageError where no text has two tokens.
    """
    tokens = backbone.tokenize(texts, template="raw", max_length=max_length)
    rows = likelihoods(backbone, tokens.ids, batch_size=batch_size)
    main = "perplexity"
    value = STATISTICS[main](rows)
    details = {
        "tokens": int(rows[:, 1].sum()),
        "max_length": max_length,
        "truncated": tokens.truncated,
        "too_short": len(texts) - len(rows),
        "lower_is_better": True,
    }
    metrics = {main: value, "nll_per_token": math.log(value)}
    return Score(task, main, main, value, metrics, len(rows), pairs=rows, details=details)


@torch.no_grad()
def likelihoods(
    backbone: Backbone, ids: list[list[int]], *, batch_size: int = 64
) -> Float[np.ndarray, "m 2"]:
    """The negative log-likelihood of each text of two tokens or more, and how many of its tokens were predicted.

    Texts of one token are left out, the others keep their order. Raises UsageError where none is left.
    """
    kept = [row for row in ids if len(row) > 1]
    if not kept:
        raise UsageError("perplexity needs a text of at least two tokens")
    found = np.zeros((len(kept), 2))
    for chosen in by_length([len(row) for row in kept], batch_size):
        batch = backbone.pad([kept[number] for number in chosen], side="right")
        states = backbone.hidden(backbone.embed(batch.ids), mask=batch.mask, positions=batch.positions)
        labels = batch.ids.masked_fill(~batch.mask, IGNORED)[:, 1:]
        counted = labels != IGNORED
        parts = zip(
            states.last[:, :-1][counted].split(POSITIONS), labels[counted].split(POSITIONS), strict=True
        )
        losses = [
            F.cross_entropy(backbone.logits(hidden).float(), label, reduction="none")
            for hidden, label in parts
        ]
        each = torch.zeros(len(chosen), dtype=torch.float64)
        each.index_add_(0, counted.nonzero()[:, 0].cpu(), torch.cat(losses).double().cpu())
        found[chosen, 0], found[chosen, 1] = each.numpy(), counted.sum(dim=1).cpu().numpy()
    return found
