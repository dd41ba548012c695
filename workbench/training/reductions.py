"""Losses of a batch that several processes share: each computes the whole batch's loss from its part.

Every process then holds the same loss, and DistributedDataParallel averages the gradients that each sends through its
own part. A part's gradient is therefore counted as often as there are processes: the average is the whole batch's.
A process alone gets back what it gave, bit for bit.
"""

from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Float, Int
from torch import Tensor

from workbench.backbone import Backbone
from workbench.backbone.likelihood import token_loss
from workbench.objectives import IGNORED, labelled
from workbench.processes import here


def sum_over_all(part: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """The sum of all processes' parts."""
    return part if here().count == 1 else _Sum.apply(part)


def counts_over_all(*counts: Int[Tensor, ""]) -> Int[Tensor, " counts"]:
    """How many rows, tokens .. all processes have together; raises ValueError where that is 0."""
    whole = torch.stack(counts)
    if here().count > 1:
        dist.all_reduce(whole)
    if not whole.all():
        raise ValueError("a batch without a row or a labelled token has no mean loss")
    return whole


def mean_over_all(mean: Float[Tensor, ""], count: Int[Tensor, ""]) -> Float[Tensor, ""]:
    """The mean over all processes' terms of what has this `mean` over this process's `count` terms.

    A process with three times the tokens counts three times as much. Raises ValueError where nobody has a term.
    """
    if here().count == 1:
        return mean
    return sum_over_all(mean * (count / counts_over_all(count)[0]))


def rows_of_all(rows: Float[Tensor, "b d"]) -> Float[Tensor, "b_all d"]:
    """The rows of all processes behind each other, as many as each has; gradients reach this process's own."""
    return rows if here().count == 1 else _Gather.apply(rows)


def token_loss_over_all(
    backbone: Backbone, predicting: Float[Tensor, "b t d"], labels: Int[Tensor, "b t"]
) -> Float[Tensor, ""]:
    """`token_loss` over the labelled tokens of all processes."""
    return mean_over_all(own_token_loss(backbone, predicting, labels), (labels != IGNORED).sum())


def own_token_loss(
    backbone: Backbone,
    predicting: Float[Tensor, "b t d"],
    labels: Int[Tensor, "b t"],
    places: Int[Tensor, " m"] | None = None,
) -> Float[Tensor, ""]:
    """`token_loss` of this process's tokens; 0 where others have labelled tokens and this one none."""
    if here().count > 1 and not len(labelled(labels) if places is None else places):
        return predicting.float().sum() * 0
    return token_loss(backbone, predicting, labels, places)


class _Sum(torch.autograd.Function):
    """The sum over all processes; see the module about its gradient."""

    @staticmethod
    def forward(ctx: Any, part: Tensor) -> Tensor:
        whole = part.clone()
        dist.all_reduce(whole)
        return whole

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0] * here().count


class _Gather(torch.autograd.Function):
    """The rows of all processes; every process computes the same from them, so each knows its own rows' gradient."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        processes = here()
        sizes = [torch.zeros(1, dtype=torch.long, device=rows.device) for _ in range(processes.count)]
        dist.all_gather(sizes, torch.tensor([len(rows)], device=rows.device))
        counts = [int(size) for size in sizes]
        padded = rows.new_zeros(max(counts), rows.shape[1])
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(parts, padded)
        ctx.start, ctx.count = sum(counts[: processes.index]), len(rows)
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0][ctx.start : ctx.start + ctx.count] * here().count
