"""Pure losses: tensors in, scalars out; no model, no logging."""

from collections.abc import Callable
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.checkpoint import checkpoint

IGNORED = -100
"""The label of a position that no loss counts."""


def alignment_loss(
    embedding: Float[Tensor, "b d_e"],
    target: Float[Tensor, "b d_e"],
    reduction: Literal["mean", "sum"] = "mean",
) -> Float[Tensor, ""]:
    """Squared distance between the embedding and the teacher's vector of the response (section 3).

    The paper writes a squared norm, that is a sum over the dimensions ("sum", then the mean over the batch);
    the official code takes the mean over the dimensions too, and so does our default "mean".
    """
    squared = (embedding.float() - target.float()).pow(2)
    return squared.mean() if reduction == "mean" else squared.sum(dim=-1).mean()


def labelled(labels: Int[Tensor, "b t"]) -> Int[Tensor, " m"]:
    """Where labels are, counted through all rows. How many there are, a GPU has to be asked: best before it works."""
    return (labels.flatten() != IGNORED).nonzero()[:, 0]


def reconstruction_loss(
    hidden: Float[Tensor, "b t d"],
    labels: Int[Tensor, "b t"],
    head: Callable[[Tensor], Tensor],
    *,
    chunk: int | None = None,
    places: Int[Tensor, " m"] | None = None,
) -> Float[Tensor, ""]:
    """Mean cross-entropy of the response tokens, `CE(r | p)`, over all labelled positions of the batch (section 3).

    `hidden[i, j]` must predict `labels[i, j]`; positions labelled -100 count nothing and get no logits at all.
    `head` turns hidden states `[m, d]` into logits `[m, V]`; where it is frozen, the gradients of `hidden` are taken
    right away. With `chunk`, logits of at most that many positions exist at once; those of a head that trains are
    computed again for the backward pass. `places` is `labelled(labels)` where that is known already. Raises ValueError
    where nothing is labelled.
    """
    places = labelled(labels) if places is None else places
    states, wanted = hidden.flatten(0, 1).index_select(0, places), labels.flatten()[places]
    if wanted.numel() == 0:
        raise ValueError("no position is labelled: the reconstruction loss has nothing to predict")

    size = chunk or len(wanted)
    if states.requires_grad and torch.is_grad_enabled() and not head(states[:1].detach()).requires_grad:
        return _Ahead.apply(states, wanted, head, size) / len(wanted)  # type: ignore[return-value]

    def summed(part: Tensor, goal: Tensor) -> Tensor:
        return F.cross_entropy(head(part).float(), goal, reduction="sum")

    if size >= len(wanted):
        return summed(states, wanted) / len(wanted)
    parts = zip(states.split(size), wanted.split(size), strict=True)
    total = [checkpoint(summed, part, goal, use_reentrant=False) for part, goal in parts]
    return torch.stack(total).sum() / len(wanted)


class _Ahead(torch.autograd.Function):
    """A sum over chunks of states whose gradient is taken on the way forward; the way back only scales it.

    The gradient by the logits is what the model expects less what is there, `softmax - one_hot`: made in place of the
    log-likelihoods, in one pass where autograd's own way takes four over tensors of that size.
    """

    @staticmethod
    def forward(ctx: Any, states: Tensor, wanted: Tensor, head: Any, chunk: int) -> Tensor:
        total, gradients = states.new_zeros((), dtype=torch.float32), []
        for part, goal in zip(states.split(chunk), wanted.split(chunk), strict=True):
            with torch.enable_grad():
                part = part.detach().requires_grad_()
                logits = head(part)
            logs, own = logits.detach().float().log_softmax(dim=-1), goal[:, None]
            total -= logs.gather(1, own).sum()
            slope = logs.exp_().scatter_add_(1, own, logs.new_full(own.shape, -1.0))
            with torch.autocast(states.device.type, enabled=False):  # as in a backward pass of its own
                gradients += torch.autograd.grad(logits, part, slope.to(logits.dtype))
        ctx.gradient = torch.cat(gradients)
        return total

    @staticmethod
    def backward(ctx: Any, scale: Tensor) -> Any:  # type: ignore[override]
        return ctx.gradient * scale.to(ctx.gradient.dtype), None, None, None


def log_likelihoods(
    hidden: Float[Tensor, "b t d"],
    labels: Int[Tensor, "b t"],
    head: Callable[[Tensor], Tensor],
    *,
    chunk: int,
) -> Float[Tensor, "b t"]:
    """The log-likelihood of each labelled token on its own, 0 where nothing is labelled; no gradients.

    Arguments as in `reconstruction_loss`, which is the mean of these with the sign turned.
    """
    counted = labels != IGNORED
    table = hidden.new_zeros(labels.shape, dtype=torch.float32)
    if not bool(counted.any()):
        return table
    parts = zip(hidden[counted].split(chunk), labels[counted].split(chunk), strict=True)
    with torch.no_grad():
        logs = [head(part).float().log_softmax(dim=-1).gather(1, goal[:, None])[:, 0] for part, goal in parts]
    table[counted] = torch.cat(logs)
    return table


def contrastive_loss(
    anchors: Float[Tensor, "b d_e"], positives: Float[Tensor, "b d_e"], scale: Float[Tensor, ""]
) -> Float[Tensor, ""]:
    """Cross-entropy of each anchor's positive among it and the batch's other anchors (arXiv 2506.04344, equation 1).

    Similarity is the cosine times `scale` = exp(lambda). A positive is the same text with tokens left out; the other
    texts as they are, not their positives, are the negatives. Raises ValueError for a batch of one: no negatives.
    """
    if len(anchors) < 2:
        raise ValueError("a contrastive loss needs at least two texts: a batch of one has no negatives")
    ours = F.normalize(anchors.float(), dim=-1)
    own = (ours * F.normalize(positives.float(), dim=-1)).sum(dim=-1)
    similarity = ours @ ours.T
    itself = torch.eye(len(ours), dtype=torch.bool, device=ours.device)
    logits = scale * torch.where(itself, own[:, None], similarity)
    return F.cross_entropy(logits, torch.arange(len(ours), device=ours.device))
