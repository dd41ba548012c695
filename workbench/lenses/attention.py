"""What the special tokens attend to: the mask an embedder declares beside the weights its backbone really applies."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float

from workbench.embedders.base import Embedder
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.errors import UsageError, WorkbenchError
from workbench.lenses.tokens import readable_tokens
from workbench.masks import special_token_mask, to_additive


@dataclass(frozen=True)
class SpecialAttention:
    """One text and its special tokens: who may attend to whom, and who does.

    Rows look, columns are looked at. The weights are recomputed with eager attention on the whole sequence, because
    the fast kernels that embed a text do not return any; `deviation` says how far that recomputation is from the
    hidden states that the embedder really used.
    """

    tokens: list[str]
    """One readable label a token: the text's with visible spaces, then ◆1, ◆2 ... for the special tokens."""
    is_special: Bool[np.ndarray, " t"]
    declared: Bool[np.ndarray, "t t"]
    """The embedder's mask: True = may attend."""
    weights: Float[np.ndarray, "layers heads t t"]
    """Applied attention; every row sums to 1."""
    deviation: float
    """Largest absolute difference of the compression tokens' last hidden states to the embedder's own."""
    truncated: bool
    """Whether the text lost its tail."""

    def __post_init__(self) -> None:
        t = len(self.tokens)
        if self.declared.shape != (t, t) or self.is_special.shape != (t,) or self.weights.shape[2:] != (t, t):
            raise ValueError(f"{t} tokens, mask {self.declared.shape}, weights {self.weights.shape}")

    @property
    def layers(self) -> int:
        """How many layers there are."""
        return self.weights.shape[0]

    @property
    def heads(self) -> int:
        """How many heads a layer has."""
        return self.weights.shape[1]

    @property
    def leak(self) -> float:
        """The largest weight that any head puts outside the declared mask; 0 where nothing leaks."""
        outside = self.weights[:, :, ~self.declared]
        return float(outside.max()) if outside.size else 0.0

    def weights_of(self, layer: int | None = None, head: int | None = None) -> Float[np.ndarray, "t t"]:
        """The weights of one head, or their mean over heads (head None), layers (layer None), or both."""
        chosen = self.weights if layer is None else self.weights[layer : layer + 1]
        chosen = chosen if head is None else chosen[:, head : head + 1]
        if chosen.size == 0:
            raise UsageError(
                f"no layer {layer} or head {head}: there are {self.layers} layers of {self.heads} heads"
            )
        return chosen.mean((0, 1))

    def received(self, layer: int | None = None, head: int | None = None) -> Float[np.ndarray, " t"]:
        """The attention that each token gets from the special tokens, on average over them; sums to 1."""
        return self.weights_of(layer, head)[self.is_special].mean(0)

    def on_text(self) -> Float[np.ndarray, "layers heads"]:
        """The share of the special tokens' attention that falls on the text, its first token left out.

        The first token is left out because decoder-only models park unused attention there (an attention sink).
        """
        text = ~self.is_special
        text[0] = False
        return self.weights[:, :, self.is_special][:, :, :, text].sum(-1).mean(-1)

    def on_first(self) -> Float[np.ndarray, "layers heads"]:
        """The share of the special tokens' attention that falls on the very first token."""
        return self.weights[:, :, self.is_special, 0].mean(-1)


@torch.inference_mode()
def special_attention(embedder: Embedder, text: str) -> SpecialAttention:
    """The attention of `text` and the special tokens directly after it, in every layer and head.

    Raises UsageError for a method without special tokens or an empty text, WorkbenchError where the backbone returns
    no attention weights.
    """
    if not isinstance(embedder, LLM2VecGen):
        raise UsageError(f"{embedder.method} has no special tokens to look at")
    if not text.strip():
        raise UsageError("an empty text has nothing to attend to")
    backbone, module = embedder.backbone, embedder.module
    tokenized = embedder.tokenize([text])
    ids, count = tokenized.ids[0], len(module.tokens)
    batch = backbone.pad([ids])
    mask = special_token_mask(batch.mask, count)
    inputs = torch.cat([backbone.embed(batch.ids), module.tokens.to(backbone.dtype)[None]], dim=1)
    with module.encoder_side(backbone), backbone.eager_attention():
        output = backbone.model(
            inputs_embeds=inputs,
            attention_mask=to_additive(mask, backbone.dtype),
            position_ids=torch.arange(inputs.shape[1], device=inputs.device)[None],
            output_attentions=True,
            output_hidden_states=True,
            use_cache=False,
        )
    if not output.attentions or output.attentions[0] is None:
        raise WorkbenchError(f"{backbone.id} returns no attention weights, not even with eager attention")
    last = output.hidden_states[-1][:, -module.n_compression :]
    return SpecialAttention(
        tokens=readable_tokens(backbone.tokenizer, ids) + [f"◆{i}" for i in range(1, count + 1)],
        is_special=np.arange(len(ids) + count) >= len(ids),
        declared=mask[0].cpu().numpy(),
        weights=torch.cat(output.attentions).float().cpu().numpy(),
        deviation=float((last - embedder.hidden_states([ids])).abs().max()),
        truncated=bool(tokenized.truncated),
    )
