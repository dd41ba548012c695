"""Which words of the text cause each decoded token: gradients through embedder and decoder, or words taken away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from workbench.embedders.base import Embedder
from workbench.embedders.gem import GEM
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.errors import UsageError
from workbench.lenses.attribution import attribute_tokens, explained, made_map, rows_at_once
from workbench.lenses.attribution_map import AttributionMap, How
from workbench.lenses.kept import Kept, keep, log_likelihoods, read_text, together
from workbench.lenses.states import with_special_tokens
from workbench.lenses.words import TEMPLATE, words_of

Rows = Literal["zero", "mean"]
Method = Literal["zero", "mean", "resample", "gradient", "words"]
METHODS: tuple[Method, ...] = get_args(Method)
STEPS = 16
"""Steps of the gradient where no number is given."""
_VOCABULARY_AT_ONCE = 8192


def attribute(
    embedder: Embedder,
    text: str,
    method: Method = "zero",
    *,
    decoded: str | Sequence[int] | None = None,
    reference: Sequence[str] | None = None,
    steps: int = STEPS,
    seed: int = 0,
    max_new_tokens: int = 64,
) -> AttributionMap:
    """One map by the name of its method.

    "zero", "mean", "resample" ablate special tokens (`attribute_tokens`); "gradient" is gradient times input of the
    text's words, "words" ablates them (`attribute_words`). Raises UsageError for any other name.
    """
    if method not in METHODS:
        raise UsageError(f"no method named {method!r}; there are {', '.join(METHODS)}")
    common: dict[str, Any] = {"decoded": decoded, "max_new_tokens": max_new_tokens}
    if method == "gradient":
        return attribute_words(embedder, text, how="gradient", steps=steps, **common)
    if method == "words":
        return attribute_words(embedder, text, how="ablation", **common)
    return attribute_tokens(embedder, text, baseline=method, reference=reference, seed=seed, **common)


def attribute_words(
    embedder: Embedder,
    text: str,
    *,
    how: How = "gradient",
    baseline: Rows = "mean",
    steps: int = STEPS,
    decoded: str | Sequence[int] | None = None,
    max_new_tokens: int = 64,
) -> AttributionMap:
    """The map of words: their tokens' input rows become the vocabulary's mean row, or nothing; positions stay.

    By "gradient", the slope of each decoded token's log-probability, through embedder and decoder, times the difference
    from the baseline. With one step that is gradient times input, which says next to nothing where the answer is sure
    or rows are normalized; with more, slopes are averaged over the middles of `steps` steps from the baseline to the
    text (integrated gradients), and the values add up to more of what is lost: see `completeness_error`.
    Raises UsageError for a method without special tokens, an empty text, or fewer than one step.
    """
    if how not in get_args(How) or baseline not in get_args(Rows):
        raise UsageError(
            f"no attribution of words by {how} with {baseline}: ablation or gradient, zero or mean"
        )
    if steps < 1:
        raise UsageError(f"steps must be at least 1, not {steps}")
    reader, read = with_special_tokens(embedder), read_text(embedder, text)
    ids, words = explained(reader, read.kept, decoded, max_new_tokens), words_of(reader, read.ids)
    number = torch.as_tensor(words.of, device=read.inputs.device)
    away = read.inputs - (mean_row(reader) if baseline == "mean" else torch.zeros_like(read.inputs[0, 0]))
    away = away * (number != TEMPLATE)[:, None]
    bare = _likelihoods(reader, torch.cat([read.inputs, read.inputs - away]), ids)
    if how == "gradient":
        of_tokens = _slopes(reader, read.inputs, away, ids, steps)
        member = number[:, None] == torch.arange(len(words.labels), device=number.device)
        values = (of_tokens @ member.to(of_tokens.dtype)).T
    else:
        chosen = number == torch.arange(len(words.labels), device=number.device)[:, None]
        values = bare[0] - _likelihoods(reader, read.inputs - away * chosen[:, :, None], ids)
    return made_map(
        reader, text, "words", words.labels, ids, (values, bare[0], bare[0] - bare[1]), how, baseline
    )


@torch.no_grad()
def mean_row(embedder: LLM2VecGen | GEM) -> Float[Tensor, " d"]:
    """The mean input row of the vocabulary, as the backbone reads it."""
    backbone = embedder.backbone
    parts = torch.arange(backbone.vocab_size, device=backbone.device).split(_VOCABULARY_AT_ONCE)
    total = sum(backbone.embed(part[None])[0].double().sum(0) for part in parts)
    return (total / backbone.vocab_size).to(backbone.dtype)  # type: ignore[union-attr]


@torch.no_grad()
def _likelihoods(
    embedder: LLM2VecGen | GEM, inputs: Float[Tensor, "b t d"], ids: list[int]
) -> Float[Tensor, "b r"]:
    """Log-likelihoods of the tokens `ids` behind what is kept of input rows, in passes of bounded size."""
    step = rows_at_once(embedder, inputs.shape[1] + len(ids), len(ids))
    kept: list[Kept] = [keep(embedder, part) for part in inputs.split(step)]
    whole = together(*kept)
    return torch.cat(
        [log_likelihoods(embedder, whole[at : at + step], ids) for at in range(0, len(whole), step)]
    )


def _slopes(
    embedder: LLM2VecGen | GEM,
    inputs: Float[Tensor, "1 t d"],
    away: Float[Tensor, "1 t d"],
    ids: list[int],
    steps: int,
) -> Float[Tensor, "r t"]:
    """For each decoded token, the gradient at each input row times `away`; a row of a batch for each decoded token."""
    places = [1.0] if steps == 1 else [(step + 0.5) / steps for step in range(steps)]
    size = rows_at_once(embedder, inputs.shape[1] + len(ids), len(ids))
    parts = []
    for wanted in torch.arange(len(ids)).split(size):
        total = torch.zeros(len(wanted), inputs.shape[1], device=inputs.device)
        for place in places:
            rows = (inputs - (1 - place) * away).expand(len(wanted), -1, -1).clone().requires_grad_()
            with torch.enable_grad():
                logs = log_likelihoods(embedder, keep(embedder, rows), ids)
                slope = torch.autograd.grad(logs[torch.arange(len(wanted)), wanted].sum(), rows)[0]
            total += (slope.float() * away.float()).sum(-1) / len(places)
        parts.append(total)
    return torch.cat(parts)
