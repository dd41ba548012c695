"""What a device does best: which of torch's attention kernels runs, and how much of a batch at once."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

if TYPE_CHECKING:
    from workbench.backbone.model import Backbone

SHORT = 128
"""Up to so many positions plain matrix products beat the fused kernel's backward pass on a CPU."""
GPU_SHARE = 0.25
"""How much of a GPU's memory the graph of a training step's part may take."""


def attention_kernel(device: torch.device, length: int) -> AbstractContextManager[Any]:
    """The kernel for `length` positions: the plain one where gradients flow through a short text on a CPU.

    There the fused kernel's backward pass is the slower one: `python -m benchmarks.training` runs both.
    """
    if device.type == "cpu" and length <= SHORT and torch.is_grad_enabled():
        return sdpa_kernel(SDPBackend.MATH)
    return nullcontext()


def positions_at_once(backbone: Backbone) -> int:
    """About how many positions a training step keeps a graph for at once.

    On a CPU about a thousand: more would be a little quicker, and cost memory in proportion. On a GPU, which a small
    part leaves idle between its kernels, as many as GPU_SHARE of its memory holds
    (`python -m benchmarks.official --only memory train`).
    """
    device = backbone.device
    if device.type == "cpu":
        return 1024
    if device.type != "cuda":
        return 8192
    memory = torch.cuda.get_device_properties(device).total_memory
    return max(1024, int(GPU_SHARE * memory / graph_bytes(backbone)))


def graph_bytes(backbone: Backbone) -> int:
    """About how many bytes of a position's graph a frozen backbone keeps for the backward pass.

    A block's norms, attention and feed-forward keep about eight vectors of the hidden size and three of the
    feed-forward's; frozen weights keep no inputs.
    """
    config = backbone.model.config.get_text_config()
    inner = getattr(config, "intermediate_size", None) or 4 * backbone.hidden_size
    return config.num_hidden_layers * (8 * backbone.hidden_size + 3 * inner) * backbone.dtype.itemsize
