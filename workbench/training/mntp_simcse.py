"""Training an LLM2Vec-style teacher: masked next-token prediction, then unsupervised SimCSE (arXiv 2404.05961).

Two differences from the official code, which trains one LoRA in each stage and merges the first into the backbone:
here one LoRA goes through both, and the backbone stays as it is. And a frozen backbone in eval mode has no dropout of
its own to make two readings of a text differ: numbers of the input embeddings are dropped (`TeacherTraining.dropout`).
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import SGD
from torch.optim.lr_scheduler import LambdaLR
from transformers import TrainerCallback, get_scheduler

from workbench.backbone import Backbone
from workbench.backbone.likelihood import token_loss
from workbench.embedders.artifact import CONFIG, save
from workbench.embedders.config import LLM2VecConfig
from workbench.embedders.pooled import mean_over
from workbench.files import hash_bytes
from workbench.objectives import contrastive_loss
from workbench.processes import alone
from workbench.training.llm2vec import LLM2VecTeacher, load
from workbench.training.run import Run
from workbench.training.teacher_config import TeacherTraining
from workbench.training.teacher_texts import TeacherBatch, TeacherTexts, tokenize_texts
from workbench.training.trainer import Batches, MethodTrainer, training_arguments


class TeacherLosses(NamedTuple):
    """One batch's loss under the name of its stage; `total` is what trains. None: not computed in this step."""

    total: Float[Tensor, ""]
    mntp: Float[Tensor, ""] | None
    simcse: Float[Tensor, ""] | None


def train(
    backbone: Backbone,
    texts: list[str],
    config: TeacherTraining | None = None,
    shape: LLM2VecConfig | None = None,
    *,
    output: str | Path,
    resume: bool = True,
) -> LLM2VecTeacher:
    """Train a teacher on unlabelled texts and write its folder, run.json and log.jsonl to `output`.

    An interrupted run, called again, goes on from its last checkpoint and ends in the same bytes; a finished one is
    loaded. Raises UsageError where `output` holds a run with other settings (unless `resume` is off), WorkbenchError
    for too few texts or a loss that is not finite.
    """
    alone("training a teacher")  # its dropout is drawn for whole padded batches
    config, shape = config or TeacherTraining(), shape or LLM2VecConfig()
    examples = tokenize_texts(backbone, texts, config, shape)
    data_hash = hash_bytes(json.dumps(texts))
    run = Run(Path(output))
    named = {f"backbone {part}": value for part, value in backbone.fingerprint().items()}
    settings = {**config.to_dict(), **shape.to_dict(), "data": data_hash, **named}
    checkpoint = run.start(settings, resume=resume)
    if resume and checkpoint is None and (run.folder / CONFIG).is_file():
        return load(run.folder, backbone)
    teacher = LLM2VecTeacher(backbone, shape, id=str(output), seed=config.seed)
    trainer = build_trainer(teacher, examples, config, run)
    trainer.train(resume_from_checkpoint=checkpoint)
    save(
        teacher,
        run.folder,
        metrics=_last_losses(run),
        seeds={"training": config.seed},
        data_hash=data_hash,
        training={**config.to_dict(), "texts": len(examples.ids), "truncated_texts": examples.truncated,
                  "left_out_texts": examples.left_out, "steps": trainer.state.global_step},
        for_sentence_transformers=False,
    )  # fmt: skip
    if not config.keep_checkpoints:
        run.clean()
    return teacher


class TeacherStep(nn.Module):
    """One batch to its loss; the LoRA is all that is trained."""

    def __init__(self, teacher: LLM2VecTeacher, config: TeacherTraining) -> None:
        super().__init__()
        self.lora = teacher.lora
        self.recipe = config
        self._teacher = (teacher,)  # in a tuple: what is no module is neither trained nor saved

    def forward(self, **inputs: Tensor) -> TeacherLosses:
        batch = TeacherBatch(**inputs)
        if batch.contrast:
            simcse = self.contrast(batch)
            return TeacherLosses(simcse, None, simcse)
        mntp = self.predict_masked(batch)
        return TeacherLosses(mntp, mntp, None)

    def predict_masked(self, batch: TeacherBatch) -> Float[Tensor, ""]:
        """Masked next-token prediction: each masked token from the state before it, through the backbone's own head."""
        teacher = self._teacher[0]
        backbone = teacher.backbone
        states = teacher.read(backbone.embed(batch.ids), batch.real, batch.positions)
        return token_loss(backbone, states, batch.labels)

    def contrast(self, batch: TeacherBatch) -> Float[Tensor, ""]:
        """Unsupervised SimCSE: a text against itself, read a second time with other numbers dropped.

        The other texts of the batch are the negatives, in their first reading (both readings are draws from the same
        distribution; SimCSE takes the second). Mean pooling, cosine, temperature.
        """
        teacher = self._teacher[0]
        real, positions = batch.real.repeat(2, 1), batch.positions.repeat(2, 1)
        inputs = self.dropped(teacher.backbone.embed(batch.ids).repeat(2, 1, 1), int(batch.step))
        first, second = mean_over(teacher.read(inputs, real, positions), real).chunk(2)
        return contrastive_loss(first, second, first.new_tensor(1 / self.recipe.temperature))

    def dropped(self, inputs: Float[Tensor, "b t d"], step: int) -> Float[Tensor, "b t d"]:
        """Each number 0 with probability `dropout`, the others scaled up to keep the mean; decided by seed and step."""
        draw = torch.Generator(inputs.device).manual_seed(self.recipe.seed * 2**32 + step)
        kept = torch.rand(inputs.shape, generator=draw, device=inputs.device) >= self.recipe.dropout
        return inputs * kept / (1 - self.recipe.dropout)


class TeacherTrainer(MethodTrainer):
    """Two stages in one run: in SimCSE the schedule, with its own peak, and AdamW's averages start anew."""

    def __init__(self, config: TeacherTraining, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.recipe = config
        self.add_callback(SecondStage(config.mntp_steps))

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        optimizer = self.optimizer if optimizer is None else optimizer
        assert optimizer is not None
        first = _shape(self.recipe, self.recipe.mntp_steps)
        second = _shape(self.recipe, self.recipe.simcse_steps)
        ratio, switch = self.recipe.simcse_lr / self.recipe.lr, self.recipe.mntp_steps

        def factor(step: int) -> float:
            return first(step) if step < switch else ratio * second(step - switch)

        self.lr_scheduler = LambdaLR(optimizer, factor)
        self._created_lr_scheduler = True
        return self.lr_scheduler


class SecondStage(TrainerCallback):
    """Clears the optimizer's state where SimCSE begins: its averages are those of another loss."""

    def __init__(self, start: int) -> None:
        self.start = start

    def on_step_begin(self, args: Any, state: Any, control: Any, optimizer: Any = None, **_: Any) -> None:
        if state.global_step == self.start:
            optimizer.state.clear()


def build_trainer(
    teacher: LLM2VecTeacher, texts: TeacherTexts, config: TeacherTraining, run: Run
) -> TeacherTrainer:
    """The Trainer of a run over both stages, in an order that the seed decides."""
    arguments = training_arguments(config, run, teacher.backbone)
    batches = Batches(texts.plan(), lambda step, _: texts.make(step))
    return TeacherTrainer(config, TeacherStep(teacher, config), batches, run, arguments)


def _shape(config: TeacherTraining, steps: int) -> Any:
    """The learning rate over one stage, as a function from its steps to multiples of its peak."""
    nothing = SGD([nn.Parameter(torch.zeros(1))])
    schedule: Any = get_scheduler(config.schedule, nothing, min(config.warmup_steps, steps), max(steps, 1))
    return schedule.lr_lambdas[0]


def _last_losses(run: Run) -> dict[str, float]:
    """The newest logged loss of each stage."""
    return {name: value for line in run.rows() for name, value in line.items() if name.startswith("loss_")}
