"""The norm that stands behind a model's last block, found by watching the model run: families name it differently."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from workbench.backbone.model import Backbone


@torch.no_grad()
def final_norm(backbone: Backbone) -> nn.Module:
    """The module that makes the last hidden states of what the last block leaves; the model's own, not a copy.

    One token is read, and the first module that starts behind the last block is the norm, which is checked on that
    token. Raises WorkbenchError for a model that does something else there.
    """
    called: list[nn.Module] = []
    left: list[Tensor] = []

    def behind(module: nn.Module, *_: Any) -> None:
        if left:
            called.append(module)

    def leave(_: nn.Module, __: Any, output: Any) -> None:
        left.append(output[0] if isinstance(output, tuple) else output)

    handles = [module.register_forward_pre_hook(behind) for module in backbone.model.base_model.modules()]
    handles.append(backbone.layers[-1].register_forward_hook(leave))
    token = torch.tensor([[backbone.eos_ids[0]]])
    try:
        states = backbone.hidden(
            backbone.embed(token), mask=torch.ones_like(token, dtype=torch.bool), positions=torch.zeros_like(token)
        )  # fmt: skip
    finally:
        for handle in handles:
            handle.remove()
    norm = called[0] if called else nn.Identity()
    if not torch.allclose(norm(left[0]), states.last, atol=1e-5, rtol=1e-3):
        raise WorkbenchError(f"{backbone.id}: no norm was found that ends {type(backbone.model).__name__}")
    return norm
