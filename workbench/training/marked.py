"""GEM's training texts: where special tokens go, what is predicted from where, and the contrastive pairs."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from workbench.backbone import Backbone
from workbench.errors import UsageError, WorkbenchError
from workbench.objectives import IGNORED
from workbench.processes import Processes
from workbench.training.batches import ALONE
from workbench.training.corpus import Corpus
from workbench.training.gem_config import GEMTraining

Parts = tuple[list[int], list[int]]
"""A text's tokens before and after the special tokens; with nothing after them, the text has none."""


class MarkedBatch(NamedTuple):
    """What one step of GEM's training reads; texts are padded on the right."""

    ids: Int[Tensor, "b t"]
    special: Bool[Tensor, "b t"]
    padding: Bool[Tensor, "b t"]
    """True where a token is real."""
    labels: Int[Tensor, "b t"]
    """What the state at each position must predict; -100 where that is a special token or nothing."""
    pair_ids: Int[Tensor, "p s"]
    """Prefixes with special tokens behind them: first the anchors, then their positives; empty while alpha is 0."""
    pair_special: Bool[Tensor, "p s"]
    pair_padding: Bool[Tensor, "p s"]
    alpha: Float[Tensor, ""]


class Step(NamedTuple):
    """One step of the plan: which texts, and the number that seeds what is drawn for them."""

    number: int
    rows: list[int]


@dataclass(frozen=True)
class MarkedTexts:
    """Texts in tokens: queries and responses, or plain texts (then `responses` is empty and `queries` the whole)."""

    backbone: Backbone
    queries: list[list[int]]
    responses: list[list[int]]
    summaries: list[Parts]
    config: GEMTraining
    n_special: int
    truncated: int

    def __post_init__(self) -> None:
        if len(self.queries) != len(self.responses):
            raise ValueError(f"{len(self.queries)} queries, {len(self.responses)} responses")

    def make(self, step: Step, processes: Processes = ALONE) -> dict[str, Tensor]:
        """The tensors of this process's part of one step, as the fields of a MarkedBatch; the same for the same step.

        Everything is drawn for the whole step, whatever part of it is read here.
        """
        draw = np.random.default_rng([self.config.seed, 1, step.number])
        alpha = self.config.alpha_at(step.number)
        parts = [self.parts(row, draw) for row in step.rows]
        idle = processes.idle(parts)
        ids, special, padding = self._marked(processes.read(parts))
        pairs: list[Parts] = []
        if alpha:
            prefixes = [
                first if second else self.queries[row]
                for (first, second), row in zip(parts, step.rows, strict=True)
            ]
            positives = [self._dropped(prefix, draw) for prefix in prefixes]
            pairs = [(part, []) for part in processes.read(prefixes) + processes.read(positives)]
        pair_ids, pair_special, pair_padding = self._marked(pairs, always=True)
        labels = next_tokens(ids, special, padding).masked_fill(torch.tensor(idle), IGNORED)
        return MarkedBatch(
            ids, special, padding, labels,
            pair_ids, pair_special & (not idle), pair_padding, torch.tensor(alpha),
        )._asdict()  # fmt: skip

    def parts(self, row: int, draw: np.random.Generator) -> Parts:
        """One text before and after its special tokens, after a task drawn by the shares (section 3.1)."""
        query, response = self.queries[row], self.responses[row]
        text = query + response
        if draw.random() < self.config.p:
            return text, []
        weights = np.array([getattr(self.config, name) for name in self.config.shares], dtype=float)
        task = int(draw.choice(len(weights), p=weights / weights.sum()))
        if task == 0:
            place = int(draw.integers(1, max(len(text), 2)))
            return text[:place], text[place:]
        if task == 1:
            room = (self.config.max_length - self.n_special) // 2
            return text[:room], text[:room]
        if task == 2:
            return query, response
        return self.summaries[int(draw.integers(len(self.summaries)))]

    def _dropped(self, prefix: list[int], draw: np.random.Generator) -> list[int]:
        """A prefix without some of its tokens, but never without all of them."""
        kept = draw.random(len(prefix)) >= self.config.prefix_dropout
        if not kept.any():
            kept[int(draw.integers(len(prefix)))] = True
        return [token for token, keep in zip(prefix, kept, strict=True) if keep]

    def _marked(self, parts: list[Parts], always: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """Ids, special tokens' places and real tokens of texts, padded on the right."""
        k, filler = self.n_special, self.backbone.pad_id
        counts = [k if always or second else 0 for _, second in parts]
        rows = [first + [filler] * n + second for (first, second), n in zip(parts, counts, strict=True)]
        batch = self.backbone.pad(rows, side="right")
        start = torch.tensor([len(first) for first, _ in parts], dtype=torch.long, device=batch.ids.device)[
            :, None
        ]
        column = torch.arange(batch.ids.shape[1], device=batch.ids.device)
        count = torch.tensor(counts, dtype=torch.long, device=batch.ids.device)[:, None]
        special = (column >= start) & (column < start + count)
        return batch.ids, special, batch.mask


def next_tokens(
    ids: Int[Tensor, "b t"], special: Bool[Tensor, "b t"], padding: Bool[Tensor, "b t"]
) -> Int[Tensor, "b t"]:
    """The token that the state at each position must predict, -100 where there is none (section 3.1.1).

    That is the token after it, and nothing where that is a special token, padding or the end. So the last token of
    the prefix predicts nothing, and **the last special token predicts the first token of the suffix**.
    """
    counted = torch.zeros_like(padding)
    counted[:, :-1] = padding[:, 1:] & padding[:, :-1] & ~special[:, 1:]
    following = torch.roll(ids, -1, dims=1)
    return following.masked_fill(~counted, IGNORED)


def tokenize_texts(
    backbone: Backbone, corpus: Corpus, config: GEMTraining, n_special: int, summaries: list[tuple[str, str]]
) -> MarkedTexts:
    """Queries in the chat template with their responses and the closing EOS; texts without responses as they are.

    Raises WorkbenchError for an empty corpus, UsageError where a task lacks its pairs.
    """
    if not corpus.queries:
        raise WorkbenchError("the corpus is empty: there is nothing to train on")
    paired = any(corpus.responses)
    if config.share_soft_prompt and config.p < 1 and not paired:
        raise UsageError("share_soft_prompt is above 0, but the texts have no responses")
    if config.share_summary and config.p < 1 and not summaries:
        raise UsageError("share_summary is above 0, but there are no summaries")
    room = min(config.max_length, backbone.max_length) - n_special
    template = "query" if paired else "raw"
    queries = backbone.tokenize(corpus.queries, template=template, max_length=room)
    answers = backbone.first_ids(corpus.responses, room) if paired else [[] for _ in corpus.queries]
    opening = backbone.answer_opening if paired else []
    closed = [
        [*opening, *ids, backbone.eos_ids[0]][: room - len(q)]
        for ids, q in zip(answers, queries.ids, strict=True)
    ]
    half = room // 2
    first, second = (backbone.first_ids([pair[side] for pair in summaries], half) for side in (0, 1))
    told = [
        (text, [*summary, backbone.eos_ids[0]][:half]) for text, summary in zip(first, second, strict=True)
    ]
    return MarkedTexts(backbone, queries.ids, closed, told, config, n_special, queries.truncated)
