"""Arithmetic on soft prompts: interpolate, combine, average, transplant tokens, and chain the response to a response.

Everything here takes and gives blocks `[n, d]`, which `decode` reads as it reads any other. What such a block says is
no text's encoding: read it beside its trust figures.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from workbench.embedders.llm2vec_gen import LLM2VecGen, read_inputs
from workbench.errors import UsageError

NEARLY_PARALLEL = 1e-4
"""Below this sine of the angle between two vectors, spherical interpolation is linear."""


def interpolate(
    a: Float[Tensor, "n d"],
    b: Float[Tensor, "n d"],
    steps: int,
    how: Literal["linear", "spherical"] = "linear",
) -> Float[Tensor, "steps n d"]:
    """`steps` blocks from `a` to `b`, both included and unchanged to the last bit.

    "spherical" turns each token's vector through the plane of the two at even angles (slerp), which keeps its length
    where both are equally long. Raises UsageError for fewer than two steps or blocks of different shapes.
    """
    if steps < 2:
        raise UsageError(f"interpolation needs at least 2 steps, its ends, not {steps}")
    if how not in ("linear", "spherical"):
        raise UsageError(f"interpolation is linear or spherical, not {how!r}")
    _same_shape(a, b)
    share = torch.linspace(0, 1, steps, dtype=a.dtype, device=a.device)[:, None, None]
    straight = torch.lerp(a, b, share)
    if how == "linear":
        return straight
    angle = torch.arccos(torch.cosine_similarity(a, b, dim=-1).clamp(-1, 1))[:, None]
    sine = torch.sin(angle)
    turned = torch.sin((1 - share) * angle) / sine * a + torch.sin(share * angle) / sine * b
    return torch.where(sine > NEARLY_PARALLEL, turned, straight)


def combine(terms: Sequence[tuple[float, Float[Tensor, "n d"]]]) -> Float[Tensor, "n d"]:
    """The weighted sum of blocks: `[(1, a), (1, b), (-1, c)]` is a + b - c; one block of weight 1 stays as it is.

    Raises UsageError for no terms, or blocks of different shapes.
    """
    if not terms:
        raise UsageError("there is nothing to combine")
    _same_shape(*(block for _, block in terms))
    total = terms[0][1] * terms[0][0]
    for weight, block in terms[1:]:
        total = total + block * weight
    return total


def average(blocks: Float[Tensor, "b n d"]) -> Float[Tensor, "n d"]:
    """The mean block; of one block, that block. Raises UsageError for none."""
    if not len(blocks):
        raise UsageError("there is nothing to average")
    return blocks[0].clone() if len(blocks) == 1 else blocks.mean(dim=0)


def transplant(
    into: Float[Tensor, "n d"], source: Float[Tensor, "n d"], tokens: Sequence[int]
) -> Float[Tensor, "n d"]:
    """`into` with the `tokens` (numbers from 0) of `source` in their places; with none, `into` as it is.

    Raises UsageError for a number that is no token, or blocks of different shapes.
    """
    _same_shape(into, source)
    bad = [token for token in tokens if not 0 <= token < len(into)]
    if bad:
        raise UsageError(f"no special token {bad[0]}: they are numbered 0 to {len(into) - 1}")
    result, chosen = into.clone(), list(tokens)
    result[chosen] = source[chosen]
    return result


@torch.no_grad()
def chain(embedder: LLM2VecGen, soft_prompts: Float[Tensor, "b n d"], steps: int) -> Float[Tensor, "k b n d"]:
    """The blocks themselves, then the response to each, then the response to that: `steps` more, k = steps + 1.

    A step lets the encoder side read the soft prompts as input and fresh special tokens behind them, and projects
    what these hold with `W_r`. Raises UsageError for a negative number of steps.
    """
    if steps < 0:
        raise UsageError(f"a chain has 0 or more steps, not {steps}")
    found = [soft_prompts]
    for _ in range(steps):
        hidden = read_inputs(embedder.backbone, embedder.module, found[-1].to(embedder.backbone.device))
        found.append(embedder.module.project(hidden).soft_prompts.float().to(soft_prompts.device))
    return torch.stack(found)


def _same_shape(*blocks: Tensor) -> None:
    shapes = {tuple(block.shape) for block in blocks}
    if len(shapes) > 1:
        raise UsageError(
            f"blocks of different shapes cannot be combined: {', '.join(map(str, sorted(shapes)))}"
        )
