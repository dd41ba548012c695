"""How lifters are trained (no heavy imports: the command line reads its flags from here)."""

from dataclasses import dataclass
from typing import Literal

from workbench.config import Config
from workbench.errors import UsageError


@dataclass(frozen=True)
class LifterTraining(Config):
    """The recipe of a lifter, `e -> p` with backbone and embedder frozen; every value can be changed."""

    lr: float = 1e-3
    """Peak learning rate of AdamW."""
    warmup_steps: int = 50
    """Steps over which the learning rate rises from 0."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How the learning rate falls after the warm-up."""
    weight_decay: float = 0.0
    """AdamW's weight decay."""
    max_grad_norm: float = 1.0
    """Gradients are clipped to this norm; 0 clips nothing."""
    batch_size: int = 32
    """Vectors a step."""
    epochs: int = 1
    """How many times every query is seen."""
    w_recon: float = 1.0
    """Weight of the reconstruction loss on the response."""
    w_prompts: float = 1.0
    """Weight of the squared distance to the embedder's own soft prompts, where it has any."""
    teacher_every: int = 2
    """Every so many steps the vectors are the teacher's, of the responses; 2 alternates, 0 leaves the teacher out."""
    max_response_length: int = 512
    """Most tokens of a response; one that is cut has no closing EOS to learn."""
    seed: int = 0
    """Seeds the start of the lifter and the order of the queries."""
    bf16: Literal["auto", "on", "off"] = "auto"
    """bfloat16 autocast: "auto" leaves the backbone in the dtype it was loaded in, what trains stays float32."""
    logging_steps: int = 10
    """A line of log.jsonl every so many steps."""
    save_steps: int = 500
    """A checkpoint every so many steps; a multiple of logging_steps, so that a resumed log has no seam."""
    keep_checkpoints: bool = False
    """Keep the checkpoints after the lifter is written."""
    report_to: str = "none"
    """Trainer's logger beside log.jsonl: none, tensorboard, wandb ..."""

    def __post_init__(self) -> None:
        for name, allowed in (
            ("schedule", ("linear", "cosine", "constant")),
            ("bf16", ("auto", "on", "off")),
        ):
            if getattr(self, name) not in allowed:
                raise UsageError(f"{name} must be one of {', '.join(allowed)}, not {getattr(self, name)!r}")
        for name in ("batch_size", "epochs", "max_response_length", "logging_steps", "save_steps"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("warmup_steps", "weight_decay", "max_grad_norm", "w_prompts", "teacher_every"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} must be at least 0, not {getattr(self, name)}")
        for name in ("lr", "w_recon"):
            if getattr(self, name) <= 0:
                raise UsageError(f"{name} must be above 0, not {getattr(self, name)}")
        if self.save_steps % self.logging_steps:
            raise UsageError(
                f"save_steps ({self.save_steps}) must be a multiple of logging_steps ({self.logging_steps})"
            )

    def reads_teacher(self, step: int) -> bool:
        """Whether the vectors of a step, counted from 0, are the teacher's."""
        return self.teacher_every > 0 and step % self.teacher_every == self.teacher_every - 1
