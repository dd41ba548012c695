"""Where an embedder's blocks of vectors lie: how long they are, token by token, and in which directions they differ."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

VARIANCE = 0.95
"""Share of the known blocks' variance that the kept directions hold."""
SMALLEST = 1e-6
"""No length counts as less than this."""
LEAST_SPREAD = 0.01
"""No spread of log norms counts as less: a model whose norms are all the same has one of rounding alone."""


@dataclass(frozen=True)
class Manifold:
    """Known blocks of vectors (soft prompts, say), summed up; float32 on the CPU."""

    center: Float[Tensor, "n d"]
    """The mean block."""
    directions: Float[Tensor, "k d"]
    """Orthonormal: in which the known blocks differ from the mean one, VARIANCE of it, all tokens together."""
    length: Float[Tensor, " n"]
    """The mean logarithm of each token's norm."""
    spread: Float[Tensor, " n"]
    """Its standard deviation."""

    @classmethod
    def of(cls, blocks: Float[Tensor, "m n d"]) -> Manifold:
        """The manifold of at least two known blocks."""
        if len(blocks) < 2:
            raise ValueError(f"a manifold is made of two blocks or more, not {len(blocks)}")
        blocks = blocks.float().cpu()
        center = blocks.mean(dim=0)
        _, sizes, directions = torch.linalg.svd((blocks - center).flatten(0, 1), full_matrices=False)
        held = sizes.square().cumsum(0) / sizes.square().sum().clamp(min=SMALLEST)
        kept = int((held < VARIANCE).sum()) + 1
        logs = _log_norms(blocks)
        return cls(center, directions[:kept], logs.mean(dim=0), logs.std(dim=0).clamp(min=LEAST_SPREAD))

    def stretch(self, blocks: Float[Tensor, "b n d"]) -> Float[Tensor, " b"]:
        """How far a block's norms are off: of its tokens' log norms, the mean distance in standard deviations."""
        return ((_log_norms(blocks.float().cpu()) - self.length) / self.spread).abs().mean(dim=1)

    def outside(self, blocks: Float[Tensor, "b n d"]) -> Float[Tensor, " b"]:
        """The share of a block that no kept direction explains, from 0 to 1, of its squared distance to the center."""
        away = (blocks.float().cpu() - self.center).flatten(1)
        inside = (away.unflatten(1, self.center.shape) @ self.directions.T).square().sum(dim=(1, 2))
        whole = away.square().sum(dim=1).clamp(min=SMALLEST)
        return (1 - inside / whole).clamp(0, 1)


def _log_norms(blocks: Float[Tensor, "b n d"]) -> Float[Tensor, "b n"]:
    return blocks.norm(dim=-1).clamp(min=SMALLEST).log()
