"""What a device does best: which of torch's kernels run, how much of a batch at once, what is kept or read again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.checkpoint import checkpoint

from workbench.masks import causal_rows

if TYPE_CHECKING:
    from workbench.backbone.model import Backbone

SHORT = 128
"""Up to so many positions plain matrix products beat the fused kernel's backward pass on a CPU."""
LOGITS_SHARE, GPU_SHARE = 0.75, 0.25
"""What the graph of a training step may take on a GPU: a part of what the batch's logits, their likelihoods and
gradients would take in float32 if they were there at once, as in a plain training, and of the card's memory."""
BUSY = {2: 5e11, 4: 5e10}
"""Operations of a block that keep a GPU busy while the next kernels are sent, by the bytes of a number."""
READ_AT_ONCE, READ_SHARE = 8192, 1 / 32
"""Positions that a GPU reads at once without gradients, and what they may take of its memory: more gains nothing."""


def attention_kernel(device: torch.device, length: int) -> AbstractContextManager[Any]:
    """The kernel for `length` positions: the plain one where gradients flow through a short text on a CPU.

    There the fused kernel's backward pass is the slower one: `python -m benchmarks.training` runs both.
    """
    if device.type == "cpu" and length <= SHORT and torch.is_grad_enabled():
        return sdpa_kernel(SDPBackend.MATH)
    return nullcontext()


def unasked_mask(
    backbone: Backbone, mask: Bool[Tensor, "b s"], length: int
) -> Bool[Tensor, "b s"] | Bool[Tensor, "b t s"]:
    """The mask of `length` positions that end the `s`, such that a GPU need not be asked what it leaves out.

    Hugging Face asks whether anything is padded, and a GPU answers when it has done all that it was sent. Families
    that do not see everything before them keep their own way.
    """
    asked = backbone.device.type != "cuda" or not sees_everything(backbone)
    return mask if asked else causal_rows(mask, length)


def needs_mask(backbone: Backbone) -> bool:
    """Whether the causal mask is better given than left out: for grouped heads in float32 on a GPU.

    Without one these have no kernel but plain products, which hold every attention weight.
    """
    config = backbone.model.config.get_text_config()
    groups = getattr(config, "num_key_value_heads", None) not in (None, config.num_attention_heads)
    single = backbone.dtype.itemsize >= 4
    return backbone.device.type == "cuda" and groups and single and sees_everything(backbone)


def sees_everything(backbone: Backbone) -> bool:
    """Whether every block's tokens see all tokens before them, at positions that rotate: no window, chunk or bias."""
    config = backbone.model.config.get_text_config()
    narrow = ("sliding_window", "attention_chunk_size", "alibi")
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    rotates = getattr(config, "rope_parameters", None) or getattr(config, "rope_theta", None)
    return (
        bool(rotates)
        and kinds == {"full_attention"}
        and not any(getattr(config, name, None) for name in narrow)
    )


@torch.no_grad()
def fuse_norms(model: nn.Module) -> int:
    """Let RMS norms run as torch's own single kernel, where families write eight; returns how many there are.

    A norm is one if torch's answers as it does on two rows, one of them so small that epsilon counts. Modules,
    parameters and hooks stay where they are; what a norm gets in another dtype than its weight goes its own way.
    """
    found = 0
    for module in model.modules():
        weight = getattr(module, "weight", None)
        epsilon = getattr(module, "variance_epsilon", getattr(module, "eps", None))
        if not isinstance(weight, Tensor) or weight.ndim != 1 or epsilon is None or "forward" in vars(module):
            continue
        if isinstance(module, nn.RMSNorm) or weight.is_meta or not weight.is_floating_point():
            continue
        row = torch.linspace(-2, 2, len(weight), device=weight.device).cos()
        rows = torch.stack([row, row * epsilon**0.5]).to(weight.dtype)
        known, fused = module(rows).float(), F.rms_norm(rows, weight.shape, weight, epsilon).float()
        apart = (known - fused).abs().amax(dim=-1) / known.abs().amax(dim=-1)
        if bool((apart < 4 * torch.finfo(weight.dtype).eps).all()):
            module.forward = partial(_rms_norm, module, epsilon)
            found += 1
    return found


def _rms_norm(module: Any, epsilon: float, hidden_states: Tensor) -> Tensor:
    weight = module.weight
    if hidden_states.dtype != weight.dtype:
        return type(module).forward(module, hidden_states)
    return F.rms_norm(hidden_states, weight.shape, weight, epsilon)


@dataclass(frozen=True)
class StepPlan:
    """How a training step goes through a batch."""

    positions: int
    """About how many positions' whole graph is held at once."""
    kept: float = 1.0
    """What a response's position keeps of it. Below 1 blocks keep what goes into them, and are read again."""


def plan_step(backbone: Backbone, responses: int) -> StepPlan:
    """The plan for a batch whose responses have so many positions.

    On a CPU parts of about a thousand positions, whose whole graph is kept: more would be a little quicker, and cost
    memory in proportion. A GPU that such parts would leave idle is quicker where blocks are read again for the backward
    pass and parts are larger (`python -m benchmarks.official --only train memory`).
    """
    device = backbone.device
    if device.type != "cuda":
        return StepPlan(1024 if device.type == "cpu" else 8192)
    logits = 3 * 4 * responses * backbone.vocab_size
    memory = torch.cuda.get_device_properties(device).total_memory
    graph = graph_bytes(backbone)
    positions = max(1024, int(min(LOGITS_SHARE * logits, GPU_SHARE * memory) / graph))
    weights = sum(weight.numel() for weight in backbone.layers[0].parameters())
    if backbone.sharded or 2 * weights * positions >= BUSY.get(backbone.dtype.itemsize, BUSY[4]):
        return StepPlan(positions)
    inputs = len(backbone.layers) * backbone.hidden_size * backbone.dtype.itemsize
    return StepPlan(positions, inputs / graph)


@contextmanager
def read_again(backbone: Backbone) -> Iterator[None]:
    """Inside, a pass without a cache keeps what goes into each block; the backward pass reads the blocks again."""
    before = [vars(block).get("forward") for block in backbone.layers]
    for block in backbone.layers:
        how: dict[str, Any] = {
            "use_reentrant": False,
            "preserve_rng_state": False,
            "determinism_check": "none",
        }
        block.forward = partial(checkpoint, block.forward, **how)
    try:
        yield
    finally:
        for block, own in zip(backbone.layers, before, strict=True):
            del block.forward
            if own is not None:
                block.forward = own


def read_at_once(backbone: Backbone) -> int | None:
    """About how many positions are best read at once without gradients; None where a few texts are enough.

    A GPU waits between the kernels of small batches; what it holds at once is a block's work, and keys and values.
    """
    if backbone.device.type != "cuda":
        return None
    blocks = backbone.model.config.get_text_config().num_hidden_layers
    keys_values = 2 * blocks * backbone.hidden_size * backbone.dtype.itemsize
    memory = torch.cuda.get_device_properties(backbone.device).total_memory
    fitting = READ_SHARE * memory / (graph_bytes(backbone) / blocks + keys_values)
    return min(READ_AT_ONCE, max(1024, int(fitting)))


def graph_bytes(backbone: Backbone) -> int:
    """About how many bytes of a position's graph a frozen backbone keeps for the backward pass.

    A block keeps about three vectors of the hidden size, of the queries', keys' and feed-forward's each; frozen
    weights keep no inputs.
    """
    config, hidden = backbone.model.config.get_text_config(), backbone.hidden_size
    heads = config.num_attention_heads
    size = getattr(config, "head_dim", None) or hidden // heads
    keys = getattr(config, "num_key_value_heads", None) or heads
    inner = getattr(config, "intermediate_size", None) or 4 * hidden
    numbers = 3 * (hidden + heads * size + keys * size + inner)
    return config.num_hidden_layers * numbers * backbone.dtype.itemsize
