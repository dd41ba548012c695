"""LLM2Vec-Gen training: special tokens learn to hold a frozen backbone's response (arXiv 2603.10913, section 3)."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from workbench.backbone import Backbone
from workbench.embedders.artifact import CONFIG, load_embedder, save
from workbench.embedders.config import LLM2VecGenConfig
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.processes import agreed
from workbench.training.alignment import RidgeSums, put_alignment
from workbench.training.batches import POOL, Batch, BatchOrder, Examples, tokenize_examples
from workbench.training.config import LLM2VecGenTraining
from workbench.training.corpus import Corpus
from workbench.training.llm2vec_gen_step import TrainingStep
from workbench.training.run import Run
from workbench.training.trainer import Batches, MethodTrainer, training_arguments
from workbench.training.watcher import watch

__all__ = ["LLM2VecGenTraining", "train"]

FITTED, RIDGE = 4096, 0.01
"""Examples that a ridge start of W_a is fitted on, and its penalty."""


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
