"""What the special tokens attend to: the mask an embedder declares beside the weights its backbone really applies."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from workbench.decoding.decode import decode
from workbench.embedders.base import Embedder
from workbench.embedders.gem import GEM
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.errors import UsageError, WorkbenchError
from workbench.leakage import LeakageAudit, audit_leakage
from workbench.lenses.tokens import readable_tokens
from workbench.masks import bottleneck_mask, special_token_mask, to_additive

if TYPE_CHECKING:
    import pandas as pd

SUFFIX_TOKENS = 32
"""Most tokens of the answer that stands behind GEM's special tokens."""


@dataclass(frozen=True)
class SpecialAttention:
    """One text and its special tokens: who may attend to whom, and who does.

    Rows look, columns are looked at. The weights are recomputed with eager attention on the whole sequence, because
    the fast kernels that embed a text do not return any; `deviation` says how far that recomputation is from the
    hidden states that the embedder really used.
    """

    tokens: list[str]
    """One readable label a token: the text's with visible spaces, ◆1, ◆2 ... for the special tokens, the suffix's."""
    is_special: Bool[np.ndarray, " t"]
    declared: Bool[np.ndarray, "t t"]
    """The embedder's mask: True = may attend."""
    weights: Float[np.ndarray, "layers heads t t"]
    """Applied attention; every row sums to 1."""
    deviation: float
    """Largest absolute difference of the compression tokens' last hidden states to the embedder's own."""
    truncated: bool
    """Whether the text lost its tail."""
    audit: LeakageAudit | None = None
    """The proof that a suffix learns of the text through the special tokens alone; None where there is no suffix."""

    def __post_init__(self) -> None:
        t = len(self.tokens)
        if self.declared.shape != (t, t) or self.is_special.shape != (t,) or self.weights.shape[2:] != (t, t):
            raise ValueError(f"{t} tokens, mask {self.declared.shape}, weights {self.weights.shape}")

    @property
    def is_suffix(self) -> Bool[np.ndarray, " t"]:
        """What stands behind the special tokens."""
        return (np.cumsum(self.is_special) > 0) & ~self.is_special

    @property
    def is_prefix(self) -> Bool[np.ndarray, " t"]:
        """The text itself."""
        return ~self.is_special & ~self.is_suffix

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
        text = self.is_prefix
        text[0] = False
        return self.weights[:, :, self.is_special][:, :, :, text].sum(-1).mean(-1)

    def on_first(self) -> Float[np.ndarray, "layers heads"]:
        """The share of the special tokens' attention that falls on the very first token."""
        return self.weights[:, :, self.is_special, 0].mean(-1)

    def to_frame(self, layer: int | None = None, head: int | None = None) -> "pd.DataFrame":
        """A row for each two tokens: which looks (from 1), at which, whether it may, and the weight it gives."""
        import pandas as pd

        t = len(self.tokens)
        looks, at = np.repeat(np.arange(t), t), np.tile(np.arange(t), t)
        names = np.array(self.tokens, dtype=object)
        columns = {"row": looks + 1, "token": names[looks], "column": at + 1, "looks at": names[at]}
        columns["may"] = self.declared.reshape(-1)
        return pd.DataFrame(columns | {"weight": self.weights_of(layer, head).reshape(-1)})


class _Marked(NamedTuple):
    """One sequence as an embedder's backbone reads it."""

    ids: Int[Tensor, "1 t"]
    special: Bool[Tensor, "1 t"]
    inputs: Float[Tensor, "1 t d"]
    declared: Bool[Tensor, "1 t t"]
    truncated: bool


def special_attention(embedder: Embedder, text: str) -> SpecialAttention:
    """The attention of `text` and the special tokens directly after it, in every layer and head.

    Behind GEM's special tokens stands what the model says there, seeing them alone, and the leakage audit is made on
    this very sequence. Raises UsageError for a method without special tokens or an empty text, WorkbenchError where
    the backbone returns no attention weights.
    """
    if not isinstance(embedder, LLM2VecGen | GEM):
        raise UsageError(f"{embedder.method} has no special tokens to look at")
    if not text.strip():
        raise UsageError("an empty text has nothing to attend to")
    if isinstance(embedder, GEM):
        with embedder.language_model():
            return _look(embedder, _mark_gem(embedder, text))
    with embedder.module.encoder_side(embedder.backbone):
        return _look(embedder, _mark_llm2vec_gen(embedder, text))


@torch.no_grad()
def _mark_llm2vec_gen(embedder: LLM2VecGen, text: str) -> _Marked:
    backbone, module = embedder.backbone, embedder.module
    tokenized = embedder.tokenize([text])
    count = len(module.tokens)
    batch = backbone.pad([tokenized.ids[0]])
    ids = torch.cat([batch.ids, batch.ids.new_full((1, count), backbone.pad_id)], dim=1)
    special = torch.arange(ids.shape[1], device=ids.device)[None] >= batch.ids.shape[1]
    inputs = torch.cat([backbone.embed(batch.ids), module.tokens.to(backbone.dtype)[None]], dim=1)
    mask = special_token_mask(batch.mask, count)
    return _Marked(ids, special, inputs, mask, bool(tokenized.truncated))


@torch.no_grad()
def _mark_gem(embedder: GEM, text: str) -> _Marked:
    """Text, special tokens, and what the model says behind them."""
    backbone, count = embedder.backbone, embedder.config.n_special
    encoding = embedder.represent([text])
    assert encoding.special_cache is not None
    said = decode(embedder, encoding.special_cache, max_new_tokens=SUFFIX_TOKENS)[0]
    suffix = backbone.answer_opening + backbone.tokenizer(said, add_special_tokens=False)["input_ids"]
    before = encoding.token_ids[0]
    ids = torch.tensor([[*before, *[backbone.pad_id] * count, *suffix]], device=backbone.device)
    column = torch.arange(ids.shape[1], device=ids.device)[None]
    special = (column >= len(before)) & (column < len(before) + count)
    inputs = backbone.embed(ids).clone()
    inputs[special] = embedder.module.tokens.to(backbone.dtype)
    real = torch.ones_like(special)
    mask = bottleneck_mask(special, real, specials_see_each_other=embedder.config.specials_see_each_other)
    return _Marked(ids, special, inputs, mask, bool(encoding.truncated))


def _look(embedder: LLM2VecGen | GEM, marked: _Marked) -> SpecialAttention:
    """Runs the sequence with eager attention; call it with the embedder's update active."""
    backbone = embedder.backbone
    real = torch.ones_like(marked.special)
    with torch.no_grad(), backbone.eager_attention():
        output = backbone.model(
            inputs_embeds=marked.inputs,
            attention_mask=to_additive(marked.declared, backbone.dtype),
            position_ids=torch.arange(marked.ids.shape[1], device=marked.ids.device)[None],
            output_attentions=True,
            output_hidden_states=True,
            use_cache=False,
        )
    if not output.attentions or output.attentions[0] is None:
        raise WorkbenchError(f"{backbone.id} returns no attention weights, not even with eager attention")
    count = embedder.module.tokens.shape[0]
    ids, special = marked.ids[0].tolist(), marked.special[0].cpu().numpy()
    names = iter([f"◆{number}" for number in range(1, count + 1)])
    words = iter(readable_tokens(backbone.tokenizer, [i for i, s in zip(ids, special, strict=True) if not s]))
    last = output.hidden_states[-1][marked.special]
    if isinstance(embedder, GEM):
        used = embedder.encode_batch([[i for i, p in zip(ids, np.cumsum(special), strict=True) if not p]])
        deviation = (last - used.hidden_states[0]).detach().abs().max()  # type: ignore[index]
        behind = int((np.cumsum(special) > 0).sum()) - count
        audit = (
            audit_leakage(backbone, marked.ids, marked.special, real, inputs=marked.inputs)
            if behind > 1
            else None
        )
    else:
        with torch.no_grad():
            own = embedder.hidden_states([[i for i, s in zip(ids, special, strict=True) if not s]])[0]
        deviation, audit = (last[-len(own) :] - own).abs().max(), None
    return SpecialAttention(
        tokens=[next(names) if is_special else next(words) for is_special in special],
        is_special=special,
        declared=marked.declared[0].cpu().numpy(),
        weights=torch.cat(output.attentions).float().cpu().numpy(),
        deviation=float(deviation),
        truncated=marked.truncated,
        audit=audit,
    )
