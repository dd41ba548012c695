"""What an embedder makes of texts: the vectors of one batch, and the `Encoding` of all of them."""

from dataclasses import dataclass
from typing import NamedTuple

from jaxtyping import Float, Int
from torch import Tensor


class Vectors(NamedTuple):
    """What one batch becomes."""

    embedding: Float[Tensor, "b d_e"]
    soft_prompts: Float[Tensor, "b n d"] | None = None
    hidden_states: Float[Tensor, "b n d"] | None = None
    keys_values: Float[Tensor, "b layers 2 heads n size"] | None = None
    next_positions: Int[Tensor, " b"] | None = None


@dataclass(frozen=True)
class SpecialCache:
    """All that a suffix may see of a text under the bottleneck mask: the special tokens, in every layer.

    Tensors are on the CPU. `decode` continues from it alone.
    """

    keys_values: Tensor
    """`[b, layers, 2, heads, n, size]`: keys (0) and values (1) of the special tokens."""
    last: Tensor
    """`[b, d]`: the last hidden state of the last special token, which predicts what comes next."""
    next_positions: Tensor
    """`[b]`: the position at which the suffix starts."""

    def __post_init__(self) -> None:
        rows = len(self.keys_values)
        if self.keys_values.ndim != 6 or self.last.ndim != 2 or self.next_positions.ndim != 1:
            raise ValueError(f"a cache of shape {tuple(self.keys_values.shape)} is none of special tokens")
        if not rows == len(self.last) == len(self.next_positions):
            raise ValueError(f"{rows} caches, {len(self.last)} states, {len(self.next_positions)} positions")

    def __len__(self) -> int:
        return len(self.keys_values)

    def __getitem__(self, rows: slice | list[int]) -> "SpecialCache":
        """The caches of some of the texts."""
        return SpecialCache(self.keys_values[rows], self.last[rows], self.next_positions[rows])


@dataclass(frozen=True)
class Encoding:
    """What an embedder returns for texts; tensors are float32, on the CPU, in the order of the texts."""

    embedding: Tensor
    """`[b, d_e]`"""
    soft_prompts: Tensor | None
    """`[b, n, d]`: what the backbone reads to decode; None for methods without them."""
    hidden_states: Tensor | None
    """`[b, n, d]`: the last hidden states at the compression tokens; None for methods without them."""
    token_ids: list[list[int]]
    """The tokens of every text with its template, without special tokens and padding."""
    truncated: int
    """How many texts lost their own tail."""
    special_cache: SpecialCache | None = None
    """What a GEM suffix may see of each text; None for methods without a bottleneck."""

    def __post_init__(self) -> None:
        rows = len(self.token_ids)
        if self.embedding.ndim != 2 or len(self.embedding) != rows:
            raise ValueError(f"{rows} texts but embeddings of shape {tuple(self.embedding.shape)}")
        for name in ("soft_prompts", "hidden_states"):
            tensor = getattr(self, name)
            if tensor is not None and (tensor.ndim != 3 or len(tensor) != rows):
                raise ValueError(f"{rows} texts but {name} of shape {tuple(tensor.shape)}")
        if not 0 <= self.truncated <= rows:
            raise ValueError(f"{self.truncated} truncated texts of {rows}")

    def __len__(self) -> int:
        return len(self.token_ids)
