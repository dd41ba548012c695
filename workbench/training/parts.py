"""A batch in parts: no more of it is held for the backward pass at once than one part needs.

Losses that are means over a batch are weighted sums over its parts, and what trains is small: each part's gradients
are taken as soon as its losses are there, and added up. The same work as for the whole batch, in other portions.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from workbench.objectives import IGNORED
from workbench.training.batches import Batch


def split(batch: Batch, rows: int) -> list[Batch]:
    """Parts of at most so many rows, as few and as even as possible, each as wide as its own longest texts."""
    count = -(-len(batch.targets) // rows)
    if count == 1:
        return [batch]
    return [_trimmed(Batch(*fields)) for fields in zip(*(x.tensor_split(count) for x in batch), strict=True)]


def _trimmed(part: Batch) -> Batch:
    """Without the padding that all rows have."""
    query = part.query_ids.shape[1] - int(part.query_mask.sum(dim=1).max())
    response = int((part.labels != IGNORED).sum(dim=1).max())
    return part._replace(
        query_ids=part.query_ids[:, query:],
        query_mask=part.query_mask[:, query:],
        query_positions=part.query_positions[:, query:],
        response_ids=part.response_ids[:, :response],
        labels=part.labels[:, :response],
    )


def summed(
    losses_of: Callable[[Any], Sequence[Tensor]], parts: Sequence[Any], trained: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    """The losses of all parts added up; gradients of the first loss reach `trained`, all that it depends on.

    `losses_of(part)` gives scalars. The gradients are there when this returns; only one part's graph ever is.
    """
    if len(parts) == 1:
        return tuple(losses_of(parts[0]))
    if not torch.is_grad_enabled():
        return tuple(sum(column) for column in zip(*map(losses_of, parts), strict=True))  # type: ignore[misc]
    return _Summed.apply(losses_of, parts, *trained)  # type: ignore[return-value]


class _Summed(torch.autograd.Function):
    """Takes the gradients on the way forward; the way back only scales them."""

    @staticmethod
    def forward(ctx: Any, losses_of: Any, parts: Any, *trained: Tensor) -> tuple[Tensor, ...]:
        sums: list[Tensor] = []
        ctx.gradients = [torch.zeros_like(weight) for weight in trained]
        for part in parts:
            with torch.enable_grad():
                losses = losses_of(part)
            with torch.autocast(losses[0].device.type, enabled=False):  # as in a backward pass of its own
                found = torch.autograd.grad(losses[0], trained, allow_unused=True)
            for total, gradient in zip(ctx.gradients, found, strict=True):
                if gradient is not None:
                    total += gradient
            values = [loss.detach() for loss in losses]
            sums = [total + value for total, value in zip(sums, values, strict=True)] if sums else values
        ctx.mark_non_differentiable(*sums[1:])
        return tuple(sums)

    @staticmethod
    def backward(ctx: Any, scale: Tensor, *_: Tensor) -> Any:  # type: ignore[override]
        return None, None, *(gradient * scale.to(gradient.dtype) for gradient in ctx.gradients)
