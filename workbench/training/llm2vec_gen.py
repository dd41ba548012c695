"""LLM2Vec-Gen training: special tokens learn to hold a frozen backbone's response (arXiv 2603.10913, section 3)."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from workbench.backbone import Backbone, PaddedBatch
from workbench.backbone.kernels import positions_at_once
from workbench.backbone.likelihood import states_behind
from workbench.embedders.artifact import CONFIG, load_embedder, save
from workbench.embedders.config import LLM2VecGenConfig
from workbench.embedders.llm2vec_gen import LLM2VecGen, read_queries
from workbench.objectives import IGNORED, alignment_loss
from workbench.processes import agreed, here
from workbench.training.alignment import RidgeSums, put_alignment
from workbench.training.batches import POOL, Batch, BatchOrder, Examples, PackedBatch, tokenize_examples
from workbench.training.config import LLM2VecGenTraining
from workbench.training.corpus import Corpus
from workbench.training.packing import read_packed
from workbench.training.parts import split, summed
from workbench.training.reductions import counts_over_all, own_token_loss, sum_over_all
from workbench.training.run import Run
from workbench.training.trainer import Batches, MethodTrainer, training_arguments
from workbench.training.watcher import watch

__all__ = ["LLM2VecGenTraining", "train"]

QUERY_SHARE = 0.25
"""How much of a position's memory a query's token needs that is read without gradients: its keys and values."""
FITTED, RIDGE = 4096, 0.01
"""Examples that a ridge start of W_a is fitted on, and its penalty."""


class Losses(NamedTuple):
    """One batch's losses, unweighted; `total` is weighted and is what trains."""

    total: Float[Tensor, ""]
    align: Float[Tensor, ""]
    recon: Float[Tensor, ""]


def train(
    backbone: Backbone,
    corpus: Corpus,
    config: LLM2VecGenTraining | None = None,
    embedder_config: LLM2VecGenConfig | None = None,
    *,
    output: str | Path,
    resume: bool = True,
) -> LLM2VecGen:
    """Train an embedder on the backbone's own responses and write its artifact, run.json and log.jsonl to `output`.

    An interrupted run, called again, goes on from its last checkpoint and ends in the same bytes; a finished one is
    loaded. Raises UsageError where `output` holds a run with other settings (unless `resume` is off) or targets are
    missing, WorkbenchError for an empty corpus or a loss that is not finite. How a run is watched (`watcher.py`) does
    not make it another one.
    """
    config = config or LLM2VecGenTraining()
    embedder_config = _fitted(embedder_config or LLM2VecGenConfig(), config, corpus, backbone)
    examples = tokenize_examples(backbone, corpus, config, embedder_config)
    data_hash = corpus.hash()
    run = Run(Path(output))
    settings = {**config.recipe(), **embedder_config.to_dict(), "data": data_hash, **_named(backbone)}
    checkpoint = agreed(lambda: run.start(settings, resume=resume))
    if resume and checkpoint is None and (run.folder / CONFIG).is_file():
        return load_embedder(run.folder, backbone=backbone)  # type: ignore[return-value]

    embedder = LLM2VecGen.untrained(backbone, embedder_config, seed=config.seed)
    if config.align_start == "ridge" and config.w_align and checkpoint is None:
        fit_alignment(embedder, examples, config)
    trainer = build_trainer(embedder, examples, config, run)
    watch(trainer, embedder, corpus, config, run, checkpoint)
    trainer.train(resume_from_checkpoint=checkpoint)
    agreed(lambda: save(
        embedder,
        run.folder,
        metrics={name: value for name, value in run.last_log().items() if name.startswith("loss")},
        seeds={"training": config.seed},
        data_hash=data_hash,
        training={**config.recipe(), **_counts(examples), "steps": trainer.state.global_step},
    ))  # fmt: skip
    if not config.keep_checkpoints:
        agreed(run.clean)
    return embedder


class TrainingStep(nn.Module):
    """One batch, padded or packed, to its losses; only what the embedder trains are parameters of it."""

    def __init__(self, embedder: LLM2VecGen, config: LLM2VecGenTraining) -> None:
        super().__init__()
        self.special = embedder.module
        self.recipe = config
        self._backbone = (embedder.backbone,)  # in a tuple: not a submodule, so neither trained nor saved
        self._trained = [weight for weight in self.parameters() if weight.requires_grad]

    def forward(self, **inputs: Tensor) -> Losses:
        packs, special = "query_places" in inputs, self.special
        batch = PackedBatch(**inputs) if packs else Batch(**inputs)
        parts: list[Any] = [batch]
        whole = packs or self._backbone[0].sharded  # blocks that are spread run as often in every process
        if isinstance(batch, Batch) and not whole:
            share = QUERY_SHARE if special.lora is None else 1.0
            vectors = len(special.tokens) + special.n_compression
            parts = split(batch, vectors, share, positions_at_once(self._backbone[0]))
        if len(parts) == 1 and here().count == 1:
            return self.losses(batch)
        rows, counted = counts_over_all(*counts_of(batch))

        def part_of_losses(part: Batch | PackedBatch) -> Losses:
            """A part's share in the means over the batch, of which every process has its own rows."""
            _, align, recon = self.losses(part)
            own_rows, own_counted = counts_of(part)
            align, recon = align * (own_rows / rows), recon * (own_counted / counted)
            return Losses(self.recipe.w_align * align + self.recipe.w_recon * recon, align, recon)

        return Losses(*map(sum_over_all, summed(part_of_losses, parts, self._trained)))

    def losses(self, batch: Batch | PackedBatch) -> Losses:
        """The losses of rows that go through the backbone together."""
        projected = self.special.project(self.read_queries(batch))
        align = self.align(projected.embedding, batch.targets)
        recon = self.reconstruct(projected.soft_prompts, batch)
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

    def reconstruct(
        self, soft_prompts: Float[Tensor, "b n d"], batch: Batch | PackedBatch
    ) -> Float[Tensor, ""]:
        """`CE(r | p)`, see `response_loss`; nothing where its weight is 0."""
        if not self.recipe.w_recon:
            return soft_prompts.new_zeros(())
        backbone = self._backbone[0]
        if isinstance(batch, PackedBatch):
            states = read_packed(backbone, batch.responses, soft_prompts)
            return own_token_loss(backbone, states, batch.labels)
        return response_loss(backbone, soft_prompts, batch.response_ids, batch.labels)


def counts_of(batch: Batch | PackedBatch) -> tuple[Int[Tensor, ""], Int[Tensor, ""]]:
    """How many rows and how many labelled tokens count; an idle process reads a row without labels, which does not."""
    counted = (batch.labels != IGNORED).sum()
    return len(batch.targets) * (counted > 0), counted


def response_loss(
    backbone: Backbone,
    soft_prompts: Float[Tensor, "b n d"],
    response: Int[Tensor, "b r"],
    labels: Int[Tensor, "b r"],
) -> Float[Tensor, ""]:
    """`CE(r | p)`: the backbone reads the soft prompts, then the response, and predicts it token by token.

    Of several processes, this one's mean.
    """
    return own_token_loss(backbone, states_behind(backbone, soft_prompts, response), labels)


@torch.no_grad()
def fit_alignment(embedder: LLM2VecGen, examples: Examples, config: LLM2VecGenTraining) -> None:
    """Put W_a and b_a where they are best for the soft prompts as they are now: a ridge regression on the targets.

    Fitted on the first FITTED examples of the first epoch's order; the penalty is RIDGE times the mean variance of a
    dimension. Training goes on from there, with soft prompts that change.
    """
    step = TrainingStep(embedder, config)
    order = BatchOrder(examples, batch_size=config.batch_size, epochs=1, seed=config.seed).batches
    inputs, targets = [], []
    for rows in order[: -(-FITTED // config.batch_size)]:
        batch = Batch(**examples.batch(rows))
        prompts = embedder.module.project(step.read_queries(batch)).soft_prompts
        inputs.append(embedder.module.pool(prompts))
        targets.append(batch.targets)
    sums = RidgeSums()
    sums.add(torch.cat(inputs), torch.cat(targets).float())
    put_alignment(embedder.module, sums, RIDGE)


def build_trainer(
    embedder: LLM2VecGen, examples: Examples, config: LLM2VecGenTraining, run: Run
) -> MethodTrainer:
    """The Trainer of a run; the paper's optimizer and schedule are Trainer's own."""
    packs = config.packing == "on"
    make = partial(
        examples.packed, specials=len(embedder.module.tokens), soft_prompts=embedder.module.n_compression
    )
    order = BatchOrder(
        examples,
        batch_size=config.batch_size,
        epochs=config.epochs,
        seed=config.seed,
        pool=1 if packs else POOL,  # packed rows hardly pad, and batches of all lengths train better
    )
    batches = Batches(order.batches, make if packs else examples.batch)
    arguments = training_arguments(config, run, embedder.backbone, lr_scheduler_type=config.schedule)
    step = TrainingStep(embedder, config)
    projections = [
        name for name, _ in step.named_parameters() if ".reconstruction." in name or ".alignment." in name
    ]
    return MethodTrainer(
        step, batches, run, arguments, dict.fromkeys(projections, config.projection_lr_scale)
    )


def _fitted(
    embedder: LLM2VecGenConfig, config: LLM2VecGenTraining, corpus: Corpus, backbone: Backbone
) -> LLM2VecGenConfig:
    """The embedder's configuration with what training decides: dimension and LoRA."""
    if corpus.targets is not None:
        dimension = int(corpus.targets.shape[1])
    else:
        dimension = embedder.dimension or backbone.hidden_size
    return replace(embedder, dimension=dimension, lora_rank=config.lora_rank, lora_alpha=config.lora_alpha)


def _named(backbone: Backbone) -> dict[str, Any]:
    return {f"backbone {part}": value for part, value in backbone.fingerprint().items()}


def _counts(examples: Examples) -> dict[str, int]:
    return {
        "queries": len(examples.queries),
        "truncated_queries": examples.truncated_queries,
        "truncated_responses": examples.truncated_responses,
    }
