"""What a backbone writes: tokens behind prompts, vectors or a cache, and its own answers to texts."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from workbench.backbone import generation
from workbench.backbone.generation import Answers, Progress, Reader, Sampling
from workbench.backbone.prompts import Tokenized
from workbench.errors import UsageError


@runtime_checkable
class Writer(Reader, Protocol):
    """What writing needs of a backbone."""

    hidden_size: int

    @property
    def device(self) -> torch.device: ...
    @property
    def dtype(self) -> torch.dtype: ...
    @property
    def answer_opening(self) -> list[int]: ...
    def tokenize(
        self, texts: list[str], *, max_length: int = 512, instruction: str | None = None
    ) -> Tokenized: ...
    def detokenize(self, ids: list[list[int]]) -> list[str]: ...
    def answers(
        self, texts: list[str], *, max_new_tokens: int, instruction: str | None, temperature: float, seed: int,
        batch_size: int, max_length: int,
    ) -> Answers: ...  # fmt: skip


class Writing:
    """The part of `Backbone` that writes."""

    def generate(
        self: Writer,
        ids: list[list[int]],
        *,
        max_new_tokens: int = 64,
        temperature: float = 0.0,
        seed: int = 0,
        batch_size: int = 64,
        progress: Progress | None = None,
    ) -> list[list[int]]:
        """New tokens after each prompt, without the EOS; greedy at temperature 0, else sampled so that a prompt and
        a seed give the same tokens in every batch. `progress(done, total)` is called after each batch."""
        return generation.from_ids(
            self, ids, Sampling(max_new_tokens, temperature, seed), batch_size, progress
        )

    def generate_from(
        self: Writer,
        soft_prompts: Float[Tensor, "b n d"],
        *,
        max_new_tokens: int = 64,
        temperature: float = 0.0,
        seed: int = 0,
        batch_size: int = 64,
        progress: Progress | None = None,
    ) -> list[list[int]]:
        """New tokens after each block of vectors, read as input embeddings; options as in `generate`."""
        if soft_prompts.shape[-1] != self.hidden_size:
            raise UsageError(
                f"vectors of size {soft_prompts.shape[-1]}, but the backbone reads {self.hidden_size}"
            )
        vectors = soft_prompts.detach().to(self.device, self.dtype)
        how = Sampling(max_new_tokens, temperature, seed)
        return generation.from_vectors(self, vectors, how, batch_size, progress)

    def generate_behind(
        self: Writer,
        keys_values: Float[Tensor, "b layers 2 heads n size"],
        last: Float[Tensor, "b d"],
        next_positions: Int[Tensor, " b"],
        *,
        max_new_tokens: int = 64,
        temperature: float = 0.0,
        seed: int = 0,
        batch_size: int = 64,
    ) -> list[list[int]]:
        """New tokens behind cached keys and values and the chat template's opening of an answer, if it has one;
        `last` is the state that ends the cache, `next_positions` where each row goes on; options as in `generate`."""
        kept = keys_values.to(self.device, self.dtype)
        place, how = next_positions.to(self.device), Sampling(max_new_tokens, temperature, seed)
        state = last.to(self.device, self.dtype)
        return generation.from_cache(self, kept, state, place, self.answer_opening, how, batch_size)

    def respond(
        self: Writer,
        texts: list[str],
        *,
        max_new_tokens: int = 64,
        instruction: str | None = None,
        temperature: float = 0.0,
        seed: int = 0,
        batch_size: int = 64,
        max_length: int = 512,
    ) -> list[str]:
        """What the LM itself says to each text (chat template, greedy by default); `answers` also counts cuts."""
        options: dict[str, Any] = {"instruction": instruction, "temperature": temperature, "seed": seed}
        options |= {"batch_size": batch_size, "max_length": max_length}
        return self.answers(texts, max_new_tokens=max_new_tokens, **options).texts

    def answers(
        self: Writer,
        texts: list[str],
        *,
        max_new_tokens: int = 64,
        instruction: str | None = None,
        temperature: float = 0.0,
        seed: int = 0,
        batch_size: int = 64,
        max_length: int = 512,
        progress: Progress | None = None,
    ) -> Answers:
        """Responses with their token ids, and which texts lost their tail and which responses ended by themselves.

        A prompt leaves `max_new_tokens` of the model's window free, or half the window where that is less.
        """
        room = max(self.max_length - max_new_tokens, self.max_length // 2)
        prompts = self.tokenize(texts, max_length=min(max_length, room), instruction=instruction)
        how = Sampling(max_new_tokens, temperature, seed)
        ids = generation.from_ids(self, prompts.ids, how, batch_size, progress)
        limits = [min(max_new_tokens, self.max_length - len(row)) for row in prompts.ids]
        finished = [len(row) < limit for row, limit in zip(ids, limits, strict=True)]
        return Answers(self.detokenize(ids), ids, prompts.cut, finished)
