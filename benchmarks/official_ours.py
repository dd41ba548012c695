"""Our side of `benchmarks.official`, with the requests of the official one; a process of its own for its memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import memory, wire
from workbench.backbone.kernels import on_gpu
from workbench.decoding.decode import decode
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.embedders.official import load_checkpoint
from workbench.training.batches import Examples
from workbench.training.config import LLM2VecGenTraining
from workbench.training.llm2vec_gen_step import TrainingStep


class Ours:
    """The same checkpoint as an embedder of ours."""

    embedder: LLM2VecGen

    def __init__(self) -> None:
        self.examples: dict[str, Examples] = {}
        self.optimizer: torch.optim.Optimizer | None = None

    def load(self, checkpoint: str, threads: int, device: str) -> dict[str, Any]:
        """Load, in the dtype of the base model's weights."""
        torch.set_num_threads(threads)
        dtype = "bfloat16" if "torch_dtype: bfloat16" in _run(checkpoint) else "float32"
        self.embedder = load_checkpoint(Path(checkpoint), device=device, dtype=dtype)
        self.step = TrainingStep(self.embedder, LLM2VecGenTraining())
        trained = [weight for weight in self.step.parameters() if weight.requires_grad]
        return {"trains": sum(weight.numel() for weight in trained), "torch": torch.__version__}

    def ask(self, do: str, **request: Any) -> Any:
        """As a side in a process of its own answers."""
        return getattr(self, do)(**request)

    def encode(self, texts: list[str], batch_size: int | None) -> np.ndarray:
        """Embeddings as `encode` gives them; without a batch size as many texts at once as it takes by itself."""
        return np.asarray(self.embedder.encode(texts, batch_size=batch_size))

    def prompts(self, texts: list[str]) -> None:
        """Keep the soft prompts of these texts for `decode`."""
        self.kept = self.embedder.represent(texts).soft_prompts

    def decode(self, tokens: int) -> list[str]:
        """The texts that the kept soft prompts decode to."""
        return decode(self.embedder, self.kept, max_new_tokens=tokens)  # type: ignore[arg-type]

    def batch(
        self, name: str, queries: list[list[int]], responses: list[list[int]], targets: list[list[float]]
    ) -> None:
        """Keep a batch of training under a name."""
        backbone = self.embedder.backbone
        self.examples[name] = Examples(backbone, queries, responses, torch.tensor(targets), 0, 0)

    def train(self, name: str, steps: int, lr: float) -> list[float]:
        """The losses of so many steps on one batch, collation included, as `workbench.training` makes them."""
        if self.optimizer is None:
            trained = [weight for weight in self.step.parameters() if weight.requires_grad]
            self.optimizer = torch.optim.AdamW(trained, lr=lr, weight_decay=0.0)
        losses = []
        for _ in range(steps):
            examples = self.examples[name]
            loss = self.step(**examples.batch(list(range(len(examples.queries))))).total
            loss.backward()
            self.optimizer.step()
            self.optimizer.zero_grad()
            losses.append(loss.item())
        return losses

    def peak(self, name: str, first: str, lr: float) -> dict[str, float]:
        """Memory of one step, after a step on the small batch `first` has touched all weights."""
        self.train(first, 1, lr)
        cuda = torch.cuda if on_gpu(self.embedder.backbone.device) else None
        return memory.peak(lambda: self.train(name, 1, lr), cuda)


def _run(checkpoint: str) -> str:
    return (Path(checkpoint) / "run_config.yml").read_text()


if __name__ == "__main__":
    side = Ours()
    names = ("load", "batch", "train", "peak")
    wire.serve({name: getattr(side, name) for name in names})
