"""How embedders are trained (no heavy imports: the command line reads its flags from here)."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from workbench.config import Config
from workbench.errors import UsageError


@dataclass(frozen=True)
class TrainingConfig(Config):
    """What every training shares; `SCHEDULES` names what a learning rate may do after the warm-up."""

    SCHEDULES: ClassVar[tuple[str, ...]] = ("linear", "cosine", "constant")

    lr: float = 1e-4
    """Peak learning rate of AdamW."""
    weight_decay: float = 0.0
    """AdamW's weight decay."""
    max_grad_norm: float = 1.0
    """Gradients are clipped to this norm; 0 clips nothing."""
    bf16: Literal["auto", "on", "off"] = "auto"
    """bfloat16 autocast: "auto" leaves the backbone in the dtype it was loaded in, what trains stays float32."""
    logging_steps: int = 10
    """A line of log.jsonl every so many steps."""
    save_steps: int = 500
    """A checkpoint every so many steps; a multiple of logging_steps, so that a resumed log has no seam."""
    keep_checkpoints: bool = False
    """Keep the checkpoints after what they lead to is written."""
    report_to: str = "none"
    """Trainer's logger beside log.jsonl: none, tensorboard, wandb ..."""
    schedule: str = "linear"
    """How the learning rate falls after the warm-up."""
    warmup_steps: int = 0
    """Steps over which the learning rate rises from 0."""
    seed: int = 0
    """Seeds everything that is drawn."""

    def __post_init__(self) -> None:
        self.check_choices(schedule=self.SCHEDULES, bf16=("auto", "on", "off"))
        self.check_least(1, "logging_steps", "save_steps")
        self.check_least(0, "warmup_steps", "weight_decay", "max_grad_norm", "seed")
        if self.save_steps % self.logging_steps:
            raise UsageError(
                f"save_steps ({self.save_steps}) must be a multiple of logging_steps ({self.logging_steps})"
            )

    def check_choices(self, **allowed: tuple[str, ...]) -> None:
        """UsageError for a field whose value is none of those allowed."""
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                raise UsageError(f"{name} must be one of {', '.join(values)}, not {getattr(self, name)!r}")

    def check_least(self, least: int, *names: str) -> None:
        """UsageError for a field below `least`."""
        for name in names:
            if getattr(self, name) < least:
                raise UsageError(f"{name} must be at least {least}, not {getattr(self, name)}")

    def check_above_zero(self, *names: str) -> None:
        """UsageError for a field that is 0 or below."""
        for name in names:
            if getattr(self, name) <= 0:
                raise UsageError(f"{name} must be above 0, not {getattr(self, name)}")


@dataclass(frozen=True)
class WatchedTraining(TrainingConfig):
    """What the trainings of embedders share: they can be watched (`watcher.py`), which changes nothing of them."""

    WATCHING: ClassVar[tuple[str, ...]] = ("watch_every", "watch_texts", "watch_samples")

    watch_every: int = 0
    """Steps between two looks at the vectors of some queries and what they decode to; 0 never looks."""
    watch_texts: int = 256
    """Queries that a look embeds, spread evenly over the corpus."""
    watch_samples: int = 8
    """How many of these queries a look also decodes, spread evenly over them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_least(0, "watch_every", "watch_samples")
        self.check_least(1, "watch_texts")
        if self.watch_samples > self.watch_texts:
            raise UsageError(
                f"watch_samples ({self.watch_samples}) cannot be more than watch_texts ({self.watch_texts})"
            )

    def recipe(self) -> dict[str, Any]:
        """All that decides what is trained: two runs that differ in how they are watched are one run."""
        return {name: value for name, value in self.to_dict().items() if name not in self.WATCHING}


@dataclass(frozen=True)
class LLM2VecGenTraining(WatchedTraining):
    """The paper's recipe (arXiv 2603.10913, section 3 and appendix C); every value can be changed."""

    SCHEDULES: ClassVar[tuple[str, ...]] = ("linear", "cosine", "constant", "constant_with_warmup")

    lr: float = 3e-4
    """Peak learning rate of AdamW: 3e-4 for Qwen-3, 5e-4 for Qwen-2.5 and Llama in the paper."""
    warmup_steps: int = 100
    """Steps over which the learning rate rises from 0."""
    schedule: Literal["linear", "cosine", "constant", "constant_with_warmup"] = "linear"
    """How the learning rate falls after the warm-up."""
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
    packing: Literal["on", "off"] = "off"
    """Several texts behind each other in a row, apart by mask and position, instead of padding (with a LoRA only)."""
    seed: int = 0
    """Seeds the start of what trains and the order of the queries."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_choices(align_reduction=("mean", "sum"), align_start=("zero", "ridge"))
        self.check_least(1, "batch_size", "epochs", "max_query_length", "max_response_length")
        self.check_least(0, "w_align", "w_recon", "lora_rank")
        self.check_above_zero("lr", "projection_lr_scale")
        if self.w_align == 0 and self.w_recon == 0:
            raise UsageError("w_align and w_recon are both 0: nothing would train")
        if self.packing == "on" and not self.lora_rank:
            raise UsageError(
                "packing needs a LoRA: without one, queries are read without gradients and cost little as they are"
            )
