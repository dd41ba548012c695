"""How GEM embedders are trained (no heavy imports: the command line reads its flags from here)."""

from dataclasses import dataclass
from typing import Literal

from workbench.errors import UsageError
from workbench.training.config import WatchedTraining


@dataclass(frozen=True)
class GEMTraining(WatchedTraining):
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
    batch_size: int = 32
    """Texts a step."""
    epochs: int = 1
    """How many times every text is seen, each time with other places and tasks."""
    max_length: int = 512
    """Most tokens of a text; a longer one loses its own tail."""
    seed: int = 0
    """Seeds the start of what trains, the order of the texts, places, tasks and dropout."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("p", "alpha", "prefix_dropout"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name} must lie between 0 and 1, not {getattr(self, name)}")
        self.check_least(1, "batch_size", "epochs")
        self.check_least(0, "alpha_start", *self.shares)
        self.check_above_zero("lr", "contrastive_lr")
        self.check_least(2, "max_length")
        if self.p < 1 and not any(getattr(self, name) for name in self.shares):
            raise UsageError("p is below 1, but the shares of all four tasks are 0")

    @property
    def shares(self) -> tuple[str, ...]:
        """The names of the four tasks' weights."""
        return ("share_insertion", "share_reconstruction", "share_soft_prompt", "share_summary")

    def alpha_at(self, step: int) -> float:
        """The weight of the contrastive loss in a step, counted from 0."""
        return self.alpha if step >= self.alpha_start else 0.0
