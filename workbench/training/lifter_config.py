"""How lifters are trained (no heavy imports: the command line reads its flags from here)."""

from dataclasses import dataclass
from typing import Literal

from workbench.training.config import TrainingConfig


@dataclass(frozen=True)
class LifterTraining(TrainingConfig):
    """The recipe of a lifter, `e -> p` with backbone and embedder frozen; every value can be changed."""

    lr: float = 1e-3
    """Peak learning rate of AdamW."""
    warmup_steps: int = 50
    """Steps over which the learning rate rises from 0."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How the learning rate falls after the warm-up."""
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

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_least(1, "batch_size", "epochs", "max_response_length")
        self.check_least(0, "w_prompts", "teacher_every")
        self.check_above_zero("lr", "w_recon")

    def reads_teacher(self, step: int) -> bool:
        """Whether the vectors of a step, counted from 0, are the teacher's."""
        return self.teacher_every > 0 and step % self.teacher_every == self.teacher_every - 1
