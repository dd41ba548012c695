"""LLM2Vec-Gen: trainable special tokens on a frozen backbone (arXiv 2603.10913, section 3).

Because the backbone is frozen and causal, the query's keys and values depend on nothing that trains: `cached_prefix`
runs the query once without gradients, `special_states` runs only the special tokens behind that cache.
Training and inference both come through `read_queries`, which knows when that pays.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from workbench.backbone import Backbone, PaddedBatch, Template
from workbench.backbone.caching import let_go
from workbench.backbone.kernels import unasked_mask
from workbench.embedders.base import Vectors
from workbench.embedders.config import LLM2VecGenConfig
from workbench.embedders.lora import Lora
from workbench.embedders.trained import TrainedEmbedder
from workbench.errors import UsageError


class Prefix(NamedTuple):
    """A batch of queries that the backbone has read."""

    cache: Any
    """Keys and values of every layer; None where every query is empty."""
    mask: Bool[Tensor, "b t"]
    """True where a token is real."""
    lengths: Int[Tensor, " b"]
    """Real tokens of every query: the position of its first special token."""


class Projected(NamedTuple):
    """What the two projections make of the hidden states."""

    soft_prompts: Float[Tensor, "b n d"]
    embedding: Float[Tensor, "b d_e"]


class SpecialTokens(nn.Module):
    """All that trains: the special tokens' input rows, `W_r` and `W_a` (and a LoRA where one is asked for).

    `W_r` starts as the identity with bias 0, `W_a` near 0 (a larger start has to be unlearnt before anything is
    aligned), the tokens as `_first_rows` says.
    """

    def __init__(self, config: LLM2VecGenConfig, backbone: Backbone, seed: int = 0) -> None:
        super().__init__()
        if config.dimension is None:
            raise UsageError(
                "the embedding's dimension is unknown: give it, or train on a corpus with targets"
            )
        size = backbone.hidden_size
        self.n_compression, self.align_each = config.n_compression, config.align_each
        draw = torch.Generator().manual_seed(seed)
        self.tokens = nn.Parameter(
            _first_rows(backbone, config.n_thought + config.n_compression, config.template, draw)
        )
        self.reconstruction = nn.Linear(size, size)
        self.alignment = nn.Linear(size * (self.n_compression if self.align_each else 1), config.dimension)
        with torch.no_grad():
            self.reconstruction.weight.copy_(torch.eye(size))
            self.reconstruction.bias.zero_()
            self.alignment.weight.normal_(0, 0.02 * size**-0.5, generator=draw)
            self.alignment.bias.zero_()
        self.lora = (
            Lora(backbone.model, config.lora_rank, config.lora_alpha, draw) if config.lora_rank else None
        )
        self.to(backbone.device)

    def project(self, hidden: Float[Tensor, "b n d"]) -> Projected:
        """`p = W_r h + b_r` and `e = mean over n of (W_a p + b_a)`, in float32.

        With `align_each` every token has columns of `W_a` for itself: `e = mean over n of (W_a[n] p[n] + b_a)`.
        """
        soft_prompts = self.reconstruction(hidden.to(self.reconstruction.weight.dtype))
        return Projected(soft_prompts, self.alignment(self.pool(soft_prompts)))

    def pool(self, soft_prompts: Float[Tensor, "b n d"]) -> Float[Tensor, "b pooled"]:
        """What `W_a` reads: the mean over the tokens, or an n-th of each of them side by side."""
        return soft_prompts.flatten(1) / self.n_compression if self.align_each else soft_prompts.mean(dim=1)

    def encoder_side(self, backbone: Backbone) -> AbstractContextManager[None]:
        """While open, the backbone reads with this embedder's LoRA; without one, nothing changes."""
        return nullcontext() if self.lora is None else self.lora.active(backbone.model)


def _first_rows(
    backbone: Backbone, n: int, template: Template, draw: torch.Generator
) -> Float[Tensor, "n d"]:
    """Where the tokens start: as the chat template's opening of an answer, the rest around the vocabulary's mean row.

    So the backbone sees from the first step on that an answer is due. Behind the "chat" template it has seen it.
    """
    rows = backbone.model.get_input_embeddings().weight.detach().float().cpu()
    noise = torch.randn(n, rows.shape[1], generator=draw)
    start = rows.mean(dim=0) + noise * rows.std(dim=0)
    if template == "query" and (opening := backbone.answer_opening[-n:]):
        start[: len(opening)] = rows[opening]
    return start


def read_queries(backbone: Backbone, special: SpecialTokens, batch: PaddedBatch) -> Float[Tensor, "b n d"]:
    """`h`: the last hidden states (after the final norm) at the compression tokens behind queries padded on the left.

    Where gradients are recorded and the backbone is wholly frozen, the queries are read without them, and the special
    tokens behind their cache. Everywhere else one pass over both costs less.
    """
    with special.encoder_side(backbone):
        if torch.is_grad_enabled() and special.lora is None:
            prefix = cached_prefix(backbone, batch)
            return special_states(backbone, prefix, special.tokens, special.n_compression)
        count, lengths = len(special.tokens), batch.mask.sum(dim=1)
        tokens = special.tokens.to(backbone.dtype).expand(len(lengths), -1, -1)
        behind = lengths[:, None] + torch.arange(count, device=lengths.device)
        states = backbone.hidden(
            torch.cat([backbone.embed(batch.ids), tokens], dim=1),
            mask=torch.cat([batch.mask, batch.mask.new_ones(len(lengths), count)], dim=1),
            positions=torch.cat([batch.positions, behind], dim=1),
        )
        return states.last[:, -special.n_compression :]


def read_inputs(
    backbone: Backbone, special: SpecialTokens, inputs: Float[Tensor, "b t d"]
) -> Float[Tensor, "b n d"]:
    """`h` at the compression tokens behind input vectors that are no tokens' (soft prompts, say), without padding."""
    rows = len(inputs)
    tokens = special.tokens.to(backbone.dtype).expand(rows, -1, -1)
    whole = torch.cat([inputs.to(backbone.dtype), tokens], dim=1)
    positions = torch.arange(whole.shape[1], device=whole.device).expand(rows, -1)
    with special.encoder_side(backbone):
        states = backbone.hidden(
            whole, mask=torch.ones_like(positions, dtype=torch.bool), positions=positions
        )
    return states.last[:, -special.n_compression :]


@torch.no_grad()
def cached_prefix(backbone: Backbone, batch: PaddedBatch) -> Prefix:
    """Let the backbone read the queries, padded on the left, without gradients, and keep its keys and values."""
    lengths = batch.mask.sum(dim=1)
    if batch.ids.shape[1] == 0:
        return Prefix(None, batch.mask, lengths)
    mask = unasked_mask(backbone, batch.mask, batch.ids.shape[1])
    states = backbone.hidden(backbone.embed(batch.ids), mask=mask, positions=batch.positions, use_cache=True)
    return Prefix(states.cache, batch.mask, lengths)


def special_states(
    backbone: Backbone, prefix: Prefix, tokens: Float[Tensor, "s d"], n_compression: int
) -> Float[Tensor, "b n d"]:
    """The last hidden states (after the final norm) at the compression tokens, which end `tokens` `[s, d]`.

    The special tokens stand directly after each query, at the positions that follow its own last token.
    Spends the prefix: its cache is let go as the layers read it, and must not be used again.
    """
    if prefix.cache is not None:
        let_go(prefix.cache, backbone.model)
    rows, count = len(prefix.lengths), len(tokens)
    inputs = tokens.to(backbone.dtype).expand(rows, -1, -1)
    mask = torch.cat([prefix.mask, prefix.mask.new_ones(rows, count)], dim=1)
    positions = prefix.lengths[:, None] + torch.arange(count, device=mask.device)
    mask = unasked_mask(backbone, mask, count)
    states = backbone.hidden(inputs, mask=mask, positions=positions, cache=prefix.cache)
    return states.last[:, -n_compression:]


class LLM2VecGen(TrainedEmbedder):
    """Embeds the backbone's potential response to a text, and can be read again through the soft prompts."""

    method = "llm2vec-gen"
    config_type = LLM2VecGenConfig
    module_type = SpecialTokens
    config: LLM2VecGenConfig
    module: SpecialTokens

    @property
    def dimension(self) -> int:
        return self.module.alignment.out_features

    def hidden_states(self, ids: list[list[int]]) -> Float[Tensor, "b n d"]:
        """`h` of tokenized texts `[b]`; gradients, where they are recorded, reach the special tokens and the LoRA."""
        return read_queries(self.backbone, self.module, self.backbone.pad(ids, side="left"))

    def encode_batch(self, ids: list[list[int]]) -> Vectors:
        """The vectors of one batch of tokenized texts, empty batches included."""
        if not ids:
            none = self.module.tokens.new_zeros(0, self.module.n_compression, self.backbone.hidden_size)
            return Vectors(none.new_zeros(0, self.dimension), none, none)
        hidden = self.hidden_states(ids)
        projected = self.module.project(hidden)
        return Vectors(projected.embedding, projected.soft_prompts, hidden)
