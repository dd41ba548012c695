"""Proof that an attention mask holds inside a model: applied weights, and gradients layer by layer."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from workbench.backbone import Backbone
from workbench.errors import UsageError, WorkbenchError
from workbench.masks import bottleneck_mask, to_additive

PROBES = [
    "The river flows through the old city to the sea.",
    "A lion eats meat, and in the evening it rests under a tree near the water.",
]
DRAWS = 4
"""Random combinations of the suffix logits that are differentiated: one that is 0 everywhere is no accident."""
TOLERANCE = {"eager": 0.0}
OTHER_TOLERANCE = 1e-6


@dataclass(frozen=True)
class LeakageAudit:
    """What leaks from the prefix to the suffix past the special tokens; every figure is 0 where nothing does.

    A bottleneck that is shut altogether would leak nothing either: `through` says that it is open.
    """

    kernel: str
    """The attention implementation of the gradients; the weights are always those of eager attention."""
    declared: Bool[Tensor, "b t t"]
    """The mask that should hold, True = may attend."""
    applied: list[float]
    """For each layer, the largest attention weight outside the declared mask (eager)."""
    gradient: list[float]
    """For each layer, the largest derivative of a combination of suffix logits with respect to that layer's input at
    a prefix token, the special tokens' own states held constant in every layer."""
    through: float
    """The same derivative with respect to the input embeddings, the special tokens' states free: must not be 0."""

    def __post_init__(self) -> None:
        if len(self.applied) != len(self.gradient) or not self.applied:
            raise ValueError(f"{len(self.applied)} layers of weights, {len(self.gradient)} of gradients")

    @property
    def tolerance(self) -> float:
        """The largest figure that counts as nothing: exactly 0 in eager, 1e-6 in other kernels."""
        return TOLERANCE.get(self.kernel, OTHER_TOLERANCE)

    @property
    def passed(self) -> bool:
        """Whether nothing leaks and the way through the special tokens is open."""
        leak = max(*self.gradient, 0.0)
        return max(self.applied) == 0.0 and leak <= self.tolerance and self.through > 0.0

    def summary(self) -> str:
        """One line for people."""
        found = (
            f"weights outside the mask {max(self.applied):.2g}, gradients past it {max(self.gradient):.2g}"
        )
        return f"{found} ({self.kernel}), through the special tokens {self.through:.2g}"

    def require(self) -> None:
        """Raises WorkbenchError where the audit failed."""
        if not self.passed:
            raise WorkbenchError(f"the bottleneck mask does not hold in this model: {self.summary()}")


def audit_leakage(
    backbone: Backbone,
    ids: Int[Tensor, "b t"],
    special: Bool[Tensor, "b t"],
    padding: Bool[Tensor, "b t"],
    *,
    inputs: Float[Tensor, "b t d"] | None = None,
    handed: Tensor | None = None,
    seed: int = 0,
) -> LeakageAudit:
    """Measure whether the suffix learns of the prefix by any way but the special tokens (arXiv 2506.04344, 3.1).

    `special` and `padding` as in `bottleneck_mask`. `inputs` are the input embeddings (default: the rows of the ids,
    at special tokens too). `handed` is what the model gets as attention mask (default: the declared mask as the model
    takes it); tests hand it a wrong one. Raises UsageError where no row has a prefix, special tokens and a suffix of
    two tokens.
    """
    declared = bottleneck_mask(special, padding)
    opened = (special & padding).cumsum(dim=1) > 0
    suffix, prefix = opened & ~special & padding, ~opened & padding & special.any(dim=1, keepdim=True)
    if not bool((suffix.sum(dim=1) > 1).logical_and(prefix.any(dim=1)).any()):
        raise UsageError("the audit needs a row with a prefix, special tokens and a suffix of two tokens")
    handed = to_additive(declared, backbone.dtype) if handed is None else handed
    options = {
        "attention_mask": handed.to(backbone.device),
        "position_ids": (padding.cumsum(dim=1) - 1).clamp(min=0).to(backbone.device),
        "use_cache": False,
    }
    embeds = (backbone.embed(ids) if inputs is None else inputs).detach()
    with backbone.eager_attention(), torch.no_grad():
        weights = backbone.model(inputs_embeds=embeds, output_attentions=True, **options).attentions
    if not weights or weights[0] is None:
        raise WorkbenchError(f"{backbone.id} returns no attention weights, not even with eager attention")
    outside = (~declared & padding[:, :, None]).to(backbone.device)[:, None]
    draw = torch.Generator().manual_seed(seed)
    gradient, through = _gradients(backbone, embeds, options, special, suffix, prefix, draw)
    return LeakageAudit(
        kernel=str(backbone.model.config._attn_implementation),
        declared=declared,
        applied=[float((layer * outside).max()) for layer in weights],
        gradient=gradient,
        through=through,
    )


def audit_backbone(backbone: Backbone) -> LeakageAudit:
    """The audit of any backbone on two short texts of different lengths, with three special tokens in each."""
    rows = backbone.tokenize(PROBES, template="raw").ids
    marked = [[*row[:4], *[backbone.eos_ids[0]] * 3, *row[4:]] for row in rows]
    batch = backbone.pad(marked)
    start = batch.mask.long().argmax(dim=1, keepdim=True) + 4
    column = torch.arange(batch.ids.shape[1], device=batch.ids.device)
    special = (column >= start) & (column < start + 3)
    return audit_leakage(backbone, batch.ids, special, batch.mask)


def _gradients(
    backbone: Backbone,
    embeds: Float[Tensor, "b t d"],
    inputs: dict[str, Any],
    special: Bool[Tensor, "b t"],
    suffix: Bool[Tensor, "b t"],
    prefix: Bool[Tensor, "b t"],
    draw: torch.Generator,
) -> tuple[list[float], float]:
    """The largest derivative past the special tokens for each layer, and the one through them."""
    leaks = torch.zeros(len(backbone.layers))
    through = 0.0
    combination = torch.randn(DRAWS, int(suffix.sum()), backbone.vocab_size, generator=draw).to(embeds)
    with torch.enable_grad():
        start = embeds.clone().requires_grad_()
        with _constant_specials(backbone, special.to(embeds.device)) as entering:
            last = backbone.model.base_model(inputs_embeds=start, **inputs).last_hidden_state
        logits = backbone.logits(last[suffix.to(embeds.device)])
        for weights in combination:
            found = torch.autograd.grad(
                (logits * weights).sum(), entering, retain_graph=True, allow_unused=True
            )
            worst = [0.0 if g is None else float(g[prefix.to(g.device)].abs().max()) for g in found]
            leaks = torch.maximum(leaks, torch.tensor(worst))
        free = embeds.clone().requires_grad_()
        last = backbone.model.base_model(inputs_embeds=free, **inputs).last_hidden_state
        logits = backbone.logits(last[suffix.to(embeds.device)])
        (found,) = torch.autograd.grad((logits * combination[0]).sum(), [free])
        through = float(found[prefix.to(found.device)].abs().max())
    return leaks.tolist(), through


@contextmanager
def _constant_specials(backbone: Backbone, special: Bool[Tensor, "b t"]) -> Iterator[list[Tensor]]:
    """While open, every layer reads the special tokens' states as constants; yields what enters each layer."""
    entering: list[Tensor] = []

    def hold(module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        states = args[0] if args else kwargs["hidden_states"]
        states = torch.where(special[:, :, None], states.detach(), states)
        entering.append(states)
        return ((states, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": states})

    handles = [layer.register_forward_pre_hook(hold, with_kwargs=True) for layer in backbone.layers]
    try:
        yield entering
    finally:
        for handle in handles:
            handle.remove()
