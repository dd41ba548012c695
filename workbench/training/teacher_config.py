"""How LLM2Vec-style teachers are trained (no heavy imports: the command line reads its flags from here)."""

from dataclasses import dataclass
from typing import Literal

from workbench.errors import UsageError
from workbench.training.config import TrainingConfig


@dataclass(frozen=True)
class TeacherTraining(TrainingConfig):
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
    seed: int = 0
    """Seeds the start of the LoRA, the order of the texts, what is masked and what is dropped."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_least(2, "simcse_batch_size")
        self.check_least(1, "batch_size")
        self.check_least(0, "mntp_steps", "simcse_steps")
        limits = {"lr": 1, "simcse_lr": 1, "temperature": 10, "mask_share": 1, "dropout": 1}
        for name, below in limits.items():
            if not 0 < getattr(self, name) < below:
                raise UsageError(f"{name} must lie between 0 and {below}, not {getattr(self, name)}")
        if not self.mntp_steps + self.simcse_steps:
            raise UsageError("mntp_steps and simcse_steps are both 0: nothing would train")
