"""One batch of LLM2Vec-Gen training to its losses (arXiv 2603.10913, section 3), as a device does it best."""

from typing import NamedTuple

from jaxtyping import Float, Int
from torch import Tensor, nn

from workbench.backbone import Backbone, PaddedBatch
from workbench.backbone.likelihood import states_behind
from workbench.backbone.portions import QUERY_SHARE, Widths, plan_step, read_again
from workbench.embedders.llm2vec_gen import LLM2VecGen, read_queries
from workbench.objectives import IGNORED, alignment_loss, labelled
from workbench.processes import here
from workbench.training.batches import Batch, PackedBatch
from workbench.training.config import LLM2VecGenTraining
from workbench.training.packing import read_packed
from workbench.training.parts import split, summed
from workbench.training.reductions import counts_over_all, own_token_loss, sum_over_all


class Losses(NamedTuple):
    """One batch's losses, unweighted; `total` is weighted and is what trains."""

    total: Float[Tensor, ""]
    align: Float[Tensor, ""]
    recon: Float[Tensor, ""]


class Responses(NamedTuple):
    """Responses that go through the backbone together."""

    batch: Batch | PackedBatch
    places: Int[Tensor, " m"]
    """Where its labels are."""


class Part(NamedTuple):
    """Rows of a batch whose queries go through the backbone together."""

    batch: Batch | PackedBatch
    responses: list[Responses]
    """Of all these rows, in their order."""
    again: int = 0
    """Blocks that are read again for the responses' backward pass."""


class TrainingStep(nn.Module):
    """One batch, padded or packed, to its losses; only what the embedder trains are parameters of it."""

    def __init__(self, embedder: LLM2VecGen, config: LLM2VecGenTraining) -> None:
        super().__init__()
        self.special = embedder.module
        self.recipe = config
        self._backbone = (embedder.backbone,)  # in a tuple: not a submodule, so neither trained nor saved
        self._trained = [weight for weight in self.parameters() if weight.requires_grad]

    def forward(self, **inputs: Tensor) -> Losses:
        batch = PackedBatch(**inputs) if "query_places" in inputs else Batch(**inputs)
        parts = self.portions(batch)
        if len(parts) == 1 and here().count == 1:
            return self.losses(parts[0])
        rows, counted = counts_over_all(*counts_of(batch))

        def part_of_losses(part: Part) -> Losses:
            """A part's share in the means over the batch, of which every process has its own rows."""
            _, align, recon = self.losses(part)
            own_rows, own_counted = counts_of(part.batch)
            align, recon = align * (own_rows / rows), recon * (own_counted / counted)
            return Losses(self.recipe.w_align * align + self.recipe.w_recon * recon, align, recon)

        return Losses(*map(sum_over_all, summed(part_of_losses, parts, self._trained)))

    def portions(self, batch: Batch | PackedBatch) -> list[Part]:
        """The batch's rows in parts that fit; a GPU is asked where labels are before it works."""
        special, backbone = self.special, self._backbone[0]
        if isinstance(batch, PackedBatch) or backbone.sharded:  # spread blocks run as often everywhere
            return [Part(batch, [Responses(batch, labelled(batch.labels))])]
        (rows, query), response = batch.query_ids.shape, batch.response_ids.shape[1]
        share = QUERY_SHARE if special.lora is None else 1.0
        widths = Widths(rows, len(special.tokens), share * query, special.n_compression + response)
        plan = plan_step(backbone, widths, batch.labels.numel())
        return [
            Part(
                part,
                [Responses(own, labelled(own.labels)) for own in split(part, plan.responses)],
                plan.again,
            )
            for part in split(batch, plan.queries)
        ]

    def losses(self, part: Part) -> Losses:
        """The losses of rows that go through the backbone together."""
        projected = self.special.project(self.read_queries(part.batch))
        align = self.align(projected.embedding, part.batch.targets)
        recon = self.reconstruct(projected.soft_prompts, part)
        return Losses(self.recipe.w_align * align + self.recipe.w_recon * recon, align, recon)

    def read_queries(self, batch: Batch | PackedBatch) -> Float[Tensor, "b n d"]:
        """`h`: the special tokens behind the queries."""
        backbone, special = self._backbone[0], self.special
        if isinstance(batch, PackedBatch):
            places = batch.query_places
            with special.encoder_side(backbone):
                states = read_packed(backbone, batch.queries, special.tokens.expand(len(places), -1, -1))
            return states.flatten(0, 1)[places[:, -special.n_compression :]]
        queries = PaddedBatch(batch.query_ids, batch.query_mask, batch.query_positions)
        return read_queries(backbone, special, queries)

    def align(self, embedding: Float[Tensor, "b d_e"], targets: Float[Tensor, "b d_t"]) -> Float[Tensor, ""]:
        """How far the embedding is from the teacher's vector of the response."""
        if not self.recipe.w_align:
            return embedding.new_zeros(())
        return alignment_loss(embedding, targets, self.recipe.align_reduction)

    def reconstruct(self, soft_prompts: Float[Tensor, "b n d"], part: Part) -> Float[Tensor, ""]:
        """`CE(r | p)`, see `response_loss`, over all labels of the part; nothing where its weight is 0."""
        if not self.recipe.w_recon:
            return soft_prompts.new_zeros(())
        if len(part.responses) == 1:
            return self.loss_of(soft_prompts, part.responses[0], part.again)
        counted = sum(len(own.places) for own in part.responses)
        rows = soft_prompts.split([len(own.batch.targets) for own in part.responses])

        def share(portion: tuple[Tensor, Responses]) -> list[Tensor]:
            loss = self.loss_of(*portion, part.again)
            return [loss * (len(portion[1].places) / max(1, counted))]

        return summed(share, list(zip(rows, part.responses, strict=True)), [soft_prompts])[0]

    def loss_of(self, soft_prompts: Float[Tensor, "b n d"], own: Responses, again: int) -> Float[Tensor, ""]:
        """The mean over the labels of responses that go through the backbone together."""
        backbone, batch = self._backbone[0], own.batch
        if isinstance(batch, PackedBatch):
            states = read_packed(backbone, batch.responses, soft_prompts)
            return own_token_loss(backbone, states, batch.labels, own.places)
        with read_again(backbone, again):
            return response_loss(backbone, soft_prompts, batch.response_ids, batch.labels, own.places)


def counts_of(batch: Batch | PackedBatch) -> tuple[Int[Tensor, ""], Int[Tensor, ""]]:
    """How many rows and how many labelled tokens count; an idle process reads a row without labels, which does not."""
    counted = (batch.labels != IGNORED).sum()
    return len(batch.targets) * (counted > 0), counted


def response_loss(
    backbone: Backbone,
    soft_prompts: Float[Tensor, "b n d"],
    response: Int[Tensor, "b r"],
    labels: Int[Tensor, "b r"],
    places: Int[Tensor, " m"] | None = None,
) -> Float[Tensor, ""]:
    """`CE(r | p)`: the backbone reads the soft prompts, then the response, and predicts it token by token.

    Of several processes, this one's mean; `places` as in `reconstruction_loss`.
    """
    return own_token_loss(backbone, states_behind(backbone, soft_prompts, response), labels, places)
