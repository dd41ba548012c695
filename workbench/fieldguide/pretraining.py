"""Pretraining of the field guide from scratch: token batches, schedule, early stopping on held-out questions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from workbench.fieldguide.tokenizer import ASSISTANT, END, PAD, chat_text
from workbench.training.checkpoints import CheckpointedTrainer, latest

SAVE_STEPS = 500  # optimizer steps between two checkpoints


@dataclass(frozen=True)
class PretrainingConfig:
    """Size and schedule of the field guide."""

    hidden_size: int = 512
    """Width of the residual stream."""
    layers: int = 4
    """Number of transformer blocks."""
    intermediate_size: int = 640
    """Width of the gated feed-forward layers."""
    heads: int = 8
    """Attention heads; each has hidden_size / heads dimensions."""
    vocabulary: int = 3072
    """Entries of the byte-level BPE."""
    steps: int = 6000
    """Optimizer steps of the whole schedule (early stopping may end it before)."""
    batch_size: int = 48
    """Texts a step; texts of a batch have nearly the same length."""
    lr: float = 1.5e-3
    """Peak learning rate of AdamW; cosine schedule."""
    warmup_steps: int = 200
    """Steps of linear warm-up."""
    query_weight: float = 0.1
    """Weight of the loss on the query's tokens beside 1 on the response's."""
    exam_every: int = 1000
    """Steps between two sittings of the exam."""
    target: float = 0.98
    """Early stopping: training ends when a sitting reaches this share of right answers."""
    seed: int = 0
    """Seed of weights, corpus and order."""


class TokenBatches(Dataset):
    """Whole batches of texts of nearly the same length: `[b, T]` ids and the weight of each token's loss."""

    def __init__(
        self, texts: list[str], tokenizer: PreTrainedTokenizerFast, config: PretrainingConfig
    ) -> None:
        self.ids = [encoding.ids for encoding in tokenizer.backend_tokenizer.encode_batch(texts)]
        self.query_weight = config.query_weight
        ids = tokenizer.get_vocab()
        self.pad, self.assistant = ids[PAD], ids[ASSISTANT]
        rng = Random(config.seed)
        size, pool = config.batch_size, config.batch_size * 64
        order = list(range(len(texts)))
        self.batches: list[list[int]] = []
        for start in range(0, len(order), pool):
            chunk = sorted(order[start : start + pool], key=lambda i: len(self.ids[i]))
            parts = [chunk[i : i + size] for i in range(0, len(chunk), size)]
            rng.shuffle(parts)
            self.batches += parts

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        rows = [self.ids[i] for i in self.batches[index]]
        width = max(map(len, rows))
        ids = torch.tensor([row + [self.pad] * (width - len(row)) for row in rows])
        real = torch.arange(width) < torch.tensor([len(row) for row in rows])[:, None]
        marker = torch.eq(ids, self.assistant)
        asked = marker.any(dim=1, keepdim=True)
        answering = (marker.cumsum(dim=1) > 0) & ~marker
        weight = torch.where(answering | ~asked, 1.0, self.query_weight) * real
        return {"input_ids": ids, "weight": weight}


class PretrainingTrainer(CheckpointedTrainer):
    """Next-token loss with a weight for each target; batches come ready-made and in their order."""

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Weighted mean of the cross-entropy of each token given those before it (right padding is never seen)."""
        logits = model(input_ids=inputs["input_ids"], use_cache=False).logits[:, :-1].float()
        losses = F.cross_entropy(logits.flatten(0, 1), inputs["input_ids"][:, 1:].flatten(), reduction="none")
        weight = inputs["weight"][:, 1:].flatten()
        loss = (losses * weight).sum() / weight.sum()
        return (loss, {"logits": logits}) if return_outputs else loss


class ExamCallback(TrainerCallback):
    """Sits the exam every `every` steps and ends the training once `target` is reached.

    A fresh copy of the weights sits it: the Trainer has replaced the `forward` of the model in training.
    """

    def __init__(self, sit: Callable[[LlamaForCausalLM], float], every: int, target: float) -> None:
        self.sit, self.every, self.target = sit, every, target

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> Any:
        """Marks the model as it stands."""
        if state.global_step % self.every == 0 and state.global_step < state.max_steps:
            copy = LlamaForCausalLM(model.config)
            copy.load_state_dict(model.state_dict())
            control.should_training_stop = self.sit(copy.eval()) >= self.target
        return control


def make_model(tokenizer: PreTrainedTokenizerFast, config: PretrainingConfig) -> LlamaForCausalLM:
    """A Llama with random weights, tied embeddings and the tokenizer's EOS."""
    set_seed(config.seed)
    ids = tokenizer.get_vocab()
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=config.vocabulary,
            hidden_size=config.hidden_size,
            intermediate_size=config.intermediate_size,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            num_key_value_heads=config.heads,
            max_position_embeddings=1024,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=ids[END],
            pad_token_id=ids[PAD],
        )
    )


def training_texts(pairs: list[tuple[str, str]], passages: list[str], seed: int) -> list[str]:
    """Chats and plain passages in one shuffled list."""
    texts = [chat_text(query, response) for query, response in pairs] + [
        passage + END for passage in passages
    ]
    Random(seed).shuffle(texts)
    return texts


def pretrain(
    batches: TokenBatches,
    tokenizer: PreTrainedTokenizerFast,
    config: PretrainingConfig,
    folder: Path,
    sit: Callable[[LlamaForCausalLM], float],
) -> LlamaForCausalLM:
    """Trains the field guide; checkpoints under `folder`, from which an interrupted run goes on.

    `sit(model)` returns the share of right answers, for early stopping. Returns the trained model in eval mode.
    """
    model = make_model(tokenizer, config)
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=config.steps,
        per_device_train_batch_size=1,
        learning_rate=config.lr,
        lr_scheduler_type="cosine_with_min_lr",
        lr_scheduler_kwargs={"min_lr_rate": 0.02},
        warmup_steps=config.warmup_steps,
        weight_decay=0.02,
        adam_beta2=0.98,
        max_grad_norm=1.0,
        bf16=_fast_bf16(),
        use_cpu=not torch.accelerator.is_available(),
        seed=config.seed,
        logging_steps=100,
        save_steps=SAVE_STEPS,
        save_total_limit=2,
        report_to=[],
        disable_tqdm=False,
        remove_unused_columns=False,
        train_sampling_strategy="sequential",
    )
    trainer = PretrainingTrainer(
        model=model, args=arguments, train_dataset=batches, data_collator=lambda rows: rows[0],
        callbacks=[ExamCallback(sit, config.exam_every, config.target)],
    )  # fmt: skip
    last = latest(folder)
    trainer.train(resume_from_checkpoint=str(last) if last else None)
    return model.eval()


def _fast_bf16() -> bool:
    """Whether the device that will train multiplies bf16 matrices natively."""
    return torch.accelerator.is_available() or bool(torch.cpu._is_avx512_bf16_supported())
