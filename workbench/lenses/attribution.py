"""What causes each decoded token: special tokens replaced one by one, or their gradients, as log-probabilities lost.

Words of the text are in `word_attribution`, which gives the same kind of map.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from workbench.backbone.likelihood import LOGITS_AT_ONCE
from workbench.decoding.reference import known_texts
from workbench.embedders.base import Embedder
from workbench.embedders.gem import GEM
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.errors import UsageError
from workbench.lenses.attribution_map import AttributionMap, Baseline, How
from workbench.lenses.kept import (
    Kept,
    keep_texts,
    log_likelihoods,
    read_text,
    room_behind,
    say,
    together,
)
from workbench.lenses.states import with_special_tokens
from workbench.lenses.tokens import readable_tokens

REFERENCE = 64
"""Texts of the field guide that means are taken over, and others drawn from, where none are given."""
DRAWS = 4
"""Other texts that "resample" takes each special token from; the effect is the mean over them."""
READ_AT_ONCE = 8192
"""Positions read in one pass, at most."""


class Effects(NamedTuple):
    """Log-probabilities of decoded tokens, and what is lost of them in each version."""

    log_probs: Float[Tensor, " t"]
    lost: Float[Tensor, "v t"]


def attribute_tokens(
    embedder: Embedder,
    text: str,
    *,
    how: How = "ablation",
    baseline: Baseline = "zero",
    decoded: str | Sequence[int] | None = None,
    reference: Sequence[str] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
    max_new_tokens: int = 64,
) -> AttributionMap:
    """The map of special tokens: each is replaced by nothing, by its mean over `reference`, or by other texts'.

    For LLM2Vec-Gen that is its soft prompt, for GEM its keys and values in every layer. `decoded` is what is explained,
    a text or token ids; without it, what the embedding decodes to. Raises UsageError for a method without special
    tokens, an empty text, or a reference that has no other text.
    """
    if how not in get_args(How) or baseline not in get_args(Baseline):
        raise UsageError(
            f"no attribution by {how} with {baseline}: {', '.join(get_args(How) + get_args(Baseline))}"
        )
    reader, read = with_special_tokens(embedder), read_text(embedder, text)
    ids = explained(reader, read.kept, decoded, max_new_tokens)
    others = stand_ins(reader, read.kept, text, baseline, reference, draws, seed)
    n, rows = read.kept.n, len(others)
    alone = read.kept.replaced(list(range(n)) * rows, others[[row for row in range(rows) for _ in range(n)]])
    if how == "ablation":
        log_probs, lost = effects(reader, read.kept, together(alone, others), ids)
        values, jointly = lost[:-rows].reshape(rows, n, -1).mean(0), lost[-rows:].mean(0)
    else:
        log_probs, lost = effects(reader, read.kept, others, ids)
        values, jointly = _first_order(reader, read.kept, others, ids), lost.mean(0)
    labels = [f"◆{number}" for number in range(1, n + 1)]
    return made_map(reader, text, "special tokens", labels, ids, (values, log_probs, jointly), how, baseline)


def explained(
    embedder: LLM2VecGen | GEM, kept: Kept, decoded: str | Sequence[int] | None, max_new_tokens: int = 64
) -> list[int]:
    """The token ids to explain: what the embedding decodes to; or those of a text and its EOS; or ids as given."""
    backbone = embedder.backbone
    if decoded is None:
        return say(embedder, kept, max_new_tokens)[0]
    if isinstance(decoded, str):
        decoded = [*backbone.tokenizer(decoded, add_special_tokens=False)["input_ids"], backbone.eos_ids[0]]
    if not decoded:
        raise UsageError("there is no token to explain")
    return list(decoded)[: room_behind(embedder, kept)]


@torch.no_grad()
def stand_ins(
    embedder: LLM2VecGen | GEM,
    kept: Kept,
    text: str,
    baseline: Baseline,
    reference: Sequence[str] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> Kept:
    """What stands in the place of special tokens: one row, or one for each other text that was drawn."""
    if baseline == "zero":
        nothing = None if kept.last is None else torch.zeros_like(kept.last)
        return Kept(torch.zeros_like(kept.states), nothing, kept.end)
    given = known_texts(REFERENCE) if reference is None else reference
    others = [other for other in dict.fromkeys(given) if other.strip() and other.strip() != text.strip()]
    if not others:
        raise UsageError(f"{baseline} needs other texts, and the reference has none but this one")
    if baseline == "resample":
        if draws < 1:
            raise UsageError(f"draws must be at least 1, not {draws}")
        others = random.Random(f"{seed} {text}").sample(others, min(draws, len(others)))
        return keep_texts(embedder, others, kept)
    found = keep_texts(embedder, others, kept)
    last = None if found.last is None else found.last.mean(0, keepdim=True)
    return Kept(found.states.mean(0, keepdim=True), last, kept.end)


@torch.no_grad()
def effects(embedder: LLM2VecGen | GEM, kept: Kept, versions: Kept, ids: list[int]) -> Effects:
    """What is lost of each token's log-probability in each version `[v]` of this one text's `kept`; batched."""
    rows, step = together(kept, versions), rows_at_once(embedder, kept.n + len(ids), len(ids))
    parts = [log_likelihoods(embedder, rows[at : at + step], ids) for at in range(0, len(rows), step)]
    logs = torch.cat(parts)
    return Effects(logs[0], logs[0] - logs[1:])


def rows_at_once(embedder: LLM2VecGen | GEM, width: int, tokens: int) -> int:
    """How many rows of `width` positions, with logits at `tokens` of them, are read in one pass."""
    return max(1, min(READ_AT_ONCE // width, LOGITS_AT_ONCE // (tokens * embedder.backbone.vocab_size)))


def _first_order(
    embedder: LLM2VecGen | GEM, kept: Kept, others: Kept, ids: list[int]
) -> Float[Tensor, "n t"]:
    """Gradient of each token's log-probability times the special token's difference from the mean stand-in."""
    parts, step = [], rows_at_once(embedder, kept.n + len(ids), len(ids))
    for at in range(0, len(ids), step):
        wanted = torch.arange(at, min(at + step, len(ids)))
        rows = kept[[0] * len(wanted)]
        wrt = [
            part.detach().clone().requires_grad_() for part in (rows.states, rows.last) if part is not None
        ]
        with torch.enable_grad():
            logs = log_likelihoods(embedder, Kept(wrt[0], *wrt[1:], end=kept.end), ids)
            slopes = torch.autograd.grad(
                logs[torch.arange(len(wanted)), wanted].sum(), wrt, allow_unused=True
            )
        away = kept.states - others.states.mean(0)
        values = (slopes[0] * away).flatten(2).sum(-1)  # type: ignore[operator]
        if kept.last is not None and others.last is not None and slopes[-1] is not None:
            values[:, -1] += (slopes[-1] * (kept.last - others.last.mean(0))).sum(-1)
        parts.append(values)
    return torch.cat(parts).T


def made_map(
    embedder: LLM2VecGen | GEM,
    text: str,
    of: Literal["special tokens", "words"],
    labels: list[str],
    ids: list[int],
    found: tuple[Tensor, Tensor, Tensor],
    how: How,
    baseline: Baseline,
) -> AttributionMap:
    """The map with its labels; `found` are values `[n, t]`, log-probabilities `[t]`, and what is lost jointly `[t]`."""
    values, log_probs, jointly = (part.detach().float().cpu().numpy() for part in found)
    backbone = embedder.backbone
    names, said = readable_tokens(backbone.tokenizer, ids), backbone.detokenize([ids])[0]
    return AttributionMap(text, said, of, labels, names, ids, values, log_probs, jointly, how, baseline)
