"""A full fine-tuning that leaves the one copy of the backbone alone: a second set of weights, swapped in and out."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from workbench.errors import UsageError


class FullUpdate(nn.Module):
    """A trainable copy of every weight of the backbone; tied weights stay tied.

    The copies stand in the model's place while `active` is open, and the originals come back on leaving it.
    Raises UsageError for quantized weights.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        if not all(weight.is_floating_point() for weight in model.parameters()):
            raise UsageError("weights in 4 bits cannot be fine-tuned in full: train a LoRA beside them")
        self.weights = nn.ParameterDict(
            {_key(name): nn.Parameter(weight.detach().clone()) for name, weight in model.named_parameters()}
        )

    @contextmanager
    def active(self, model: nn.Module) -> Iterator[None]:
        """While open, `model` computes with the copies."""
        copies = {id(weight): self.weights[_key(name)] for name, weight in model.named_parameters()}
        places = [
            (module, name, weight)
            for module in model.modules()
            for name, weight in module._parameters.items()
            if weight is not None
        ]
        try:
            for module, name, weight in places:
                module._parameters[name] = copies[id(weight)]
            yield
        finally:
            for module, name, weight in places:
                module._parameters[name] = weight


def _key(name: str) -> str:
    """A parameter's name as a ParameterDict takes it (no dots)."""
    return name.replace(".", "/")
