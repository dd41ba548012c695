"""Which attention kernel runs: the fastest of torch's for what is asked."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

SHORT = 128
"""Up to so many positions plain matrix products beat the fused kernel's backward pass on a CPU."""


def attention_kernel(device: torch.device, length: int) -> AbstractContextManager[Any]:
    """The kernel for `length` positions: the plain one where gradients flow through a short text on a CPU.

    There the fused kernel's backward pass is the slower one: `python -m benchmarks.training` runs both.
    """
    if device.type == "cpu" and length <= SHORT and torch.is_grad_enabled():
        return sdpa_kernel(SDPBackend.MATH)
    return nullcontext()


def positions_at_once(device: torch.device) -> int:
    """About how many positions a training step keeps a graph for at once.

    About a thousand: more would be a little quicker on a CPU, and cost memory in proportion
    (`python -m benchmarks.official --only memory train`).
    """
    return 1024 if device.type == "cpu" else 8192
