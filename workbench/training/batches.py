"""Tokenized training examples and the order in which they are seen."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from workbench.backbone import Backbone
from workbench.embedders.config import LLM2VecGenConfig
from workbench.errors import UsageError, WorkbenchError
from workbench.objectives import IGNORED
from workbench.processes import Processes
from workbench.training.config import LLM2VecGenTraining
from workbench.training.corpus import Corpus
from workbench.training.packing import PackedRows, pack

ALONE = Processes()
"""Every row is this process's own."""
POOL = 4
"""Batches whose texts are sorted by length together; larger pools pad less, and make batches of one kind of text."""


class Batch(NamedTuple):
    """What one step of training reads."""

    query_ids: Int[Tensor, "b q"]
    """Padded on the left: the special tokens stand directly after each query."""
    query_mask: Bool[Tensor, "b q"]
    query_positions: Int[Tensor, "b q"]
    response_ids: Int[Tensor, "b r"]
    """Padded on the right: behind the soft prompts, plain causal attention needs no dense mask."""
    labels: Int[Tensor, "b r"]
    """The response and its closing EOS, -100 where there is padding."""
    targets: Float[Tensor, "b d_e"]
    """The teacher's vectors of the responses; `[b, 0]` where nothing is aligned."""


class PackedBatch(NamedTuple):
    """The same for texts that are packed into rows; fields of the same kind are those of `PackedRows`."""

    query_ids: Int[Tensor, "q_rows q"]
    query_mask: Bool[Tensor, "q_rows q q"]
    query_positions: Int[Tensor, "q_rows q"]
    query_places: Int[Tensor, "b s"]
    """Where the special tokens stand, behind each query."""
    response_ids: Int[Tensor, "r_rows r"]
    response_mask: Bool[Tensor, "r_rows r r"]
    response_positions: Int[Tensor, "r_rows r"]
    response_places: Int[Tensor, "b n"]
    """Where the soft prompts stand, before each response, which lacks its last token."""
    labels: Int[Tensor, "r_rows r"]
    """What each position is to predict: a response's tokens and its closing EOS, -100 elsewhere."""
    targets: Float[Tensor, "b d_e"]

    @property
    def queries(self) -> PackedRows:
        """The queries and the places of the special tokens."""
        return PackedRows(self.query_ids, self.query_mask, self.query_positions, self.query_places)

    @property
    def responses(self) -> PackedRows:
        """The responses and the places of the soft prompts."""
        return PackedRows(
            self.response_ids, self.response_mask, self.response_positions, self.response_places
        )


@dataclass(frozen=True)
class Examples:
    """A corpus in tokens, ready to be cut into batches."""

    backbone: Backbone
    queries: list[list[int]]
    responses: list[list[int]]
    targets: Float[Tensor, "n d_e"]
    truncated_queries: int
    truncated_responses: int

    def __post_init__(self) -> None:
        if not len(self.queries) == len(self.responses) == len(self.targets):
            raise ValueError(
                f"{len(self.queries)} queries, {len(self.responses)} responses, {len(self.targets)} targets"
            )

    def batch(self, rows: list[int], processes: Processes = ALONE) -> dict[str, Tensor]:
        """This process's part of the examples `rows` as the fields of a `Batch`."""
        idle, rows = processes.idle(rows), processes.read(rows)
        query = self.backbone.pad([self.queries[row] for row in rows], side="left")
        response = self.backbone.pad([self.responses[row] for row in rows], side="right")
        labels = response.ids.masked_fill(~response.mask | idle, IGNORED)
        targets = self.targets[rows].to(labels.device)
        return Batch(query.ids, query.mask, query.positions, response.ids, labels, targets)._asdict()

    def packed(
        self, rows: list[int], processes: Processes = ALONE, *, specials: int, soft_prompts: int
    ) -> dict[str, Tensor]:
        """The same as the fields of a `PackedBatch`, with so many special tokens and soft prompts each."""
        idle, rows = processes.idle(rows), processes.read(rows)
        device, wanted = self.backbone.device, [self.responses[row] for row in rows]
        query = pack([self.queries[row] for row in rows], specials, vectors="behind", device=device)
        response = pack([ids[:-1] for ids in wanted], soft_prompts, vectors="before", device=device)
        labels = torch.full_like(response.ids, IGNORED).flatten()
        for last, ids in zip(response.places[:, -1].tolist(), wanted, strict=True):
            labels[last : last + len(ids)] = IGNORED if idle else torch.tensor(ids)
        targets = self.targets[rows].to(device)
        return PackedBatch(*query, *response, labels.view_as(response.ids), targets)._asdict()


def tokenize_examples(
    backbone: Backbone, corpus: Corpus, config: LLM2VecGenTraining, embedder: LLM2VecGenConfig
) -> Examples:
    """Queries behind their template; responses without one, closed by this backbone's own EOS unless they are cut.

    Raises WorkbenchError for an empty corpus, UsageError where alignment is asked for and the targets are missing.
    """
    if not corpus.queries:
        raise WorkbenchError("the corpus is empty: there is nothing to train on")
    if config.w_align and corpus.targets is None:
        raise UsageError("the corpus has no teacher targets: compute them, or set w_align to 0")
    window = backbone.max_length - embedder.n_thought - embedder.n_compression
    longest = min(config.max_query_length, window)
    queries = backbone.tokenize(corpus.queries, template=embedder.template, max_length=longest)
    room = min(config.max_response_length, window)
    answers = backbone.first_ids(corpus.responses, room)
    targets = np.zeros((len(corpus.queries), 0)) if corpus.targets is None else corpus.targets
    return Examples(
        backbone=backbone,
        queries=queries.ids,
        responses=[[*ids, backbone.eos_ids[0]][:room] for ids in answers],
        targets=torch.from_numpy(np.ascontiguousarray(targets, dtype=np.float32)),
        truncated_queries=queries.truncated,
        truncated_responses=sum(len(ids) >= room for ids in answers),
    )


@runtime_checkable
class Pairs(Protocol):
    """Token ids of two texts a row, for their lengths."""

    @property
    def queries(self) -> list[list[int]]: ...

    @property
    def responses(self) -> list[list[int]]: ...


class BatchOrder:
    """Every epoch's batches in one list: texts of similar length together, batches shuffled, all from the seed.

    Within pools of `pool` batches of a random order, examples are sorted by the longer of their two lengths: a long
    query or response widens a batch that is wide already. A pool of 1 leaves them as they come.
    The whole order is known before training starts, so a resumed run sees exactly the batches that were left.
    """

    def __init__(self, examples: Pairs, *, batch_size: int, epochs: int, seed: int, pool: int = POOL) -> None:
        queries = np.array([len(ids) for ids in examples.queries])
        responses = np.array([len(ids) for ids in examples.responses])
        self.batches: list[list[int]] = []
        for epoch in range(epochs):
            draw = np.random.default_rng([seed, epoch])
            order = draw.permutation(len(queries))
            batches = []
            for rows in np.split(order, range(pool * batch_size, len(order), pool * batch_size)):
                rows = rows[np.argsort(np.maximum(queries, responses)[rows], kind="stable")]
                parts = np.split(rows, range(batch_size, len(rows), batch_size))
                batches += [part.tolist() for part in parts]
            self.batches += [batches[index] for index in draw.permutation(len(batches))]
