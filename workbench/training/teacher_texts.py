"""The texts that an LLM2Vec-style teacher trains on: their plan, what is masked, and what is predicted from where."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from workbench.backbone import Backbone
from workbench.embedders.config import LLM2VecConfig
from workbench.errors import UsageError, WorkbenchError
from workbench.objectives import IGNORED
from workbench.training.batches import BatchOrder
from workbench.training.teacher_config import TeacherTraining


class TeacherBatch(NamedTuple):
    """What one step reads; texts are padded on the right."""

    ids: Int[Tensor, "b t"]
    """With mask tokens among them in masked next-token prediction."""
    real: Bool[Tensor, "b t"]
    """True where a token is no padding."""
    positions: Int[Tensor, "b t"]
    labels: Int[Tensor, "b t"]
    """The masked token that the state at each position must predict; -100 where there is none, in SimCSE everywhere."""
    step: Int[Tensor, ""]
    """The step's number, which seeds its dropout."""
    contrast: Bool[Tensor, ""]
    """Whether the step is one of SimCSE."""


class Step(NamedTuple):
    """One step of the plan: its number, which texts, and whether it is one of SimCSE."""

    number: int
    rows: list[int]
    contrast: bool


class Masked(NamedTuple):
    """Texts with tokens masked, and what is to be predicted."""

    ids: Int[Tensor, "b t"]
    labels: Int[Tensor, "b t"]


@dataclass(frozen=True)
class TeacherTexts:
    """Different texts of at least two tokens each."""

    backbone: Backbone
    ids: list[list[int]]
    mask_id: int
    config: TeacherTraining
    truncated: int
    """How many lost their tail."""
    left_out: int
    """How many stood there before, or are a single token."""

    @property
    def queries(self) -> list[list[int]]:
        """The texts, as `BatchOrder` reads them: pairs without a second side."""
        return self.ids

    @property
    def responses(self) -> list[list[int]]:
        return [[] for _ in self.ids]

    def plan(self) -> list[Step]:
        """All steps of both stages; the texts are gone through as often as the steps ask for, each time anew."""
        mntp = self._batches(self.config.batch_size, self.config.mntp_steps, self.config.seed)
        simcse = self._batches(self.config.simcse_batch_size, self.config.simcse_steps, self.config.seed + 1)
        stages = [(rows, False) for rows in mntp] + [(rows, True) for rows in simcse]
        return [Step(number, *stage) for number, stage in enumerate(stages)]

    def _batches(self, size: int, steps: int, seed: int) -> list[list[int]]:
        """So many batches; a last one of an epoch that holds a single text is left out: it has no negatives."""
        epochs = -(-steps // max(1, len(self.ids) // size))
        order = BatchOrder(self, batch_size=size, epochs=epochs, seed=seed).batches
        return [rows for rows in order if len(rows) > 1 or size == 1][:steps]

    def make(self, step: Step) -> dict[str, Tensor]:
        """The tensors of one step, as the fields of a TeacherBatch; the same for the same step."""
        batch = self.backbone.pad([self.ids[row] for row in step.rows], side="right")
        masked = Masked(batch.ids, torch.full_like(batch.ids, IGNORED))
        if not step.contrast:
            draw = np.random.default_rng([self.config.seed, 1, step.number])
            masked = mask_tokens(batch.ids, batch.mask, self.config.mask_share, self.mask_id, draw)
        flags = torch.tensor(step.number), torch.tensor(step.contrast)
        return TeacherBatch(masked.ids, batch.mask, batch.positions, masked.labels, *flags)._asdict()


def mask_tokens(
    ids: Int[Tensor, "b t"], real: Bool[Tensor, "b t"], share: float, mask_id: int, draw: np.random.Generator
) -> Masked:
    """Each token but a text's first is masked with probability `share`, and one at least in every text.

    A masked token at position i is predicted **from the state at i - 1**, as the backbone's head has learnt it
    (section 2.2): so `labels[:, i - 1]` is the token, and the first, which nothing stands before, is never masked.
    """
    maskable = real.clone()
    maskable[:, 0] = False
    scores = torch.from_numpy(draw.random(tuple(ids.shape))).to(ids.device).masked_fill(~maskable, 2.0)
    lowest = scores == scores.min(dim=1, keepdim=True).values
    chosen = maskable & ((scores < share) | lowest)
    labels = torch.full_like(ids, IGNORED)
    labels[:, :-1] = ids[:, 1:].masked_fill(~chosen[:, 1:], IGNORED)
    return Masked(ids.masked_fill(chosen, mask_id), labels)


def mask_token(backbone: Backbone) -> int:
    """What stands for a masked token: the tokenizer's own mask, else the underscore, as in the official code."""
    if backbone.tokenizer.mask_token_id is not None:
        return backbone.tokenizer.mask_token_id
    ids = backbone.tokenizer("_", add_special_tokens=False)["input_ids"]
    if not ids:
        raise UsageError(f"backbone {backbone.id!r} has no token for the underscore, which stands for a mask")
    return ids[-1]


def tokenize_texts(
    backbone: Backbone, texts: list[str], config: TeacherTraining, shape: LLM2VecConfig
) -> TeacherTexts:
    """Every different text once: a copy among the negatives would be pushed away from itself.

    Texts of a single token are left out too: nothing of them can be masked. Raises WorkbenchError where fewer than
    two texts remain.
    """
    tokens = backbone.tokenize(texts, template=shape.template, max_length=shape.max_length)
    first = {tuple(ids): row for row, ids in reversed(list(enumerate(tokens.ids))) if len(ids) > 1}
    kept = sorted(first.values())
    if len(kept) < 2:
        raise WorkbenchError(f"a teacher needs at least two different texts of two tokens, not {len(kept)}")
    return TeacherTexts(
        backbone=backbone,
        ids=[tokens.ids[row] for row in kept],
        mask_id=mask_token(backbone),
        config=config,
        truncated=sum(tokens.cut[row] for row in kept),
        left_out=len(texts) - len(kept),
    )
