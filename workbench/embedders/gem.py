"""GEM: special tokens behind a bottleneck mask, in a backbone that goes on being a language model (arXiv 2506.04344).

`read_marked` runs texts with special tokens among them under the bottleneck mask. Training and inference both come
through it. The fine-tuning lies beside the backbone and is switched on by `GemTokens.active`.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from workbench.backbone import Backbone
from workbench.embedders.base import Vectors
from workbench.embedders.config import GEMConfig
from workbench.embedders.full import FullUpdate
from workbench.embedders.lora import Lora
from workbench.embedders.trained import TrainedEmbedder
from workbench.errors import UsageError
from workbench.masks import bottleneck_mask

MIN_LOG_SCALE, START_LOG_SCALE, MAX_LOG_SCALE = 0.0, math.log(20.0), math.log(100.0)
"""Bounds and start of lambda; similarities are multiplied by exp(lambda) (section 3.2)."""


class GemTokens(nn.Module):
    """All that trains: the special tokens' input rows, the backbone's update, and lambda of the contrastive loss.

    The tokens start as draws around the mean input row of the vocabulary, the update at nothing.
    """

    def __init__(self, config: GEMConfig, backbone: Backbone, seed: int = 0) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(seed)
        rows = backbone.model.get_input_embeddings().weight.detach().float().cpu()
        noise = torch.randn(config.n_special, rows.shape[1], generator=draw)
        self.tokens = nn.Parameter(rows.mean(dim=0) + noise * rows.std(dim=0))
        self.log_scale = nn.Parameter(torch.tensor(START_LOG_SCALE))
        self.update: Lora | FullUpdate = (
            FullUpdate(backbone.model)
            if config.tuning == "full"
            else Lora(backbone.model, config.lora_rank, config.lora_alpha, draw)
        )
        self._open = False
        self.to(backbone.device)

    @contextmanager
    def active(self, backbone: Backbone) -> Iterator[None]:
        """While open, the backbone computes with the update; opened again inside itself, it changes nothing."""
        if self._open:
            yield
            return
        self._open = True
        try:
            with self.update.active(backbone.model):
                yield
        finally:
            self._open = False

    @property
    def scale(self) -> Float[Tensor, ""]:
        """What cosine similarities are multiplied by: exp(lambda), lambda clamped to [0, log 100]."""
        return self.log_scale.clamp(MIN_LOG_SCALE, MAX_LOG_SCALE).exp()


class Marked(NamedTuple):
    """What the backbone makes of texts with special tokens among them."""

    last: Float[Tensor, "b t d"]
    """Last hidden states after the final norm: they predict tokens."""
    pooled: Float[Tensor, "b t d"]
    """The states that embeddings are pooled from: those of the chosen block, or `last`."""
    cache: Any


def read_marked(
    backbone: Backbone,
    tokens: Float[Tensor, "k d"],
    ids: Int[Tensor, "b t"],
    special: Bool[Tensor, "b t"],
    padding: Bool[Tensor, "b t"],
    *,
    specials_see_each_other: bool = False,
    layer: int | None = None,
    use_cache: bool = False,
) -> Marked:
    """The hidden states of texts under the bottleneck mask; positions run on as usual.

    `special` is True where a special token stands (its id is not read), `padding` where a token is real; the i-th
    special token of a row is `tokens[i]`; `layer` is `GEMConfig.layer`. Call it with the update active.
    Raises UsageError for a layer that the backbone does not have.
    """
    number = (special.cumsum(dim=1) - 1).clamp(min=0)
    # `embedding`, since the way back of tokens[number] adds in the order in which a CPU's threads come.
    marks = F.embedding(number, tokens).to(backbone.dtype)
    inputs = torch.where(special[:, :, None], marks, backbone.embed(ids))
    mask = bottleneck_mask(special, padding, specials_see_each_other=specials_see_each_other)
    positions = (padding.cumsum(dim=1) - 1).clamp(min=0)
    with _output_of(backbone, layer) as found:
        states = backbone.hidden(inputs, mask=mask, positions=positions, use_cache=use_cache)
    return Marked(states.last, found[0] if found else states.last, states.cache)


def check_layer(backbone: Backbone, layer: int | None) -> None:
    """UsageError for a layer that the backbone does not have."""
    if layer is not None and layer > len(backbone.layers):
        raise UsageError(f"layer {layer} is asked for, but {backbone.id} has {len(backbone.layers)}")


@contextmanager
def _output_of(backbone: Backbone, layer: int | None) -> Iterator[list[Float[Tensor, "b t d"]]]:
    """A list that takes a block's output when the backbone runs inside; it stays empty for no layer."""
    found: list[Tensor] = []
    if layer is None:
        yield found
        return
    check_layer(backbone, layer)
    keep = lambda _, __, output: found.append(output[0] if isinstance(output, tuple) else output)  # noqa: E731
    handle = backbone.layers[layer - 1].register_forward_hook(keep)
    try:
        yield found
    finally:
        handle.remove()


def pool(states: Float[Tensor, "b k d"], pooling: str) -> Float[Tensor, "b d_e"]:
    """The embedding of the special tokens' states: their mean, or all of them one after the other (section 3.2)."""
    return states.mean(dim=1) if pooling == "mean" else states.flatten(1)


class GEM(TrainedEmbedder):
    """Embeds a text into special tokens; whatever is written behind them sees the text through them alone."""

    method = "gem"
    config_type = GEMConfig
    module_type = GemTokens
    config: GEMConfig
    module: GemTokens

    @contextmanager
    def language_model(self) -> Iterator[Backbone]:
        """The backbone with this embedder's fine-tuning, as a plain language model; undone on leaving."""
        with self.module.active(self.backbone):
            yield self.backbone

    @property
    def dimension(self) -> int:
        size = self.backbone.hidden_size
        return size if self.config.pooling == "mean" else size * self.config.n_special

    def encode_batch(self, ids: list[list[int]]) -> Vectors:
        """The vectors and the special tokens' keys and values of one batch of tokenized texts."""
        k = self.config.n_special
        if not ids:
            none = self.module.tokens.new_zeros(0, k, self.backbone.hidden_size)
            return Vectors(none.new_zeros(0, self.dimension), hidden_states=none)
        batch = self.backbone.pad([[*row, *[self.backbone.pad_id] * k] for row in ids], side="left")
        special = torch.zeros_like(batch.mask)
        special[:, -k:] = True
        with self.module.active(self.backbone):
            states = read_marked(
                self.backbone, self.module.tokens, batch.ids, special, batch.mask,
                specials_see_each_other=self.config.specials_see_each_other, layer=self.config.layer,
                use_cache=True,
            )  # fmt: skip
        last = states.last[:, -k:]
        kept = torch.stack(
            [torch.stack([layer.keys[:, :, -k:], layer.values[:, :, -k:]]) for layer in states.cache.layers]
        )
        keys_values = kept.permute(2, 0, 1, 3, 4, 5).contiguous()
        lengths = batch.mask.sum(dim=1)
        embedding = pool(states.pooled[:, -k:].float(), self.config.pooling)
        return Vectors(embedding, None, last, keys_values, lengths)
