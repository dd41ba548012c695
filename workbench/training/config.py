"""How an LLM2Vec-Gen embedder is trained (no heavy imports: the command line reads its flags from here)."""

from dataclasses import dataclass
from typing import Literal

from workbench.config import Config
from workbench.errors import UsageError

_CHOICES = {
    "align_reduction": ("mean", "sum"),
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
        if self.lr <= 0:
            raise UsageError(f"lr must be above 0, not {self.lr}")
        if self.w_align == 0 and self.w_recon == 0:
            raise UsageError("w_align and w_recon are both 0: nothing would train")
        if self.save_steps % self.logging_steps:
            raise UsageError(
                f"save_steps ({self.save_steps}) must be a multiple of logging_steps ({self.logging_steps})"
            )
