"""The logit lens: every layer's state read by the model's own final norm and head (arXiv 2603.10913, section 6).

It runs from `states.special_states` alone: hooks on the model as it is, no TransformerLens bridge and no copy.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from workbench.backbone import Backbone
from workbench.backbone.norm import final_norm
from workbench.embedders.base import Embedder
from workbench.errors import UsageError
from workbench.lenses.reading import Lens, LensReading, reading_of
from workbench.lenses.states import SpecialStates, checked_layers, special_states

ROWS = 512
"""States whose logits are held at once."""
PAPER_K = 5
"""Tokens that the paper reads at each compression token."""


class TopTokens(NamedTuple):
    """The most likely tokens of states, the likeliest first."""

    ids: Int[Tensor, "m k"]
    probabilities: Float[Tensor, "m k"]


def logit_lens(
    embedder: Embedder,
    texts: str | Sequence[str],
    layers: Sequence[int] | None = None,
    k: int = 5,
    *,
    batch_size: int = 32,
) -> list[LensReading]:
    """The `k` most likely tokens of every compression token's state in every layer (or in `layers`), by probability.

    The head is the one that decodes: the plain backbone's for LLM2Vec-Gen, the fine-tuned one's for GEM. In the last
    layer these are the logits of the model itself; in layer 0 they are those of the input rows.
    Raises UsageError for a method without special tokens, a layer that is not there, or `k` outside the vocabulary.
    """
    return read_states(embedder, special_states(embedder, texts, batch_size), layers, k)


def read_states(
    embedder: Embedder, found: Sequence[SpecialStates], layers: Sequence[int] | None = None, k: int = 5
) -> list[LensReading]:
    """The logit lens on states that are at hand; see `logit_lens`."""
    numbers = tuple(checked_layers(layers, len(embedder.backbone.layers)))
    with embedder.language_model() as backbone:
        head = norm_and_head(backbone)
        tops = [top_tokens(head, states.states[list(numbers)].flatten(0, 1), k) for states in found]
    return [
        as_reading("logit", backbone, states, numbers, top) for states, top in zip(found, tops, strict=True)
    ]


def paper_reading(embedder: Embedder, text: str) -> LensReading:
    """The paper's reading of one text: the last layer, the top 5 of each compression token, words that do not occur in
    the text marked as novel (arXiv 2603.10913, section 6 and table 4)."""
    return logit_lens(embedder, [text], layers=[-1], k=PAPER_K)[0]


def norm_and_head(backbone: Backbone) -> Callable[[Tensor], Tensor]:
    """States before the final norm `[m, d]` to logits `[m, V]` in float32; use it while the backbone's side is open."""
    norm = final_norm(backbone)
    return lambda rows: backbone.logits(norm(rows.to(backbone.device, backbone.dtype))).float()


@torch.no_grad()
def top_tokens(head: Callable[[Tensor], Tensor], rows: Float[Tensor, "m d"], k: int) -> TopTokens:
    """The `k` most likely tokens of each row, on the CPU. UsageError for a `k` outside the vocabulary."""
    ids, probabilities = [], []
    for part in rows.split(ROWS):
        logits = head(part)
        if not 1 <= k <= logits.shape[-1]:
            raise UsageError(f"k must be from 1 to the vocabulary's {logits.shape[-1]}, not {k}")
        best = logits.topk(k, dim=-1)
        ids.append(best.indices.cpu())
        probabilities.append((best.values - logits.logsumexp(dim=-1, keepdim=True)).exp().cpu())
    return TopTokens(torch.cat(ids), torch.cat(probabilities))


def as_reading(
    lens: Lens, backbone: Backbone, states: SpecialStates, layers: tuple[int, ...], top: TopTokens
) -> LensReading:
    """A reading of the top tokens of `layers` times the special tokens, one row each, in that order."""
    shape = (len(layers), len(states.labels), -1)
    return reading_of(
        lens, backbone.tokenizer, states.text, layers, states.labels,
        top.ids.reshape(shape).numpy(), top.probabilities.reshape(shape).numpy(),
    )  # fmt: skip
