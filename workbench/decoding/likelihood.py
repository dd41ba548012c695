"""How likely texts are behind what an embedder keeps of other texts: training's next-token term, read text by text.

The closing EOS is a token of a text, so that an empty text has one too. Texts of similar length share a batch, and a
text's figure does not depend on its company. A text that is longer than the backbone's window loses its tail.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from workbench.backbone.batching import by_length
from workbench.backbone.likelihood import mean_log_likelihoods, states_behind, states_behind_cache
from workbench.errors import UsageError
from workbench.objectives import IGNORED

if TYPE_CHECKING:
    from workbench.backbone import Backbone
    from workbench.embedders.base import SpecialCache


@torch.no_grad()
def text_likelihood(
    backbone: Backbone,
    soft_prompts: Float[Tensor, "b n d"],
    texts: Sequence[str],
    *,
    batch_size: int = 64,
) -> Float[np.ndarray, " b"]:
    """The mean log-likelihood of a token of each text behind its own block, `-CE(r | p)` (arXiv 2603.10913, section 3).

    The last soft prompt predicts the first token. Raises UsageError unless there is one block for each text.
    """
    _check(len(soft_prompts), "blocks of soft prompts", texts)
    room = [backbone.max_length - soft_prompts.shape[1]] * len(texts)

    def states(rows: list[int], ids: Int[Tensor, "b t"]) -> Tensor:
        return states_behind(backbone, soft_prompts[rows], ids)

    return _by_length(backbone, texts, room, states, batch_size)


@torch.no_grad()
def cache_likelihood(
    backbone: Backbone, cache: SpecialCache, texts: Sequence[str], *, batch_size: int = 64
) -> Float[np.ndarray, " b"]:
    """The mean log-likelihood of a token of each text behind its own special tokens (arXiv 2506.04344, section 3.1).

    `backbone` is the embedder's `language_model()`, which reads the chat template's opening of an answer first, as
    `decode` does. Raises UsageError unless there is one cache for each text.
    """
    _check(len(cache), "caches of special tokens", texts)
    opening = len(backbone.answer_opening)
    room = (backbone.max_length - opening - cache.next_positions).clamp(min=1).tolist()

    def states(rows: list[int], ids: Int[Tensor, "b t"]) -> Tensor:
        part = cache[rows]
        return states_behind_cache(backbone, part.keys_values, part.last, part.next_positions, ids)

    return _by_length(backbone, texts, room, states, batch_size)


def _check(count: int, what: str, texts: Sequence[str]) -> None:
    if count != len(texts):
        raise UsageError(f"{count} {what}, but {len(texts)} texts")


def _by_length(
    backbone: Backbone,
    texts: Sequence[str],
    room: list[int],
    states: Callable[[list[int], Int[Tensor, "b t"]], Tensor],
    batch_size: int,
) -> Float[np.ndarray, " b"]:
    """Each text's figure; `states(rows, ids)` predicts the ids, of which a row has at most `room`."""
    found = np.zeros(len(texts), dtype=np.float32)
    if not len(found):
        return found
    words = backbone.first_ids(list(texts), max(room))
    ids = [[*row, backbone.eos_ids[0]][:most] for row, most in zip(words, room, strict=True)]
    for rows in by_length([len(row) for row in ids], batch_size):
        batch = backbone.pad([ids[row] for row in rows], side="right")
        labels = batch.ids.masked_fill(~batch.mask, IGNORED)
        found[rows] = mean_log_likelihoods(backbone, states(rows, batch.ids), labels).cpu().numpy()
    return found
