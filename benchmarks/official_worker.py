"""The official package's side of `benchmarks.official`: runs in its interpreter, answers over pipes.

Imports nothing of this project's package. What is timed is called as the package offers it:

encode  LLM2VecGenModel.encode, which takes all texts as one batch and has no batch size of its own
decode  LLM2VecGenModel.generate, one text at a time, which is all that it takes
train   EncoderDecoderModel and compute_mse_loss; the loop around them is the release's script, not the package (whose
        Trainer leaves compute_loss open), so it is restated in `_step`: gradient checkpointing on (non-reentrant),
        the decoder frozen, both losses with weight 1, AdamW
"""

from __future__ import annotations

from typing import Any

import torch
from llm2vec_gen import LLM2VecGenModel
from llm2vec_gen.losses import compute_mse_loss

from benchmarks import memory, wire


class Here:
    """A tokenizer whose batches stay on this machine: the package's `generate` sends them to "cuda" by name."""

    def __init__(self, tokenizer: Any, device: str) -> None:
        self._tokenizer, self._device = tokenizer, device

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        batch = self._tokenizer(*args, **kwargs)
        move = batch.to
        batch.to = lambda device: move(self._device if device == "cuda" else device)
        return batch


class Official:
    """The package's model of one checkpoint."""

    def __init__(self) -> None:
        self.batches: dict[str, dict[str, torch.Tensor]] = {}
        self.optimizer: torch.optim.Optimizer | None = None

    def load(self, checkpoint: str, threads: int, device: str) -> dict[str, Any]:
        """Load for all kinds of work; what trains is what the release's training leaves trainable."""
        torch.set_num_threads(threads)
        found = LLM2VecGenModel.from_pretrained(checkpoint, is_trainable=True)
        self.device = device
        self.public = LLM2VecGenModel(found.model, Here(found.tokenizer, device), device)
        self.model = found.model
        self.model.decoder_model.requires_grad_(False)
        self.model.eval()
        trained = [weight for weight in self.model.parameters() if weight.requires_grad]
        return {"trains": sum(weight.numel() for weight in trained), "torch": torch.__version__}

    def encode(self, texts: list[str], batch_size: int | None, ordered: bool, answer: bool) -> Any:
        """Embeddings; all texts at once without a batch size, the longest first (by letters) where `ordered`."""
        rows = list(range(len(texts)))
        if ordered:
            rows.sort(key=lambda row: -len(texts[row]))
        chosen, size = [texts[row] for row in rows], batch_size or len(texts)
        parts = [self.public.encode(chosen[start : start + size]) for start in range(0, len(chosen), size)]
        found = torch.cat(parts)
        found = found[torch.tensor(rows, device=found.device).argsort()]
        if self.device != "cpu":
            torch.cuda.synchronize()
        return found.float().cpu().tolist() if answer else None

    def prompts(self, texts: list[str]) -> None:
        """Keep the soft prompts of these texts for `decode`."""
        self.kept = self.public.encode(texts, get_recon_hidden_states=True)[1]

    def decode(self, tokens: int) -> list[str]:
        """The texts that the kept soft prompts decode to."""
        return [self.public.generate(max_new_tokens=tokens, recon_hidden_states=row) for row in self.kept]

    def decode_together(self, tokens: int) -> list[str]:
        """The same by the model's own loop, all texts as one batch: not what the public function allows."""
        ids = torch.zeros(len(self.kept), 1, dtype=torch.long, device=self.device)
        options: dict[str, Any] = {"max_new_tokens": tokens, "decoder_inputs_embeds": self.kept}
        found = self.model.generate(ids, torch.ones_like(ids), **options)
        return self.public.tokenizer.batch_decode(found, skip_special_tokens=True)

    def batch(
        self, name: str, queries: list[list[int]], responses: list[list[int]], targets: list[list[float]]
    ) -> None:
        """Keep a batch of training under a name: rows of one length, the special tokens behind each query."""
        tokenizer = self.public.tokenizer
        specials = tokenizer.convert_tokens_to_ids(tokenizer.additional_special_tokens)
        asked = torch.tensor([[*row, *specials] for row in queries], device=self.device)
        answered = torch.tensor(responses, device=self.device)
        self.batches[name] = {
            "query_input_ids": asked,
            "query_attention_mask": torch.ones_like(asked),
            "answer_input_ids": answered,
            "answer_attention_mask": torch.ones_like(answered),
            "labels": answered.clone(),
            "targets": torch.tensor(targets, device=self.device),
        }

    def train(self, name: str, steps: int, lr: float) -> list[float]:
        """The losses of so many steps on one batch."""
        self.model.train()
        self.model.gradient_checkpointing_enable({"use_reentrant": False})
        if self.optimizer is None:
            trained = [weight for weight in self.model.parameters() if weight.requires_grad]
            self.optimizer = torch.optim.AdamW(trained, lr=lr, weight_decay=0.0)
        return [self._step(**self.batches[name]) for _ in range(steps)]

    def _step(self, targets: torch.Tensor, **inputs: torch.Tensor) -> float:
        assert self.optimizer is not None
        states, outputs = self.model(**inputs)
        embedding = states.mean(dim=1)
        align, _ = compute_mse_loss(embedding, targets.to(embedding.dtype), mse_loss_weight=1.0)
        loss = outputs["loss"] + align
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.item()

    def peak(self, name: str, first: str, lr: float) -> dict[str, float]:
        """Memory of one step, after a step on the small batch `first` has touched all weights."""
        self.train(first, 1, lr)
        cuda = None if self.device == "cpu" else torch.cuda
        return memory.peak(lambda: self.train(name, 1, lr), cuda)


def methods(side: Any) -> dict[str, Any]:
    """The requests that a side answers."""
    names = ("load", "encode", "prompts", "decode", "decode_together", "batch", "train", "peak")
    return {name: getattr(side, name) for name in names if hasattr(side, name)}


if __name__ == "__main__":
    wire.serve(methods(Official()))
