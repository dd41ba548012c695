"""Batched, KV-cached continuation of embedded prompts; rows that are done leave the batch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from workbench.backbone.batching import by_length
from workbench.errors import UsageError

Progress = Callable[[int, int], None]
LEAVE_BELOW = 0.75  # finished rows leave once they are a quarter: the copy of the cache costs about one step
OPEN = -1


@runtime_checkable
class Reader(Protocol):
    """What generation needs of a backbone."""

    eos_ids: tuple[int, ...]
    max_length: int

    def pad(self, ids: list[list[int]]) -> Any: ...
    def embed(self, ids: Int[Tensor, "b t"]) -> Float[Tensor, "b t d"]: ...
    def hidden(
        self, inputs_embeds: Any, *, mask: Any, positions: Any, cache: Any = None, use_cache: bool = False
    ) -> Any: ...
    def logits(self, hidden: Float[Tensor, "*b d"]) -> Float[Tensor, "*b v"]: ...


class Answers(NamedTuple):
    """The backbone's own responses: text and token ids, whether the query lost its tail, whether the response ended
    by itself (not at a limit)."""

    texts: list[str]
    ids: list[list[int]]
    cut: list[bool]
    finished: list[bool]


class Sampling(NamedTuple):
    """How tokens are chosen: greedy at temperature 0, else by `seed` and the row alone, whatever its batch."""

    max_new_tokens: int = 64
    temperature: float = 0.0
    seed: int = 0

    def check(self) -> None:
        if self.max_new_tokens < 1 or not 0 <= self.temperature < float("inf"):
            raise UsageError(
                f"cannot generate {self.max_new_tokens} tokens at temperature {self.temperature}"
            )


def from_ids(
    reader: Reader, ids: list[list[int]], how: Sampling, batch_size: int, progress: Progress | None
) -> list[list[int]]:
    """New tokens of each prompt, in the order given; batches are formed by length, so that padding is rare."""
    how.check()
    rows: list[list[int]] = [[]] * len(ids)
    done = 0
    for chosen in by_length([len(row) for row in ids], batch_size):
        batch = reader.pad([ids[row] for row in chosen])
        keys = [_key(how.seed, np.asarray(ids[row], dtype=np.int64).tobytes()) for row in chosen]
        new = proceed(reader, reader.embed(batch.ids), batch.mask, batch.positions, how, keys)
        for row, tokens in zip(chosen, new, strict=True):
            rows[row] = tokens
        done += len(chosen)
        if progress:
            progress(done, len(ids))
    return rows


def from_vectors(
    reader: Reader, vectors: Float[Tensor, "b n d"], how: Sampling, batch_size: int, progress: Progress | None
) -> list[list[int]]:
    """New tokens that follow each block of `n` vectors, read as input embeddings."""
    how.check()
    rows: list[list[int]] = []
    for start in range(0, len(vectors), batch_size):
        block = vectors[start : start + batch_size]
        mask = torch.ones(block.shape[:2], dtype=torch.bool, device=block.device)
        positions = torch.arange(block.shape[1], device=block.device).expand(len(block), -1)
        keys = [_key(how.seed, str(start + row).encode()) for row in range(len(block))]
        rows += proceed(reader, block, mask, positions, how, keys)
        if progress:
            progress(len(rows), len(vectors))
    return rows


def from_cache(
    reader: Reader,
    keys_values: Float[Tensor, "b layers 2 heads n size"],
    last: Float[Tensor, "b d"],
    next_positions: Int[Tensor, " b"],
    opening: list[int],
    how: Sampling,
    batch_size: int,
) -> list[list[int]]:
    """New tokens behind cached keys and values, which stand for a text of `next_positions` tokens.

    `opening` is read first; without one, the first token is predicted from the state `last` that ends the cache.
    """
    how.check()
    rows: list[list[int]] = []
    for start in range(0, len(keys_values), batch_size):
        part = slice(start, start + batch_size)
        keys = [_key(how.seed, str(start + row).encode()) for row in range(len(keys_values[part]))]
        rows += _behind(reader, keys_values[part], last[part], next_positions[part], opening, how, keys)
    return rows


def cache_of(keys_values: Float[Tensor, "b layers 2 heads n size"]) -> Any:
    """The cache that a model goes on from, with these keys (0) and values (1) in every layer."""
    from transformers import DynamicCache

    cache = DynamicCache()
    for layer in range(keys_values.shape[1]):
        cache.update(keys_values[:, layer, 0], keys_values[:, layer, 1], layer)
    return cache


@torch.inference_mode()
def _behind(
    reader: Reader,
    keys_values: Tensor,
    last: Tensor,
    place: Tensor,
    opening: list[int],
    how: Sampling,
    keys: list[int],
) -> list[list[int]]:
    count, n, device = len(keys_values), keys_values.shape[4], last.device
    cache = cache_of(keys_values)
    if opening:
        read = torch.tensor(opening, device=device).expand(count, -1)
    else:
        noise = torch.from_numpy(uniforms(keys, 1)).to(device)[:, 0] if how.temperature else None
        read = choose(reader.logits(last), how.temperature, noise)[:, None]
    mask = torch.ones(count, n + read.shape[1], dtype=torch.bool, device=device)
    positions = place[:, None] + torch.arange(read.shape[1], device=device)
    new = proceed(reader, reader.embed(read), mask, positions, how, keys, cache)
    if opening:
        return new
    first = read[:, 0].tolist()
    return [
        [] if token in reader.eos_ids else [token, *row][: how.max_new_tokens]
        for token, row in zip(first, new, strict=True)
    ]


@torch.inference_mode()
def proceed(
    reader: Reader,
    embeds: Float[Tensor, "b t d"],
    mask: Bool[Tensor, "b s"],
    positions: Int[Tensor, "b t"],
    how: Sampling,
    keys: list[int],
    cache: Any = None,
) -> list[list[int]]:
    """Continue left-padded prompts until each row's EOS, `max_new_tokens` or the end of the model's window.

    Returns the new tokens of each row without the EOS. The prompt is run once, behind what `cache` holds (then `mask`
    covers both); afterwards one token a row and step.
    """
    count, device = len(embeds), embeds.device
    limits = (reader.max_length - 1 - positions[:, -1]).clamp(max=how.max_new_tokens)
    stop = torch.tensor(reader.eos_ids, device=device)
    noise = torch.from_numpy(uniforms(keys, how.max_new_tokens)).to(device) if how.temperature else None
    out = torch.full((count, how.max_new_tokens), OPEN, dtype=torch.long, device=device)
    rows, alive, position = torch.arange(count, device=device), limits > 0, positions[:, -1:]
    states = reader.hidden(embeds, mask=mask, positions=positions, cache=cache, use_cache=True)
    for step in range(how.max_new_tokens):
        token = choose(
            reader.logits(states.last[:, -1]), how.temperature, None if noise is None else noise[rows, step]
        )
        alive = alive & ~torch.isin(token, stop)
        out[rows, step] = torch.where(alive, token, OPEN)
        alive = alive & (step + 1 < limits[rows])
        left = int(alive.sum())
        if left == 0:
            break
        cache = states.cache
        if left < LEAVE_BELOW * len(rows):
            cache.batch_select_indices(alive.nonzero()[:, 0])
            rows, mask, position, token, alive = (
                part[alive] for part in (rows, mask, position, token, alive)
            )
        position = position + 1
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
        states = reader.hidden(
            reader.embed(token[:, None]), mask=mask, positions=position, cache=cache, use_cache=True
        )
    return [row[: row.index(OPEN)] if OPEN in row else row for row in out.tolist()]


def choose(
    logits: Float[Tensor, "b v"], temperature: float, uniform: Float[Tensor, " b"] | None
) -> Int[Tensor, " b"]:
    """The likeliest token, or the one where the cumulative probability at `temperature` first passes `uniform`."""
    if uniform is None:
        return logits.argmax(dim=-1)
    cumulative = torch.softmax(logits.float() / temperature, dim=-1).cumsum(dim=-1)
    target = uniform[:, None].to(cumulative) * cumulative[:, -1:]
    return torch.searchsorted(cumulative, target, right=True)[:, 0].clamp(max=logits.shape[-1] - 1)


def uniforms(keys: list[int], steps: int) -> np.ndarray:
    """Numbers in [0, 1) of shape [rows, steps] that depend on a row's key and the step only (splitmix64)."""
    golden, first, second = (
        np.uint64(k) for k in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
    )
    with np.errstate(over="ignore"):
        z = np.array(keys, dtype=np.uint64)[:, None] + golden * np.arange(1, steps + 1, dtype=np.uint64)
        z = (z ^ (z >> np.uint64(30))) * first
        z = (z ^ (z >> np.uint64(27))) * second
        z ^= z >> np.uint64(31)
    return ((z >> np.uint64(40)) / np.float64(2**24)).astype(np.float32)


def _key(seed: int, content: bytes) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed} ".encode() + content).digest()[:8], "big")
