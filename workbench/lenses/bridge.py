"""TransformerLens 4 around a copy of a model: every hook point by name, and the proof that it computes the same.

The lenses of this package read `states.special_states`, which hooks the model as it is: faster, and without a copy. The
bridge is for what needs hook points inside blocks. `TransformerBridge` changes the model that it wraps in place (eager
attention, renamed parameters), hence the copy.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from workbench.backbone import Backbone
from workbench.embedders.base import Embedder
from workbench.embedders.full import FullUpdate
from workbench.embedders.gem import GEM
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.embedders.lora import Lora
from workbench.errors import WorkbenchError
from workbench.lenses.states import special_count, with_special_tokens
from workbench.masks import bottleneck_mask, special_token_mask, to_additive

TOLERANCE = 1e-4
"""Largest difference of logits in float32, as a share of the largest logit where that is above 1."""
PROBES = (
    "What is the capital of France?",
    "How?",
    "Tell me in a few words about a lion that plays the guitar.",
)


class NoBridge(WorkbenchError):
    """TransformerLens does not know the architecture."""


@dataclass(frozen=True)
class ParityReport:
    """How far the bridge's logits are from Hugging Face's, in float32."""

    architecture: str
    texts: int
    difference: float
    """The largest absolute difference of any logit."""
    largest: float
    """The largest absolute logit."""

    @property
    def passed(self) -> bool:
        """Whether both compute the same."""
        return self.difference <= TOLERANCE * max(1.0, self.largest)

    def summary(self) -> str:
        """One line for people."""
        gap = f"logits differ by at most {self.difference:.0e} of {self.largest:.1f}"
        return f"{self.architecture}, {self.texts} texts: {gap}"

    def require(self) -> None:
        """WorkbenchError where the bridge computes something else."""
        if not self.passed:
            raise WorkbenchError(f"the TransformerLens bridge computes something else: {self.summary()}")


def bridge_of(source: Embedder | Backbone) -> Any:
    """A `TransformerBridge` on a deep copy of a backbone, or of an embedder's encoder side.

    The embedder's LoRA or fine-tuning is added to the copy's weights. The source is left as it is.
    Raises NoBridge for an architecture that TransformerLens does not know.
    """
    if isinstance(source, Backbone):
        return _wrap(copy.deepcopy(source.model))
    return _wrap(merged(with_special_tokens(source)))


def merged(embedder: LLM2VecGen | GEM) -> Any:
    """A copy of the Hugging Face model with the embedder's update in its weights: what the encoder side computes."""
    model = copy.deepcopy(embedder.backbone.model)
    update = embedder.module.update if isinstance(embedder, GEM) else embedder.module.lora
    with torch.no_grad():
        if isinstance(update, FullUpdate):
            for name, weight in model.named_parameters():
                weight.copy_(update.weights[name.replace(".", "/")])
        elif isinstance(update, Lora):
            for key, down in update.down.items():
                layer = model.get_submodule(key.replace("/", "."))
                change = update.scale * update.up[key] @ down
                # GPT-2's Conv1D keeps its weight the other way round.
                layer.weight += (change.T if type(layer).__name__ == "Conv1D" else change).to(
                    layer.weight.dtype
                )
    return model


@torch.no_grad()
def bridge_states(bridge: Any, embedder: Embedder, text: str) -> Float[Tensor, "layers n d"]:
    """The residual stream at the compression tokens by the bridge's own hooks: `special_states` less layer 0.

    One text, one whole pass: the slow reference.
    """
    reads = with_special_tokens(embedder)
    cache = read_special(bridge, reads, text, lambda name: name.endswith("hook_resid_post"))
    count = special_count(reads)
    return torch.stack(
        [cache[f"blocks.{layer}.hook_resid_post"][0, -count:] for layer in range(len(reads.backbone.layers))]
    ).float().cpu()  # fmt: skip


@torch.no_grad()
def read_special(bridge: Any, embedder: LLM2VecGen | GEM, text: str, names_filter: Any) -> Any:
    """The bridge's cache of one text with its special tokens behind it, under the embedder's mask.

    `names_filter` says which hook points are kept (a name, names, or a function); the whole cache is large.
    `bridge` is `bridge_of(embedder)`.
    """
    backbone, tokens = embedder.backbone, embedder.module.tokens
    ids = backbone.pad(embedder.tokenize([text]).ids)
    inner = embedder.module.active(backbone) if isinstance(embedder, GEM) else embedder.language_model()
    with inner:  # a fine-tuning of all weights has input rows of its own
        rows = backbone.embed(ids.ids)
    inputs = torch.cat([rows, tokens.to(backbone.dtype)[None]], dim=1)
    if isinstance(embedder, GEM):
        real = ids.mask.new_ones(1, inputs.shape[1])
        special = torch.arange(inputs.shape[1], device=real.device)[None] >= rows.shape[1]
        mask = bottleneck_mask(special, real, specials_see_each_other=embedder.config.specials_see_each_other)
    else:
        mask = special_token_mask(ids.mask, len(tokens))
    positions = torch.arange(inputs.shape[1], device=inputs.device)[None]
    _, cache = bridge.run_with_cache(
        inputs, attention_mask=to_additive(mask, backbone.dtype), position_ids=positions, names_filter=names_filter
    )  # fmt: skip
    return cache


@torch.no_grad()
def parity(backbone: Backbone, texts: tuple[str, ...] = PROBES) -> ParityReport:
    """The largest difference of the bridge's logits to Hugging Face's on a few texts, both in float32.

    Raises NoBridge for an architecture that TransformerLens does not know.
    """
    model = copy.deepcopy(backbone.model).float()
    rows = [torch.tensor([ids], device=backbone.device) for ids in backbone.tokenize(list(texts)).ids]
    theirs = [model(input_ids=row, use_cache=False).logits for row in rows]
    bridge = _wrap(model)
    difference = max(
        float((bridge(row, return_type="logits") - logits).abs().max())
        for row, logits in zip(rows, theirs, strict=True)
    )
    largest = max(float(logits.abs().max()) for logits in theirs)
    return ParityReport(type(backbone.model).__name__, len(rows), difference, largest)


def _wrap(model: Any) -> Any:
    """The bridge around a model that is nobody else's."""
    from transformer_lens.model_bridge.sources import build_bridge_from_module

    model.requires_grad_(False)
    name = type(model).__name__
    try:
        return build_bridge_from_module(model, name, hf_config=model.config)
    except (ValueError, KeyError, AttributeError) as error:
        raise NoBridge(f"TransformerLens has no bridge for {name}: {error}") from error
