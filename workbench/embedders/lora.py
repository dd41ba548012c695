"""A low-rank update of the encoder side that leaves the one copy of the backbone alone (arXiv 2106.09685)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Lora(nn.Module):
    """`x -> layer(x) + alpha / rank * B A x` for every linear layer of the backbone except the LM's head.

    `A` is drawn, `B` starts at 0: a fresh LoRA changes nothing. The update lives in hooks that `active` sets and
    removes, so the backbone decodes and responds without it and its weights are never touched.
    """

    def __init__(self, model: nn.Module, rank: int, alpha: float, draw: torch.Generator) -> None:
        super().__init__()
        self.scale = alpha / rank
        self._open = False
        self.down, self.up = nn.ParameterDict(), nn.ParameterDict()
        for name, layer in _linear_layers(model):
            size_in, size_out = _sizes(layer)
            self.down[_key(name)] = nn.Parameter(torch.randn(rank, size_in, generator=draw) * size_in**-0.5)
            self.up[_key(name)] = nn.Parameter(torch.zeros(size_out, rank))

    @contextmanager
    def active(self, model: nn.Module) -> Iterator[None]:
        """While open, `model` computes with the update; opened again inside itself, it changes nothing."""
        if self._open:
            yield
            return
        self._open = True
        handles = [
            layer.register_forward_hook(self._hook(self.down[_key(name)], self.up[_key(name)]))
            for name, layer in _linear_layers(model)
        ]
        try:
            yield
        finally:
            self._open = False
            for handle in handles:
                handle.remove()

    def _hook(self, down: Float[Tensor, "r i"], up: Float[Tensor, "o r"]) -> Callable[..., Tensor]:
        def add_update(layer: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
            read = inputs[0]
            if not torch.is_autocast_enabled(read.device.type):  # which casts by itself, and only once
                read = read.to(down.dtype)
            update = (read @ down.T) @ (self.scale * up).T
            return output + update.to(output.dtype)

        return add_update


def _linear_layers(model: nn.Module) -> list[tuple[str, nn.Module]]:
    head = model.get_output_embeddings()  # type: ignore[operator]
    return [(name, layer) for name, layer in model.named_modules() if layer is not head and _sizes(layer)]


def _sizes(layer: nn.Module) -> tuple[int, ...]:
    """Input and output size of a linear layer; nothing for any other module."""
    if isinstance(layer, nn.Linear):
        return layer.in_features, layer.out_features
    if type(layer).__name__ == "Conv1D":  # GPT-2's linear layer, stored the other way round
        return tuple(layer.weight.shape)  # type: ignore[union-attr, arg-type]
    return ()


def _key(name: str) -> str:
    return name.replace(".", "/")
