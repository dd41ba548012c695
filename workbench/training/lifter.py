"""Lifter training: pooled vectors, and the teacher's of the responses, learn to be read again (DESIGN.md, section 3).

Embedder and backbone are frozen. Queries are embedded as they are needed: soft prompts of a whole corpus fit no memory.
"""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from workbench.embedders.artifact import CONFIG
from workbench.embedders.base import Embedder
from workbench.embedders.config import LifterConfig
from workbench.embedders.encoding import Vectors
from workbench.embedders.lifter import Lifter
from workbench.embedders.lifter_artifact import load_lifter, save_lifter
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.errors import UsageError
from workbench.objectives import IGNORED, alignment_loss
from workbench.processes import agreed
from workbench.training.batches import BatchOrder
from workbench.training.corpus import Corpus
from workbench.training.lifter_config import LifterTraining
from workbench.training.lifter_examples import PROMPTS, LifterBatch, LifterExamples, Step, tokenize_examples
from workbench.training.llm2vec_gen_step import response_loss
from workbench.training.reductions import mean_over_all
from workbench.training.run import Run
from workbench.training.trainer import Batches, MethodTrainer, training_arguments

STARTED = 512
"""Queries whose vectors decide where a lifter starts."""


class LifterLosses(NamedTuple):
    """One batch's losses, unweighted; `total` is weighted and is what trains. None: not computed in this step."""

    total: Float[Tensor, ""]
    recon: Float[Tensor, ""] | None
    """Reconstruction from the embedder's vectors."""
    recon_teacher: Float[Tensor, ""] | None
    """Reconstruction from the teacher's vectors."""
    prompts: Float[Tensor, ""] | None


def train(
    embedder: Embedder,
    corpus: Corpus,
    config: LifterTraining | None = None,
    lifter_config: LifterConfig | None = None,
    *,
    output: str | Path,
    resume: bool = True,
) -> Lifter:
    """Train a lifter for an embedder on queries and responses; writes as `llm2vec_gen.train` does.

    The teacher's vectors (`corpus.targets`) are read where they lie in the embedder's space: LLM2Vec-Gen. For GEM the
    reconstruction loss stands alone, and the lifter writes for the plain backbone. Raises UsageError where targets are
    missing or `output` holds a run with other settings (unless `resume` is off), WorkbenchError for an empty corpus.
    """
    config = _with_teacher(config or LifterTraining(), embedder, corpus)
    lifter_config = _fitted(lifter_config or LifterConfig(), config, embedder)
    examples = tokenize_examples(embedder, corpus, config, lifter_config)
    run = Run(Path(output))
    named = {f"backbone {part}": value for part, value in embedder.backbone.fingerprint().items()}
    settings = {**config.to_dict(), **lifter_config.to_dict(), "data": corpus.hash(), **named}
    settings["embedder"] = embedder.fingerprint()
    checkpoint = agreed(lambda: run.start(settings, resume=resume))
    if resume and checkpoint is None and (run.folder / CONFIG).is_file():
        return load_lifter(embedder, run.folder)
    lifter = Lifter(lifter_config, config.seed).to(embedder.backbone.device)
    if checkpoint is None:
        start(lifter, examples, config)
    trainer = build_trainer(lifter, examples, config, run)
    trainer.train(resume_from_checkpoint=checkpoint)
    counts = {"queries": len(corpus), "truncated_queries": examples.truncated_queries,
              "truncated_responses": examples.truncated_responses}  # fmt: skip
    teacher = {"teacher": embedder.config.to_dict().get("teacher")} if config.teacher_every else {}
    agreed(lambda: save_lifter(
        lifter,
        embedder,
        run.folder,
        metrics={name: value for name, value in run.last_log().items() if name.startswith("loss")},
        seeds={"training": config.seed},
        data_hash=corpus.hash(),
        training={**config.to_dict(), **counts, **teacher, "steps": trainer.state.global_step},
    ))  # fmt: skip
    if not config.keep_checkpoints:
        agreed(run.clean)
    return lifter.eval()


class LifterStep(nn.Module):
    """One batch to its losses; the lifter's weights are its only parameters."""

    def __init__(self, lifter: Lifter, examples: LifterExamples, config: LifterTraining) -> None:
        super().__init__()
        self.lifter = lifter
        self.recipe = config
        self._examples = (examples,)  # in a tuple: its embedder is no submodule, so neither trained nor saved

    def forward(self, **inputs: Tensor) -> LifterLosses:
        batch = LifterBatch(**inputs)
        taught = batch.targets.shape[1] > 0
        source = (
            embed(self._examples[0], batch.rows.tolist()) if self.recipe.w_prompts or not taught else None
        )
        lifted = self.lifter(source.embedding if source and not taught else batch.targets)
        backbone = self._examples[0].embedder.backbone
        counted = (batch.labels != IGNORED).sum()  # 0 where an idle process reads another's row
        recon = mean_over_all(response_loss(backbone, lifted, batch.response_ids, batch.labels), counted)
        prompts = self.imitate(lifted, source)
        if prompts is not None:
            prompts = mean_over_all(prompts, len(lifted) * (counted > 0))
        total = self.recipe.w_recon * recon + (0 if prompts is None else self.recipe.w_prompts * prompts)
        return LifterLosses(total, None if taught else recon, recon if taught else None, prompts)

    def imitate(self, lifted: Float[Tensor, "b n d"], source: Vectors | None) -> Float[Tensor, ""] | None:
        """Mean squared distance to the soft prompts that the embedder makes of the query; None where it makes none."""
        if not self.recipe.w_prompts or source is None or source.soft_prompts is None:
            return None
        return alignment_loss(lifted.flatten(1), source.soft_prompts.flatten(1))


@torch.no_grad()
def embed(examples: LifterExamples, rows: list[int]) -> Vectors:
    """The embedder's vectors of queries by their place in the corpus, without gradients."""
    return examples.embedder.encode_batch([examples.queries[row] for row in rows])


def start(lifter: Lifter, examples: LifterExamples, config: LifterTraining) -> None:
    """Stand at the mean soft prompts of the first STARTED queries, or at the mean word where the embedder has none."""
    order = BatchOrder(examples, batch_size=config.batch_size, epochs=1, seed=config.seed).batches
    sources = [embed(examples, rows) for rows in order[: -(-STARTED // config.batch_size)]]
    own = [source.soft_prompts for source in sources if source.soft_prompts is not None]
    if own and own[0].shape[1] == lifter.config.n_prompts:
        prompts = torch.cat(own)
    else:
        words = examples.embedder.backbone.model.get_input_embeddings().weight
        prompts = words.float().mean(dim=0).expand(1, lifter.config.n_prompts or PROMPTS, -1)
    lifter.start(torch.cat([source.embedding for source in sources]), prompts)


def build_trainer(
    lifter: Lifter, examples: LifterExamples, config: LifterTraining, run: Run
) -> MethodTrainer:
    """The Trainer of a run, in an order that the seed decides."""
    order = BatchOrder(examples, batch_size=config.batch_size, epochs=config.epochs, seed=config.seed)
    plan = [Step(rows, config.reads_teacher(number)) for number, rows in enumerate(order.batches)]
    arguments = training_arguments(config, run, examples.embedder.backbone, lr_scheduler_type=config.schedule)
    return MethodTrainer(LifterStep(lifter, examples, config), Batches(plan, examples.make), run, arguments)


def shares_teachers_space(embedder: Embedder) -> bool:
    """Whether the embedder's vectors are trained to lie where its teacher's vectors of the responses do."""
    return isinstance(embedder, LLM2VecGen)


def _with_teacher(config: LifterTraining, embedder: Embedder, corpus: Corpus) -> LifterTraining:
    """The configuration without teacher steps where the embedder's space is not the teacher's."""
    if not config.teacher_every or not shares_teachers_space(embedder):
        return replace(config, teacher_every=0)
    if corpus.targets is None:
        raise UsageError("the corpus has no teacher targets: compute them, or set teacher_every to 0")
    if (size := corpus.targets.shape[1]) != embedder.dimension:
        raise UsageError(
            f"the teacher's vectors have {size} dimensions, the embedder's {embedder.dimension}: it was trained with "
            "another teacher; set teacher_every to 0"
        )
    return config


def _fitted(shape: LifterConfig, config: LifterTraining, embedder: Embedder) -> LifterConfig:
    """The lifter's shape with what embedder and backbone decide."""
    nothing = embedder.encode_batch([]).soft_prompts
    own = None if nothing is None else nothing.shape[1]
    if own and config.w_prompts and (shape.n_prompts or own) != own:
        raise UsageError(
            f"n_prompts must be {own}, as many as the embedder has, not {shape.n_prompts}; or set w_prompts to 0"
        )
    return replace(
        shape,
        n_prompts=shape.n_prompts or own or PROMPTS,
        dimension=embedder.dimension,
        size=embedder.backbone.hidden_size,
    )
