"""What a lifter is trained on: queries as the embedder reads them, responses in tokens, and the teacher's vectors."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from workbench.embedders.base import Embedder
from workbench.embedders.config import LifterConfig
from workbench.errors import WorkbenchError
from workbench.objectives import IGNORED
from workbench.processes import Processes
from workbench.training.batches import ALONE
from workbench.training.corpus import Corpus
from workbench.training.lifter_config import LifterTraining

PROMPTS = 10
"""Soft prompts for embedders that have none of their own."""


class LifterBatch(NamedTuple):
    """What one step of training reads."""

    rows: Int[Tensor, " b"]
    """The queries, by their place in the corpus."""
    response_ids: Int[Tensor, "b r"]
    """Padded on the right."""
    labels: Int[Tensor, "b r"]
    """The response and its closing EOS, -100 where there is padding."""
    targets: Float[Tensor, "b d_e"]
    """The teacher's vectors of the responses; `[b, 0]` where the embedder's vectors of the queries are read."""


class Step(NamedTuple):
    """One step's rows of the corpus, and whose vectors it reads."""

    rows: list[int]
    taught: bool


@dataclass(frozen=True)
class LifterExamples:
    """A corpus in tokens, ready to be cut into batches."""

    embedder: Embedder
    queries: list[list[int]]
    responses: list[list[int]]
    targets: Float[Tensor, "n d_e"]
    truncated_queries: int
    truncated_responses: int

    def make(self, step: Step, processes: Processes = ALONE) -> dict[str, Tensor]:
        """The tensors of this process's part of a step, as the fields of a `LifterBatch`."""
        rows = processes.read(step.rows)
        response = self.embedder.backbone.pad([self.responses[row] for row in rows], side="right")
        labels = response.ids.masked_fill(~response.mask | processes.idle(step.rows), IGNORED)
        targets = self.targets[rows].to(labels.device)
        return LifterBatch(
            torch.tensor(rows), response.ids, labels, targets if step.taught else targets[:, :0]
        )._asdict()


def tokenize_examples(
    embedder: Embedder, corpus: Corpus, config: LifterTraining, lifter_config: LifterConfig
) -> LifterExamples:
    """Queries as the embedder reads them; responses closed by the backbone's own EOS unless they are cut.

    Raises WorkbenchError for an empty corpus.
    """
    if not corpus.queries:
        raise WorkbenchError("the corpus is empty: there is nothing to train on")
    backbone = embedder.backbone
    room = min(config.max_response_length, backbone.max_length - (lifter_config.n_prompts or PROMPTS))
    queries = embedder.tokenize(corpus.queries)
    answers = backbone.first_ids(corpus.responses, room)
    targets = np.zeros((len(corpus), 0)) if corpus.targets is None else corpus.targets
    return LifterExamples(
        embedder=embedder,
        queries=queries.ids,
        responses=[[*ids, backbone.eos_ids[0]][:room] for ids in answers],
        targets=torch.from_numpy(np.ascontiguousarray(targets, dtype=np.float32)),
        truncated_queries=queries.truncated,
        truncated_responses=sum(len(ids) >= room for ids in answers),
    )
