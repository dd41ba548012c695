"""How a tuned lens is trained (no heavy imports: the command line reads its flags from here)."""

from dataclasses import dataclass

from workbench.config import Config
from workbench.errors import UsageError


@dataclass(frozen=True)
class TunedTraining(Config):
    """How the translators of a tuned lens are trained."""

    steps: int = 400
    """Steps of AdamW."""
    batch_size: int = 128
    """States a step."""
    lr: float = 1e-3
    """Learning rate at the start; it falls to 0 in a straight line."""
    held_out: float = 0.1
    """Share of the texts that the lens is measured on and never trained on."""
    seed: int = 0
    """Decides which texts are held out, which ordinary tokens are drawn, and the order of the states."""

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch_size < 1 or self.lr <= 0:
            raise UsageError("steps and batch_size must be at least 1, lr above 0")
        if not 0 < self.held_out < 1:
            raise UsageError(f"held_out must be between 0 and 1, not {self.held_out}")
