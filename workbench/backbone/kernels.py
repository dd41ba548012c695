"""What a device does best: which of torch's kernels run, and with which mask."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from workbench.masks import causal_rows

if TYPE_CHECKING:
    from workbench.backbone.model import Backbone

SHORT = 128
"""Up to so many positions plain matrix products beat the fused kernel's backward pass on a CPU."""


def on_gpu(device: torch.device) -> bool:
    """Whether a device is a GPU whose kernels are sent ahead: what it does best differs from what a CPU does."""
    return device.type == "cuda"


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
    asked = not on_gpu(backbone.device) or not sees_everything(backbone)
    return mask if asked else causal_rows(mask, length)


def needs_mask(backbone: Backbone) -> bool:
    """Whether the causal mask is better given than left out: for grouped heads in float32 on a GPU.

    Without one these have no kernel but plain products, which hold every attention weight.
    """
    if not on_gpu(backbone.device) or backbone.dtype.itemsize < 4 or not sees_everything(backbone):
        return False
    config = backbone.model.config.get_text_config()
    heads = size_in(config, "num_attention_heads", 1)
    return size_in(config, "num_key_value_heads", heads) != heads


def sees_everything(backbone: Backbone) -> bool:
    """Whether every block's tokens see all tokens before them, at positions that rotate: no window, chunk or bias."""
    config = backbone.model.config.get_text_config()
    narrow = ("sliding_window", "attention_chunk_size", "alibi")
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    rotates = getattr(config, "rope_parameters", None) or getattr(config, "rope_theta", None)
    try:
        narrowed = any(getattr(config, name, None) for name in narrow)
    except Exception:  # a value for each layer: some may be narrow
        return False
    return bool(rotates) and kinds == {"full_attention"} and not narrowed


def size_in(config: Any, name: str, otherwise: int) -> int:
    """A size that a configuration names, the largest of several; `otherwise` where it names none for all layers."""
    try:
        found = getattr(config, name, None)
    except Exception:  # transformers' own kind, for a size that each layer has for itself
        found = None
    numbers = found if isinstance(found, list | tuple) else [found]
    return max((number for number in numbers if isinstance(number, int)), default=0) or otherwise


@torch.no_grad()
def fuse_norms(model: nn.Module) -> int:
    """Let RMS norms run as torch's own single kernel, where families write eight; returns how many there are.

    A norm is one if torch's answers as it does on two rows, one of them so small that epsilon counts. Modules,
    parameters and hooks stay where they are; what else a norm is given it does its own way.
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
        try:
            known = module(rows).float()
        except Exception:  # a module that asks for more than rows: not a norm as meant here
            continue
        fused = F.rms_norm(rows, weight.shape, weight, epsilon).float()
        if known.shape != fused.shape:
            continue
        apart = (known - fused).abs().amax(dim=-1) / known.abs().amax(dim=-1)
        if bool((apart < 4 * torch.finfo(weight.dtype).eps).all()):
            module.forward = partial(_rms_norm, module, epsilon)
            found += 1
    return found


def _rms_norm(module: Any, epsilon: float, hidden_states: Tensor, *others: Any, **options: Any) -> Tensor:
    weight = module.weight
    if hidden_states.dtype != weight.dtype or others or options:
        return type(module).forward(module, hidden_states, *others, **options)
    return F.rms_norm(hidden_states, weight.shape, weight, epsilon)
