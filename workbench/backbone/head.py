"""The language model's head on its own: last hidden states in, logits out, whatever a family does there."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

from torch import Tensor, nn

from workbench.errors import WorkbenchError


def head_of(model: Any) -> Any:
    """The model's own class around the same parameters, its transformer replaced by the identity.

    What is left of `forward` is the head with its scaling and soft capping: `inputs_embeds` takes the last hidden
    states. A shallow copy: the parameters are shared, the model itself is not touched.
    """
    prefix = model.base_model_prefix
    if prefix not in model._modules:
        raise WorkbenchError(f"{type(model).__name__} has no transformer named {prefix!r} under its head")
    head = copy.copy(model)
    head._modules = {**model._modules, prefix: _Identity()}
    return head


class _Identity(nn.Module):
    """Stands in for the transformer: hands the input embeddings through as last hidden states."""

    def forward(self, *args: Any, inputs_embeds: Tensor, **kwargs: Any) -> Any:
        return _Output(last_hidden_state=inputs_embeds)


class _Output(SimpleNamespace):
    """An output whose other fields (past, attentions, router logits ...) are None, whatever a family asks for."""

    def __getattr__(self, name: str) -> None:
        return None
