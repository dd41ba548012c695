"""How embedders are trained (no heavy imports: the command line reads its flags from here)."""

from dataclasses import dataclass
from typing import Literal

from workbench.config import Config
from workbench.errors import UsageError

_CHOICES = {
    "align_reduction": ("mean", "sum"),
    "align_start": ("zero", "ridge"),
    "schedule": ("linear", "cosine", "constant", "constant_with_warmup"),
    "bf16": ("auto", "on", "off"),
}


@dataclass(frozen=True)
class LLM2VecGenTraining(Config):
    """The paper's recipe (arXiv 2603.10913, section 3 and appendix C); every value can be changed."""

    lr: float = 3e-4
    """Peak learning rate of AdamW: 3e-4 for Qwen-3, 5e-4 for Qwen-2.5 and Llama in the paper."""
    warmup_steps: int = 100
    """Steps over which the learning rate rises from 0."""
    schedule: Literal["linear", "cosine", "constant", "constant_with_warmup"] = "linear"
    """How the learning rate falls after the warm-up."""
    weight_decay: float = 0.0
    """AdamW's weight decay."""
    max_grad_norm: float = 1.0
    """Gradients are clipped to this norm; 0 clips nothing."""
    batch_size: int = 32
    """Queries a step."""
    epochs: int = 1
    """How many times every query is seen."""
    w_align: float = 1.0
    """Weight of the alignment loss; 0 is the paper's ablation "only reconstruction"."""
    w_recon: float = 1.0
    """Weight of the reconstruction loss; 0 is the paper's ablation "only alignment"."""
    align_reduction: Literal["mean", "sum"] = "mean"
    """Alignment over the dimensions: "mean" as in the official code, "sum" as the paper writes it."""
    align_start: Literal["zero", "ridge"] = "zero"
    """Where W_a starts: near 0, or at the ridge regression from the untrained soft prompts to the targets."""
    projection_lr_scale: float = 1.0
    """Learning rate of W_r and W_a, as a multiple of lr, which the special tokens have."""
    max_query_length: int = 512
    """Most tokens of a query, template included; a longer query loses its own tail, never the special tokens."""
    max_response_length: int = 512
    """Most tokens of a response; one that is cut has no closing EOS to learn."""
    lora_rank: int = 0
    """Rank of a LoRA on the encoder side (8 in the paper's ablation); 0 trains none."""
    lora_alpha: float = 16.0
    """Scale of the LoRA: its update counts alpha / rank."""
    seed: int = 0
    """Seeds the start of what trains and the order of the queries."""
    bf16: Literal["auto", "on", "off"] = "auto"
    """bfloat16 autocast: "auto" leaves the backbone in the dtype it was loaded in, what trains stays float32."""
    logging_steps: int = 10
    """A line of log.jsonl every so many steps."""
    save_steps: int = 500
    """A checkpoint every so many steps; a multiple of logging_steps, so that a resumed log has no seam."""
    keep_checkpoints: bool = False
    """Keep the checkpoints after the artifact is written."""
    report_to: str = "none"
    """Trainer's logger beside log.jsonl: none, tensorboard, wandb ..."""

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise UsageError(f"{name} must be one of {', '.join(allowed)}, not {getattr(self, name)!r}")
        for name in (
            "batch_size",
            "epochs",
            "max_query_length",
            "max_response_length",
            "logging_steps",
            "save_steps",
        ):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("warmup_steps", "weight_decay", "max_grad_norm", "w_align", "w_recon", "lora_rank"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} must be at least 0, not {getattr(self, name)}")
        for name in ("lr", "projection_lr_scale"):
            if getattr(self, name) <= 0:
                raise UsageError(f"{name} must be above 0, not {getattr(self, name)}")
        if self.w_align == 0 and self.w_recon == 0:
            raise UsageError("w_align and w_recon are both 0: nothing would train")
        if self.save_steps % self.logging_steps:
            raise UsageError(
                f"save_steps ({self.save_steps}) must be a multiple of logging_steps ({self.logging_steps})"
            )


@dataclass(frozen=True)
class GEMTraining(Config):
    """The recipe of GEM (arXiv 2506.04344, sections 3 and 4.2); every value can be changed."""

    p: float = 0.8
    """Mix ratio: the share of texts without special tokens (section 3.1.1); 1 trains a plain language model."""
    share_insertion: float = 0.5
    """Of the texts with special tokens, the weight of those with them at a random place of the text."""
    share_reconstruction: float = 0.5
    """The weight of text reconstruction: special tokens after the whole text, then the text again."""
    share_soft_prompt: float = 0.0
    """The weight of soft prompts: special tokens between a query and its response."""
    share_summary: float = 0.0
    """The weight of summaries: special tokens between a text and its summary."""
    lr: float = 1e-4
    """Peak learning rate of AdamW while the next-token loss counts alone."""
    contrastive_lr: float = 1e-5
    """Peak learning rate once the contrastive loss counts."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """How the learning rate falls after the warm-up."""
    warmup_steps: int = 20
    """Steps over which the learning rate rises from 0."""
    alpha: float = 1.0
    """Weight of the contrastive loss in L = (1 - alpha) L_ntp + alpha L_cl (equation 2) once it counts; 0: never."""
    alpha_start: int = 100
    """Step after which the contrastive loss counts."""
    prefix_dropout: float = 0.2
    """Share of a prefix's tokens that its positive lacks."""
    weight_decay: float = 0.0
    """AdamW's weight decay."""
    max_grad_norm: float = 1.0
    """Gradients are clipped to this norm; 0 clips nothing."""
    batch_size: int = 32
    """Texts a step."""
    epochs: int = 1
    """How many times every text is seen, each time with other places and tasks."""
    max_length: int = 512
    """Most tokens of a text; a longer one loses its own tail."""
    seed: int = 0
    """Seeds the start of what trains, the order of the texts, places, tasks and dropout."""
    bf16: Literal["auto", "on", "off"] = "auto"
    """bfloat16 autocast: "auto" leaves the backbone in the dtype it was loaded in, what trains stays float32."""
    logging_steps: int = 10
    """A line of log.jsonl every so many steps."""
    save_steps: int = 500
    """A checkpoint every so many steps; a multiple of logging_steps, so that a resumed log has no seam."""
    keep_checkpoints: bool = False
    """Keep the checkpoints after the artifact is written."""
    report_to: str = "none"
    """Trainer's logger beside log.jsonl: none, tensorboard, wandb ..."""

    def __post_init__(self) -> None:
        for name, allowed in (
            ("schedule", ("cosine", "linear", "constant")),
            ("bf16", ("auto", "on", "off")),
        ):
            if getattr(self, name) not in allowed:
                raise UsageError(f"{name} must be one of {', '.join(allowed)}, not {getattr(self, name)!r}")
        for name in ("p", "alpha", "prefix_dropout"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name} must lie between 0 and 1, not {getattr(self, name)}")
        for name in ("batch_size", "epochs", "logging_steps", "save_steps"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("warmup_steps", "weight_decay", "max_grad_norm", "alpha_start", *self.shares):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} must be at least 0, not {getattr(self, name)}")
        if self.lr <= 0 or self.contrastive_lr <= 0 or self.max_length < 2:
            raise UsageError("lr and contrastive_lr must be above 0, and max_length at least 2")
        if self.p < 1 and not any(getattr(self, name) for name in self.shares):
            raise UsageError("p is below 1, but the shares of all four tasks are 0")
        if self.save_steps % self.logging_steps:
            raise UsageError(
                f"save_steps ({self.save_steps}) must be a multiple of logging_steps ({self.logging_steps})"
            )

    @property
    def shares(self) -> tuple[str, ...]:
        """The names of the four tasks' weights."""
        return ("share_insertion", "share_reconstruction", "share_soft_prompt", "share_summary")

    def alpha_at(self, step: int) -> float:
        """The weight of the contrastive loss in a step, counted from 0."""
        return self.alpha if step >= self.alpha_start else 0.0


@dataclass(frozen=True)
class TeacherTraining(Config):
    """The recipe of LLM2Vec (arXiv 2404.05961, section 2 and its official code); every value can be changed."""

    mntp_steps: int = 1000
    """Steps of masked next-token prediction, which teaches the backbone to use tokens to the right; 0 leaves it out."""
    lr: float = 5e-5
    """Peak learning rate of AdamW in masked next-token prediction."""
    batch_size: int = 32
    """Texts a step in masked next-token prediction."""
    mask_share: float = 0.2
    """Share of a text's tokens that are masked; one at least, and never the first."""
    simcse_steps: int = 1000
    """Steps of unsupervised SimCSE behind it; 0 leaves it out."""
    simcse_lr: float = 3e-5
    """Peak learning rate in SimCSE."""
    simcse_batch_size: int = 128
    """Texts a step in SimCSE, all but one of them negatives of each other."""
    temperature: float = 0.05
    """Cosine similarities are divided by it in SimCSE."""
    dropout: float = 0.1
    """Share of the input embeddings' numbers that each of a text's two readings in SimCSE lacks."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How the learning rate falls after the warm-up, in each stage."""
    warmup_steps: int = 0
    """Steps of each stage over which the learning rate rises from 0."""
    weight_decay: float = 0.0
    """AdamW's weight decay."""
    max_grad_norm: float = 1.0
    """Gradients are clipped to this norm; 0 clips nothing."""
    seed: int = 0
    """Seeds the start of the LoRA, the order of the texts, what is masked and what is dropped."""
    bf16: Literal["auto", "on", "off"] = "auto"
    """bfloat16 autocast: "auto" leaves the backbone in the dtype it was loaded in, what trains stays float32."""
    logging_steps: int = 10
    """A line of log.jsonl every so many steps."""
    save_steps: int = 500
    """A checkpoint every so many steps; a multiple of logging_steps, so that a resumed log has no seam."""
    keep_checkpoints: bool = False
    """Keep the checkpoints after the teacher is written."""
    report_to: str = "none"
    """Trainer's logger beside log.jsonl: none, tensorboard, wandb ..."""

    def __post_init__(self) -> None:
        for name, allowed in (
            ("schedule", ("linear", "cosine", "constant")),
            ("bf16", ("auto", "on", "off")),
        ):
            if getattr(self, name) not in allowed:
                raise UsageError(f"{name} must be one of {', '.join(allowed)}, not {getattr(self, name)!r}")
        for least, names in (
            (2, ("simcse_batch_size",)),
            (1, ("batch_size", "logging_steps", "save_steps")),
            (0, ("mntp_steps", "simcse_steps", "warmup_steps", "weight_decay", "max_grad_norm", "seed")),
        ):
            for name in names:
                if getattr(self, name) < least:
                    raise UsageError(f"{name} must be at least {least}, not {getattr(self, name)}")
        for name, below in (
            ("lr", 1),
            ("simcse_lr", 1),
            ("temperature", 10),
            ("mask_share", 1),
            ("dropout", 1),
        ):
            if not 0 < getattr(self, name) < below:
                raise UsageError(f"{name} must lie between 0 and {below}, not {getattr(self, name)}")
        if not self.mntp_steps + self.simcse_steps:
            raise UsageError("mntp_steps and simcse_steps are both 0: nothing would train")
        if self.save_steps % self.logging_steps:
            raise UsageError(
                f"save_steps ({self.save_steps}) must be a multiple of logging_steps ({self.logging_steps})"
            )
