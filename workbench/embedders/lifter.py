"""The lifter: a pooled vector becomes soft prompts again, so that any vector of an embedding space can be decoded."""

from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from workbench.embedders.config import LifterConfig
from workbench.errors import UsageError, WorkbenchError
from workbench.files import hash_bytes

START = 0.1
"""How far apart the soft prompts of two vectors lie before training, as a share of what they will be (a guess)."""


class Lifter(nn.Module):
    """`e -> p`: one hidden layer with GELU between a pooled vector and the soft prompts (DESIGN.md, section 3).

    The direction of a vector alone counts, as in `Embedder.similarity`: a centroid, a difference or an interpolation
    may be shorter or longer than anything that was ever encoded. Raises UsageError where a size is not known.
    """

    center: Tensor
    """`[d_e]`: the mean direction of the embedder's vectors, which tells nothing apart."""
    spread: Tensor
    """How far from it a number of a direction lies (root mean square)."""

    def __init__(self, config: LifterConfig, seed: int = 0) -> None:
        super().__init__()
        if config.dimension is None or config.n_prompts is None or config.size is None:
            raise UsageError(
                "a lifter needs dimension, n_prompts and size; training takes them from the embedder"
            )
        self.config = config
        self.inner = nn.Linear(config.dimension, config.width)
        self.outer = nn.Linear(config.width, config.n_prompts * config.size)
        self.register_buffer("center", torch.zeros(config.dimension))
        self.register_buffer("spread", torch.ones(()))
        draw = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            self.inner.weight.normal_(0, config.dimension**-0.5, generator=draw)
            self.outer.weight.normal_(0, START * config.width**-0.5, generator=draw)
            self.inner.bias.zero_()
            self.outer.bias.zero_()

    @torch.no_grad()
    def start(self, vectors: Float[Tensor, "b d_e"], soft_prompts: Float[Tensor, "m n d"]) -> None:
        """Stand where training starts: scaled to these vectors, and at the mean of these soft prompts for each."""
        units = F.normalize(vectors.float(), dim=-1)
        self.center.copy_(units.mean(dim=0))
        self.spread.copy_((units - units.mean(dim=0)).pow(2).mean().sqrt().clamp(min=1e-6))
        self.outer.bias.copy_(soft_prompts.float().mean(dim=0).flatten())

    def forward(self, vectors: Float[Tensor, "b d_e"]) -> Float[Tensor, "b n d"]:
        """The soft prompts of vectors of any length but 0."""
        inputs = (F.normalize(vectors.float(), dim=-1) - self.center) / self.spread
        size = cast(int, self.config.size)
        return self.outer(F.gelu(self.inner(inputs))).unflatten(-1, (-1, size))

    def fingerprint(self) -> str:
        """A hash of all that decides what vectors are lifted to: the shape, and every tensor."""
        tensors = sorted(self.state_dict().items())
        parts = [
            part
            for name, tensor in tensors
            for part in (name, tensor.float().cpu().contiguous().numpy().tobytes())
        ]
        return hash_bytes(self.config.to_json(), *parts)

    @torch.no_grad()
    def lift(self, vectors: Tensor | np.ndarray, *, batch_size: int = 1024) -> Float[Tensor, "b n d"]:
        """The soft prompts of vectors `[b, d_e]`, or `[d_e]` for one; float32, on the CPU, for `decode`.

        Raises WorkbenchError for another shape, and for vectors that are not finite or have no direction.
        """
        given = torch.as_tensor(vectors)
        rows = given[None] if given.ndim == 1 else given
        if rows.ndim != 2 or rows.shape[1] != self.config.dimension:
            wanted = f"[b, {self.config.dimension}]"
            raise WorkbenchError(f"vectors of shape {list(given.shape)}, but this lifter reads {wanted}")
        rows = rows.float()
        bad = ~rows.isfinite().all(dim=1) | ~rows.any(dim=1)
        if bad.any():
            first = int(bad.nonzero()[0])
            raise WorkbenchError(
                f"{int(bad.sum())} of {len(rows)} vectors are 0 or not finite, the first is number {first}"
            )
        parts = [self(part.to(self.center.device)).float().cpu() for part in rows.split(batch_size)]
        return torch.cat(parts)
