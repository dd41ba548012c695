"""Pure builders of attention masks: booleans `[b, t, t]`, row = who looks, column = who is seen, True = may attend."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def causal_mask(padding: Bool[Tensor, "b t"]) -> Bool[Tensor, "b t t"]:
    """Every token sees itself and the real tokens before it; `padding` is True where a token is real.

    A padded row sees only itself: nobody reads what it computes, and its softmax stays finite.
    """
    return causal_rows(padding, padding.shape[1])


def causal_rows(padding: Bool[Tensor, "b s"], last: int) -> Bool[Tensor, "b t s"]:
    """The last rows of `causal_mask`: what is read behind a cache."""
    column = torch.arange(padding.shape[1], device=padding.device)
    row = column[len(column) - last :, None]
    return torch.where(
        padding[:, len(column) - last :, None], (column <= row) & padding[:, None, :], column == row
    )


def bidirectional_mask(padding: Bool[Tensor, "b t"]) -> Bool[Tensor, "b t t"]:
    """Every token sees every real token, later ones too (LLM2Vec, arXiv 2404.05961, section 2.1).

    `padding` is True where a token is real; a padded row sees only itself, and nobody sees it.
    """
    itself = torch.eye(padding.shape[1], dtype=torch.bool, device=padding.device)
    return torch.where(padding[:, :, None], padding[:, None, :], itself)


def special_token_mask(padding: Bool[Tensor, "b t"], n: int) -> Bool[Tensor, "b t_n t_n"]:
    """LLM2Vec-Gen's mask over a query and its `n` special tokens: plain causal (arXiv 2603.10913, section 3).

    The special tokens stand directly after the query and see all of it, and each other from left to right.
    `padding` describes the query alone and must be padded on the left.
    """
    specials = padding.new_ones(padding.shape[0], n)
    return causal_mask(torch.cat([padding, specials], dim=1))


def bottleneck_mask(
    special: Bool[Tensor, "b t"], padding: Bool[Tensor, "b t"], *, specials_see_each_other: bool = False
) -> Bool[Tensor, "b t t"]:
    """GEM's mask (arXiv 2506.04344, section 3.1): what follows the special tokens sees them, never what came before.

    `special` is True at special tokens, `padding` where a token is real. The prefix (before the first special token)
    is causal; a special token sees the prefix and itself, and with `specials_see_each_other` (an ablation) also the
    special tokens before it; the suffix sees special tokens and earlier suffix. Rows without special tokens are
    plain causal. Padding is seen by itself alone.
    """
    special = special & padding
    opened = special.cumsum(dim=1) > 0
    prefix, suffix = ~opened, opened & ~special
    itself = torch.eye(padding.shape[1], dtype=torch.bool, device=padding.device)
    seen_by_special = prefix | special if specials_see_each_other else prefix
    seen = torch.where(
        special[:, :, None], seen_by_special[:, None, :] | itself, ~(suffix[:, :, None] & prefix[:, None, :])
    )
    return causal_mask(padding) & seen


def to_additive(mask: Bool[Tensor, "b t s"], dtype: torch.dtype) -> Float[Tensor, "b 1 t s"]:
    """The mask as Hugging Face models take it: 0 where a token may attend, the lowest finite number elsewhere.

    `dtype` must be the model's own; boolean or integer 4-D masks are silently wrong in eager attention.
    """
    lowest = torch.finfo(dtype).min
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(~mask, lowest)[:, None]
