"""How attention flows into the special tokens: per head, through all layers, and by the words of the text.

Only the special tokens' rows are kept, so that long texts stay computable: beside the result, `layers x heads x n x t`
numbers, at most WEIGHTS_AT_ONCE weights are held at a time; a rollout takes `layers x t x t` numbers more.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from workbench.backbone.caching import cache_argument
from workbench.embedders.base import Embedder
from workbench.embedders.gem import GEM
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.errors import UsageError, WorkbenchError
from workbench.lenses.attention import SpecialAttention
from workbench.lenses.attention_flow import AttentionFlow
from workbench.lenses.states import special_count, with_special_tokens
from workbench.lenses.tokens import readable_tokens
from workbench.lenses.words import TEMPLATE, Words, words_of
from workbench.masks import to_additive

WEIGHTS_AT_ONCE = 2**24
"""Attention weights held at once, over all layers and heads, beside the special tokens' own."""
ROLLOUT_AT_MOST = 2**28
"""Numbers that a rollout may take (4 bytes each)."""


class Step(NamedTuple):
    """Some positions, read behind the cache with eager attention."""

    last: Float[Tensor, "rows d"]
    weights: Float[Tensor, "layers heads rows t"]
    """On everything read so far, these positions included."""


@torch.no_grad()
def attention_flow(embedder: Embedder, text: str, *, rollout: bool = True) -> AttentionFlow:
    """What the special tokens directly after `text` attend to, and which of its words feed them.

    The text is read by the model's own kernel and the special tokens behind it in eager attention; for a rollout the
    text too, a few positions at a time. Raises UsageError for a method without special tokens, an empty text, or one
    that is too long for a rollout; WorkbenchError where the backbone returns no weights.
    """
    reader = with_special_tokens(embedder)
    if not text.strip():
        raise UsageError("an empty text has nothing to attend to")
    tokenized, backbone = reader.tokenize([text]), reader.backbone
    ids, count = tokenized.ids[0], len(reader.module.tokens)
    if rollout:
        _check_room(len(backbone.layers), len(ids) + count)
    kernel = str(backbone.model.config._attn_implementation)
    side = reader.language_model() if isinstance(reader, GEM) else reader.module.encoder_side(backbone)
    with side:
        step, mixed = _read(reader, ids, rollout)
    n = special_count(reader)
    own = reader.encode_batch([ids]).hidden_states
    assert own is not None  # both methods have them
    words, thoughts = words_of(reader, ids), range(1, count - n + 1)
    labels = [f"◆{number}" for number in range(1, n + 1)]
    return AttentionFlow(
        text=text,
        tokens=[*readable_tokens(backbone.tokenizer, ids), *(f"◇{number}" for number in thoughts), *labels],
        labels=labels,
        words=Words(words.labels, np.concatenate([words.of, np.full(count, TEMPLATE)])),
        weights=step.weights[:, :, -n:].float().cpu().numpy(),
        rolled=None if mixed is None else _rows(mixed, n),
        kernel=kernel,
        deviation=float((step.last[-n:] - own[0]).abs().max()),
        truncated=bool(tokenized.truncated),
    )


def rollout_of(seen: SpecialAttention) -> Float[np.ndarray, "t t"]:
    """The rollout of a whole sequence, a GEM suffix included."""
    return rollout(seen.weights.mean(1))


def rollout(weights: Float[np.ndarray, "layers t t"]) -> Float[np.ndarray, "t t"]:
    """Attention followed from the last layer to the input (Abnar and Zuidema, 2020, section 3).

    `weights` are means over heads. Half of each position is itself (the residual connection), half what it attends to;
    rows are normalized, and the layers multiplied, the last on the left. Every row sums to 1.
    """
    return _rows(weights, weights.shape[-1])


def _rows(weights: Float[np.ndarray, "layers t t"], n: int) -> Float[np.ndarray, "n t"]:
    """The last `n` rows of the rollout: row vectors times one matrix after the other, never the whole product."""
    rows = np.eye(weights.shape[-1], dtype=weights.dtype)[-n:]
    for layer in weights[::-1]:
        shared = rows / (layer.sum(-1) + 1)  # rows @ (A + I), A + I with its rows normalized
        rows = shared @ layer + shared
    return rows


def _check_room(layers: int, length: int) -> None:
    if layers * length**2 > ROLLOUT_AT_MOST:
        raise UsageError(
            f"a rollout over {length} tokens and {layers} layers takes {4 * layers * length**2 / 2**30:.1f} GiB: "
            f"leave it out, or give a text of at most {int((ROLLOUT_AT_MOST / layers) ** 0.5)} tokens"
        )


def _read(
    embedder: LLM2VecGen | GEM, ids: list[int], rollout: bool
) -> tuple[Step, Float[np.ndarray, "layers t t"] | None]:
    """The special tokens' step behind the text, and for a rollout every position's mean weights over heads."""
    from transformers import DynamicCache

    backbone, tokens = embedder.backbone, embedder.module.tokens.to(embedder.backbone.dtype)[None]
    inputs, cache = backbone.embed(torch.tensor([ids])), DynamicCache()
    length = len(ids) + tokens.shape[1]
    if not rollout:
        positions = torch.arange(len(ids), device=inputs.device)[None]
        mask = _mask(embedder, 0, len(ids), False).to(inputs.device)
        backbone.hidden(inputs, mask=mask, positions=positions, cache=cache, use_cache=True)
        with backbone.eager_attention():
            return _step(embedder, tokens, cache, len(ids), True), None
    layers, heads = len(backbone.layers), backbone.model.config.get_text_config().num_attention_heads
    size = max(1, WEIGHTS_AT_ONCE // (layers * heads * length))
    mixed = np.zeros((layers, length, length), dtype=np.float32)
    with backbone.eager_attention():
        for start in range(0, len(ids), size):
            step = _step(embedder, inputs[:, start : start + size], cache, start, False)
            stop = start + step.weights.shape[2]
            mixed[:, start:stop, :stop] = step.weights.float().mean(1).cpu().numpy()
        step = _step(embedder, tokens, cache, len(ids), True)
    mixed[:, len(ids) :] = step.weights.float().mean(1).cpu().numpy()
    return step, mixed


def _step(
    embedder: LLM2VecGen | GEM, rows: Float[Tensor, "1 r d"], cache: Any, start: int, special: bool
) -> Step:
    """Reads some rows behind the cache, which grows by them; call it with eager attention and the update active."""
    backbone, stop = embedder.backbone, start + rows.shape[1]
    mask = _mask(embedder, start, stop, special).to(rows.device)
    output = backbone.model.base_model(
        inputs_embeds=rows,
        attention_mask=mask if mask.ndim == 2 else to_additive(mask, backbone.dtype),
        position_ids=torch.arange(start, stop, device=rows.device)[None],
        use_cache=True,
        output_attentions=True,
        return_dict=True,
        **{cache_argument(backbone.model): cache},
    )
    if not output.attentions or output.attentions[0] is None:
        raise WorkbenchError(f"{backbone.id} returns no attention weights, not even with eager attention")
    return Step(output.last_hidden_state[0], torch.cat(output.attentions))


def _mask(
    embedder: LLM2VecGen | GEM, start: int, stop: int, special: bool
) -> Bool[Tensor, "1 s"] | Bool[Tensor, "1 r s"]:
    """Who the positions from `start` to `stop` may attend to, as the embedder's own pass has it.

    LLM2Vec-Gen leaves causality, and a sliding window, to the backbone. GEM's special tokens see the text and each
    themselves (arXiv 2506.04344, section 3.1).
    """
    if isinstance(embedder, LLM2VecGen):
        return torch.ones(1, stop, dtype=torch.bool)
    row, column = torch.arange(start, stop)[:, None], torch.arange(stop)
    seen = column <= row
    if special and not embedder.config.specials_see_each_other:
        seen = seen & ((column < start) | (column == row))
    return seen[None]
