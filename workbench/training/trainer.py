"""Hugging Face's Trainer as both methods use it: ready-made batches, named losses, checkpoints of what trains alone."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from transformers import PrinterCallback, ProgressCallback, TrainingArguments

from workbench.backbone import Backbone
from workbench.errors import WorkbenchError
from workbench.processes import Processes, here
from workbench.training.checkpoints import CheckpointedTrainer
from workbench.training.config import TrainingConfig
from workbench.training.run import Run


class Batches(Dataset):
    """Whole batches in their order: `make(rows, processes)` turns one into the tensors of this process's step.

    Of several processes, each reads its own part of every batch: the order is the same whatever their number.
    """

    def __init__(self, order: list[Any], make: Callable[[Any, Processes], dict[str, Tensor]]) -> None:
        self.order, self.make, self.processes = order, make, here()

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        return self.make(self.order[step], self.processes)


def training_arguments(
    config: TrainingConfig,
    run: Run,
    backbone: Backbone,
    **options: Any,
) -> TrainingArguments:
    """The Trainer's arguments for one pass over ready-made batches, on the backbone's device."""
    return TrainingArguments(
        output_dir=str(run.checkpoints),
        per_device_train_batch_size=1,  # one item is one batch
        num_train_epochs=1,  # the order already holds every epoch
        train_sampling_strategy="sequential",
        learning_rate=config.lr,
        warmup_steps=config.warmup_steps,
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        seed=config.seed,
        bf16=config.bf16 == "on",
        logging_steps=config.logging_steps,
        save_steps=config.save_steps,
        save_total_limit=2,
        report_to=config.report_to,
        logging_nan_inf_filter=False,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        use_cpu=backbone.device.type == torch.get_default_device().type,
        disable_tqdm=not sys.stderr.isatty(),
        **options,
    )


class MethodTrainer(CheckpointedTrainer):
    """Trains a step module that returns a NamedTuple of losses: `total` is minimised, the others are logged.

    Of several processes, each must return the whole batch's losses (`reductions.py`). Logs go to the run's log.jsonl,
    checkpoints hold the trained tensors alone. `rates` multiplies the learning rate of the parameters it names.
    Raises WorkbenchError where a loss is not finite.
    """

    def __init__(
        self,
        step: nn.Module,
        batches: Batches,
        run: Run,
        arguments: TrainingArguments,
        rates: dict[str, float] | None = None,
    ) -> None:
        self.rates = rates or {}
        super().__init__(
            model=step,
            train_dataset=batches,
            args=arguments,
            data_collator=lambda rows: rows[0],
        )
        self.run = run
        self._sums: dict[str, Tensor] = {}
        self._counted: dict[str, int] = {}
        if self.pop_callback(PrinterCallback) is None:  # the Trainer prints, or it draws a bar
            self.pop_callback(ProgressCallback)
            self.add_callback(LossBar)

    def get_train_dataloader(self) -> DataLoader:
        """The batches as they are: accelerate would give every process other batches, not its part of each."""
        return DataLoader(self.train_dataset, batch_size=1, shuffle=False, collate_fn=self.data_collator)  # type: ignore[arg-type]

    def create_optimizer(self, *_: Any, **__: Any) -> Any:
        """Trainer's AdamW, one group of parameters for each learning rate."""
        if self.optimizer is not None or set(self.rates.values()) <= {1.0}:
            return super().create_optimizer()
        kind, options = self.get_optimizer_cls_and_kwargs(self.args)
        groups: dict[float, list[nn.Parameter]] = {}
        for name, weight in self.model.named_parameters():  # type: ignore[union-attr]
            groups.setdefault(self.rates.get(name, 1.0), []).append(weight)
        base = {**options, "weight_decay": self.args.weight_decay}
        rate = base.pop("lr", self.args.learning_rate)
        self.optimizer = kind(
            [{"params": part, "lr": rate * scale} for scale, part in groups.items()], **base
        )
        return self.optimizer

    def compute_loss(self, model: nn.Module, inputs: dict[str, Tensor], *_: Any, **__: Any) -> Tensor:
        losses: Any = model(**inputs)
        parts = losses._asdict()
        total = parts.pop("total")
        for name, value in parts.items():
            if value is not None:
                self._sums[name] = self._sums.get(name, 0) + value.detach()
                self._counted[name] = self._counted.get(name, 0) + 1
        return total

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs:
            means = {f"loss_{name}": float(value) / self._counted[name] for name, value in self._sums.items()}
            self._sums, self._counted = {}, {}
            logs = {**logs, **means}
            if self.is_world_process_zero():
                self.run.write_log({**logs, "step": self.state.global_step})
            if not all(map(_finite, means.values())):
                raise WorkbenchError(
                    f"step {self.state.global_step}: a loss is not finite (lower lr, or use float32)"
                )
        super().log(logs, start_time)

    def _save_checkpoint(self, *arguments: Any, **options: Any) -> None:
        """The Trainer's own; a disk that is full is one clear line, whichever library meets it first."""
        try:
            super()._save_checkpoint(*arguments, **options)
        except (SafetensorError, RuntimeError, OSError) as error:
            raise WorkbenchError(
                f"the checkpoint of step {self.state.global_step} cannot be written to {self.run.checkpoints} "
                f"({' '.join(str(error).split())[:120]}); with room on the disk, the same command goes on from the last"
            ) from error

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Tensor] | None = None) -> None:
        folder = Path(output_dir or self.args.output_dir)  # type: ignore[arg-type]
        folder.mkdir(parents=True, exist_ok=True)
        save_file(
            state_dict or self.model.state_dict(),  # type: ignore[union-attr]
            folder / "model.safetensors",
            metadata={"format": "pt"},
        )


class LossBar(ProgressCallback):
    """The progress bar with the latest losses at its end, instead of a line of text for each of them."""

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any
    ) -> None:
        named = {name: f"{value:.3f}" for name, value in (logs or {}).items() if name.startswith("loss_")}
        if self.training_bar is not None and named:
            self.training_bar.set_postfix(named)


def _finite(value: float) -> bool:
    return value == value and abs(value) != float("inf")
