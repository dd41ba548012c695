"""What an embedder keeps of a text, special token by special token, so that single ones can be replaced and read again.

LLM2Vec-Gen keeps soft prompts (arXiv 2603.10913, section 3), GEM its special tokens' keys and values in every layer
(arXiv 2506.04344, section 3.1). Everything here is one pass without padding; gradients flow where they are recorded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from workbench.backbone import Backbone
from workbench.backbone.likelihood import states_behind, states_behind_cache
from workbench.embedders.base import Embedder
from workbench.embedders.gem import GEM
from workbench.embedders.llm2vec_gen import LLM2VecGen, read_inputs
from workbench.errors import UsageError
from workbench.lenses.states import with_special_tokens
from workbench.masks import bottleneck_mask


@dataclass(frozen=True)
class Kept:
    """What is kept of `b` texts, or of one text in `b` versions, on the backbone's device."""

    states: Shaped[Tensor, "b n ..."]
    """Soft prompts `[b, n, d]`, or GEM's keys (0) and values (1) `[b, n, layers, 2, heads, size]`."""
    last: Float[Tensor, "b d"] | None = None
    """GEM: the last hidden state of the last special token, a part of that token."""
    end: int = 0
    """GEM: the position at which what is said begins."""

    def __post_init__(self) -> None:
        if self.states.ndim != (3 if self.last is None else 6):
            raise ValueError(f"states of shape {tuple(self.states.shape)} are none that an embedder keeps")
        if self.last is not None and len(self.last) != len(self.states):
            raise ValueError(f"{len(self.states)} texts, but {len(self.last)} last states")

    def __len__(self) -> int:
        return len(self.states)

    @property
    def n(self) -> int:
        """How many special tokens there are."""
        return self.states.shape[1]

    def __getitem__(self, rows: slice | list[int]) -> Kept:
        return replace(self, states=self.states[rows], last=None if self.last is None else self.last[rows])

    def replaced(self, tokens: Sequence[int], by: Kept) -> Kept:
        """This one text in `len(tokens)` versions: in version v, special token `tokens[v]` is that of `by`'s row v."""
        rows, which = torch.arange(len(tokens)), torch.as_tensor(list(tokens), dtype=torch.long)
        states = self.states.expand(len(which), *self.states.shape[1:]).clone()
        states[rows, which] = by.states[rows, which].to(states.dtype)
        if self.last is None or by.last is None:
            return replace(self, states=states)
        ends = (which == self.n - 1).to(self.last.device)
        return replace(self, states=states, last=torch.where(ends[:, None], by.last[rows], self.last))


def together(*parts: Kept) -> Kept:
    """Several `Kept` as one, row behind row."""
    last = None if parts[0].last is None else torch.cat([p.last for p in parts if p.last is not None])
    return replace(parts[0], states=torch.cat([part.states for part in parts]), last=last)


class Read(NamedTuple):
    """One text as its embedder has read it."""

    ids: list[int]
    """The text with its template."""
    inputs: Float[Tensor, "1 t d"]
    kept: Kept
    truncated: bool


@torch.no_grad()
def read_text(embedder: Embedder, text: str, *, end: int | None = None) -> Read:
    """What is kept of one text; `end` is where its special tokens shall end, for GEM (see `keep`).

    Raises UsageError for a method without special tokens, or an empty text.
    """
    reader = with_special_tokens(embedder)
    if not text.strip():
        raise UsageError("an empty text has nothing to look at")
    tokenized = reader.tokenize([text])
    inputs = reader.backbone.embed(torch.tensor(tokenized.ids))
    return Read(tokenized.ids[0], inputs, keep(reader, inputs, end=end), bool(tokenized.truncated))


def keep(embedder: LLM2VecGen | GEM, inputs: Float[Tensor, "b t d"], *, end: int | None = None) -> Kept:
    """What is kept of input rows `[b, t, d]` that stand for texts of one length.

    GEM's keys know their positions. With `end`, a text's special tokens end there, wherever the text begins, so that
    they fit behind another text; a backbone with learned positions cannot move, and keeps them as they are.
    """
    if isinstance(embedder, LLM2VecGen):
        hidden = read_inputs(embedder.backbone, embedder.module, inputs)
        return Kept(embedder.module.project(hidden).soft_prompts)
    real = torch.ones(inputs.shape[:2], dtype=torch.bool, device=inputs.device)
    return _keep_gem(embedder, inputs, real, end)


@torch.no_grad()
def keep_texts(embedder: LLM2VecGen | GEM, texts: Sequence[str], like: Kept) -> Kept:
    """What is kept of each of some texts, in the place that `like` has in its own."""
    backbone = embedder.backbone
    if isinstance(embedder, LLM2VecGen):
        prompts = embedder.represent(texts).soft_prompts
        assert prompts is not None  # LLM2Vec-Gen always has them
        return Kept(prompts.to(like.states.device))
    batch = backbone.pad(embedder.tokenize(list(texts)).ids, side="left")
    return _keep_gem(embedder, backbone.embed(batch.ids), batch.mask, like.end)


def _keep_gem(embedder: GEM, inputs: Tensor, real: Tensor, end: int | None) -> Kept:
    """Runs texts, padded on the left, and the special tokens behind them under the bottleneck mask."""
    backbone, rows = embedder.backbone, embedder.module.tokens.to(embedder.backbone.dtype)
    count, k = len(inputs), len(rows)
    whole = torch.cat([inputs.to(rows.dtype), rows.expand(count, -1, -1)], dim=1)
    seen = torch.cat([real, real.new_ones(count, k)], dim=1)
    special = torch.arange(whole.shape[1], device=whole.device).expand(count, -1) >= inputs.shape[1]
    lengths = seen.sum(dim=1)
    positions = (seen.cumsum(dim=1) - 1).clamp(min=0)
    if end is not None and turns_keys(backbone):
        positions = positions + (end - lengths)[:, None]
    mask = bottleneck_mask(special, seen, specials_see_each_other=embedder.config.specials_see_each_other)
    with embedder.language_model():
        states = backbone.hidden(whole, mask=mask, positions=positions, use_cache=True)
    layers = [torch.stack([layer.keys[:, :, -k:], layer.values[:, :, -k:]]) for layer in states.cache.layers]
    # [layers, 2, b, heads, k, size] -> [b, k, layers, 2, heads, size]
    kept = torch.stack(layers).permute(2, 4, 0, 1, 3, 5)
    return Kept(kept, states.last[:, -1], int(lengths[0]) if end is None else end)


def turns_keys(backbone: Backbone) -> bool:
    """Whether keys are rotated by their position, so that a text moved as a whole stays what it is."""
    return any("rotary" in name for name, _ in backbone.model.base_model.named_modules())


def log_likelihoods(embedder: LLM2VecGen | GEM, kept: Kept, ids: list[int]) -> Float[Tensor, "b t"]:
    """The log-likelihood of each of the tokens `ids`, teacher-forced behind every version of what is kept.

    LLM2Vec-Gen's plain backbone reads soft prompts; GEM's fine-tuned one reads its cache and the opening of an answer.
    """
    wanted = torch.tensor(ids, dtype=torch.long, device=embedder.backbone.device).expand(len(kept), -1)
    with embedder.language_model() as backbone:
        if isinstance(embedder, LLM2VecGen):
            states = states_behind(backbone, kept.states, wanted)
        else:
            assert kept.last is not None  # GEM's always has it
            cache, ends = kept.states.permute(0, 2, 3, 4, 1, 5), wanted.new_full((len(kept),), kept.end)
            states = states_behind_cache(backbone, cache, kept.last, ends, wanted)
        logs = backbone.logits(states).float().log_softmax(dim=-1)
    return logs.gather(2, wanted[:, :, None])[:, :, 0]


def say(embedder: LLM2VecGen | GEM, kept: Kept, max_new_tokens: int = 64) -> list[list[int]]:
    """The tokens that the language model says behind each version, greedy, with the EOS where it ends by itself."""
    backbone, room = embedder.backbone, min(max_new_tokens, room_behind(embedder, kept))
    if isinstance(embedder, LLM2VecGen):
        said = backbone.generate_from(kept.states.float(), max_new_tokens=max_new_tokens)
    else:
        assert kept.last is not None  # GEM's always has it
        places = torch.full((len(kept),), kept.end)
        keys_values = kept.states.permute(0, 2, 3, 4, 1, 5)
        with embedder.language_model():
            said = backbone.generate_behind(keys_values, kept.last, places, max_new_tokens=max_new_tokens)
    return [row if len(row) >= room else [*row, backbone.eos_ids[0]] for row in said]


def room_behind(embedder: LLM2VecGen | GEM, kept: Kept) -> int:
    """How many tokens the backbone's window has left for what is said."""
    backbone = embedder.backbone
    begins = kept.n if isinstance(embedder, LLM2VecGen) else kept.end + len(backbone.answer_opening)
    return backbone.max_length - begins
