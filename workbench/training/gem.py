"""GEM training: a mixed next-token loss behind a bottleneck mask, then a contrastive loss (arXiv 2506.04344)."""

from pathlib import Path
from typing import Any, NamedTuple

from jaxtyping import Float
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from transformers import get_scheduler

from workbench.backbone import Backbone
from workbench.embedders.artifact import CONFIG, load_embedder, save
from workbench.embedders.config import GEMConfig
from workbench.embedders.gem import GEM, Marked, check_layer, pool, read_marked
from workbench.errors import WorkbenchError
from workbench.leakage import audit_backbone
from workbench.objectives import contrastive_loss
from workbench.processes import agreed
from workbench.training.batches import BatchOrder
from workbench.training.corpus import Corpus
from workbench.training.gem_config import GEMTraining
from workbench.training.marked import MarkedBatch, MarkedTexts, Step, tokenize_texts
from workbench.training.reductions import rows_of_all, token_loss_over_all
from workbench.training.run import Run
from workbench.training.trainer import Batches, MethodTrainer, training_arguments
from workbench.training.watcher import watch


class GEMLosses(NamedTuple):
    """One batch's losses, unweighted; `total` is weighted and is what trains. None: not computed in this step."""

    total: Float[Tensor, ""]
    ntp: Float[Tensor, ""] | None
    contrastive: Float[Tensor, ""] | None


def train(
    backbone: Backbone,
    corpus: Corpus,
    config: GEMTraining | None = None,
    embedder_config: GEMConfig | None = None,
    *,
    output: str | Path,
    summaries: list[tuple[str, str]] | None = None,
    resume: bool = True,
) -> GEM:
    """Train an embedder on texts (responses empty) or on queries and responses; writes as `llm2vec_gen.train` does.

    The backbone itself is left as it is. Raises WorkbenchError where the bottleneck mask does not hold in this
    backbone, UsageError where `output` holds a run with other settings (unless `resume` is off) or a layer is missing.
    """
    config, embedder_config = config or GEMTraining(), embedder_config or GEMConfig()
    check_layer(backbone, embedder_config.layer)
    audit_backbone(backbone).require()
    texts = tokenize_texts(backbone, corpus, config, embedder_config.n_special, summaries or [])
    run = Run(Path(output))
    data_hash = corpus.hash()
    named = {f"backbone {part}": value for part, value in backbone.fingerprint().items()}
    settings = {**config.recipe(), **embedder_config.to_dict(), "data": data_hash, **named}
    checkpoint = agreed(lambda: run.start(settings, resume=resume))
    if resume and checkpoint is None and (run.folder / CONFIG).is_file():
        return load_embedder(run.folder, backbone=backbone)  # type: ignore[return-value]
    embedder = GEM.untrained(backbone, embedder_config, seed=config.seed)
    trainer = build_trainer(embedder, texts, config, run)
    watch(trainer, embedder, corpus, config, run, checkpoint)
    trainer.train(resume_from_checkpoint=checkpoint)
    agreed(lambda: save(
        embedder,
        run.folder,
        metrics={name: value for name, value in run.last_log().items() if name.startswith("loss")},
        seeds={"training": config.seed},
        data_hash=data_hash,
        training={**config.recipe(), "texts": len(texts.queries), "truncated_texts": texts.truncated,
                  "steps": trainer.state.global_step},
    ))  # fmt: skip
    if not config.keep_checkpoints:
        agreed(run.clean)
    return embedder


class GEMStep(nn.Module):
    """One batch to its losses; the special tokens, the backbone's update and lambda are its parameters."""

    def __init__(self, embedder: GEM) -> None:
        super().__init__()
        self.special = embedder.module
        self.shape = embedder.config
        self._backbone = (embedder.backbone,)  # in a tuple: not a submodule, so neither trained nor saved

    def forward(self, **inputs: Tensor) -> GEMLosses:
        batch = MarkedBatch(**inputs)
        alpha = float(batch.alpha)
        with self.special.active(self._backbone[0]):
            ntp = self.next_token(batch) if alpha < 1 else None
            contrastive = self.contrast(batch) if alpha else None
        if ntp is None or contrastive is None:
            total = ntp if contrastive is None else contrastive
            assert total is not None
            return GEMLosses(total, ntp, contrastive)
        return GEMLosses((1 - alpha) * ntp + alpha * contrastive, ntp, contrastive)

    def next_token(self, batch: MarkedBatch) -> Float[Tensor, ""]:
        """The mixed next-token loss over texts with and without special tokens (section 3.1.1)."""
        backbone = self._backbone[0]
        states = self._read(batch.ids, batch.special, batch.padding).last
        return token_loss_over_all(backbone, states, batch.labels)

    def contrast(self, batch: MarkedBatch) -> Float[Tensor, ""]:
        """Each prefix against its copy with tokens left out; the batch's other prefixes are the negatives."""
        states = self._read(batch.pair_ids, batch.pair_special, batch.pair_padding).pooled
        k = len(self.special.tokens)
        marked = states[batch.pair_special].reshape(-1, k, states.shape[-1])  # an idle process has none
        anchors, positives = (rows_of_all(rows) for rows in pool(marked, self.shape.pooling).chunk(2))
        return contrastive_loss(anchors, positives, self.special.scale)

    def _read(self, ids: Tensor, special: Tensor, padding: Tensor) -> Marked:
        return read_marked(
            self._backbone[0], self.special.tokens, ids, special, padding,
            specials_see_each_other=self.shape.specials_see_each_other, layer=self.shape.layer,
        )  # fmt: skip


class GEMTrainer(MethodTrainer):
    """Two peaks of one schedule: the learning rate falls to `contrastive_lr` where the contrastive loss begins."""

    def __init__(self, config: GEMTraining, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.recipe = config

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        optimizer = self.optimizer if optimizer is None else optimizer
        assert optimizer is not None
        plain = get_scheduler(self.recipe.schedule, optimizer, self.recipe.warmup_steps, num_training_steps)
        shape = plain.lr_lambdas[0]  # type: ignore[union-attr]
        slower = self.recipe.contrastive_lr / self.recipe.lr

        def factor(step: int) -> float:
            return shape(step) * (slower if self.recipe.alpha_at(step) else 1.0)

        for group in optimizer.param_groups:
            group["lr"] = group.get("initial_lr", group["lr"])
            group.pop("initial_lr", None)
        self.lr_scheduler = LambdaLR(optimizer, factor)
        self._created_lr_scheduler = True
        return self.lr_scheduler


def build_trainer(embedder: GEM, texts: MarkedTexts, config: GEMTraining, run: Run) -> GEMTrainer:
    """The Trainer of a run over texts in an order that the seed decides."""
    order = BatchOrder(texts, batch_size=config.batch_size, epochs=config.epochs, seed=config.seed).batches
    plan = [Step(number, rows) for number, rows in enumerate(order) if len(rows) > 1 or not config.alpha]
    if not plan:
        raise WorkbenchError(
            "GEM's contrastive loss needs at least two texts in a batch, and there are fewer"
        )
    arguments = training_arguments(config, run, embedder.backbone)
    return GEMTrainer(config, GEMStep(embedder), Batches(plan, texts.make), run, arguments)
