"""What embedders are made of (no heavy imports: the command line reads its flags from here)."""

from dataclasses import dataclass
from typing import Literal

from workbench.config import Config
from workbench.errors import UsageError


@dataclass(frozen=True)
class LLM2VecGenConfig(Config):
    """The shape of an LLM2Vec-Gen embedder (arXiv 2603.10913, section 3 and appendix C)."""

    n_compression: int = 10
    """Compression tokens: special tokens that are read out (n in the paper)."""
    n_thought: int = 0
    """Thought tokens: special tokens before the compression tokens that are not read out (10 in the paper's v1)."""
    template: Literal["query", "chat", "raw"] = "query"
    """How a text is put before the special tokens; "query" puts them directly after the text."""
    max_length: int = 512
    """Most tokens of a text when embedding, template included; a longer text loses its own tail."""
    teacher: str = "sentence-transformers/all-MiniLM-L6-v2"
    """The embedder whose vectors of the responses are the alignment targets."""
    dimension: int | None = None
    """Size of the embedding; training takes it from the teacher's targets."""
    align_each: bool = False
    """Give every compression token a W_a of its own, before the mean; the paper has one for all of them."""
    lora_rank: int = 0
    """Rank of the encoder side's LoRA; 0 keeps the backbone wholly frozen. Training sets it."""
    lora_alpha: float = 16.0
    """Scale of the LoRA: its update counts alpha / rank. Training sets it."""

    def __post_init__(self) -> None:
        if self.n_compression < 1:
            raise UsageError(f"n_compression must be at least 1, not {self.n_compression}")
        if self.n_thought < 0:
            raise UsageError(f"n_thought must be at least 0, not {self.n_thought}")
        if self.max_length < 1:
            raise UsageError(f"max_length must be at least 1, not {self.max_length}")
        if self.template not in ("query", "chat", "raw"):
            raise UsageError(f"template must be query, chat or raw, not {self.template!r}")
        if self.dimension is not None and self.dimension < 1:
            raise UsageError(f"dimension must be at least 1, not {self.dimension}")
        if self.lora_rank < 0:
            raise UsageError(f"lora_rank must be at least 0, not {self.lora_rank}")


@dataclass(frozen=True)
class GEMConfig(Config):
    """The shape of a GEM embedder (arXiv 2506.04344, section 3)."""

    n_special: int = 8
    """Special tokens (k in the paper, which tries 1 to 10)."""
    pooling: Literal["mean", "concat"] = "mean"
    """How the special tokens' states become one embedding."""
    layer: int | None = None
    """Block whose output is pooled, counted from 1; the last one behind the final norm where not given (the paper).
    Nothing ever reads what the last block makes of special tokens, so earlier ones may tell texts apart better."""
    tuning: Literal["lora", "full"] = "lora"
    """What of the backbone is fine-tuned: a LoRA on every linear layer, or all weights."""
    lora_rank: int = 16
    """Rank of the LoRA."""
    lora_alpha: float = 32.0
    """Scale of the LoRA: its update counts alpha / rank."""
    specials_see_each_other: bool = False
    """Let special tokens see those before them (the paper found that this hurts; for the ablation)."""
    template: Literal["query", "chat", "raw"] = "query"
    """How a text is put before the special tokens; "query" puts them directly after the text."""
    max_length: int = 512
    """Most tokens of a text, template included; a longer text loses its own tail."""

    def __post_init__(self) -> None:
        for name in ("n_special", "lora_rank", "max_length"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, not {getattr(self, name)}")
        choices = {
            "pooling": ("mean", "concat"),
            "tuning": ("lora", "full"),
            "template": ("query", "chat", "raw"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise UsageError(f"{name} must be one of {', '.join(allowed)}, not {getattr(self, name)!r}")
        if self.layer is not None and self.layer < 1:
            raise UsageError(f"layer must be at least 1, not {self.layer}")


@dataclass(frozen=True)
class LLM2VecConfig(Config):
    """The shape of an LLM2Vec-style teacher (arXiv 2404.05961, section 2)."""

    lora_rank: int = 16
    """Rank of the LoRA that both stages of training share."""
    lora_alpha: float = 32.0
    """Scale of the LoRA: its update counts alpha / rank."""
    template: Literal["query", "chat", "raw"] = "raw"
    """What stands around a text; "raw" is nothing."""
    max_length: int = 512
    """Most tokens of a text, template included; a longer text loses its own tail."""

    def __post_init__(self) -> None:
        if self.template not in ("query", "chat", "raw"):
            raise UsageError(f"template must be query, chat or raw, not {self.template!r}")
        if self.lora_rank < 1 or self.lora_alpha <= 0 or self.max_length < 2:
            raise UsageError("lora_rank must be at least 1, lora_alpha above 0, and max_length at least 2")


@dataclass(frozen=True)
class LifterConfig(Config):
    """The shape of a lifter: a pooled vector, one hidden layer, soft prompts."""

    width: int = 1024
    """Numbers in the hidden layer."""
    n_prompts: int | None = None
    """Soft prompts that a vector becomes; as many as the embedder has where it is not given, 10 where it has none."""
    dimension: int | None = None
    """Size of the embedding; training takes it from the embedder."""
    size: int | None = None
    """Size of a soft prompt; training takes it from the backbone."""

    def __post_init__(self) -> None:
        for name in ("width", "n_prompts", "dimension", "size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} must be at least 1, not {value}")
