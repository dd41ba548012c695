"""What an embedder is: texts in, one `Encoding` out; every method of this package fills in `encode_batch`."""

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor
from tqdm import tqdm

from workbench.backbone import Backbone, Tokenized
from workbench.backbone.generation import Progress
from workbench.config import Config
from workbench.errors import UsageError, WorkbenchError
from workbench.files import hash_bytes

PROMPTS = {
    "query": "Generate text that best answers this question:",
    "document": "Summarize the following passage:",
}
"""The published generative instructions (arXiv 2603.10913, section 4.2 and appendix C)."""


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


class Embedder(ABC):
    """An embedder on a backbone, with the call conventions of sentence-transformers."""

    method: str
    """The method's name in an artifact."""
    backbone: Backbone
    config: Config
    prompts: dict[str, str]
    """Instructions by name; "query" and "document" are what `encode_query` and `encode_document` use."""

    @property
    @abstractmethod
    def dimension(self) -> int:
        """The size of an embedding."""

    @abstractmethod
    def tokenize(self, texts: list[str], *, instruction: str | None = None) -> Tokenized:
        """The tokens of every text as this method reads them."""

    @abstractmethod
    def encode_batch(self, ids: list[list[int]]) -> Vectors:
        """The vectors of one batch of tokenized texts."""

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """Everything trained, by name: what an artifact keeps."""

    @classmethod
    @abstractmethod
    def restore(
        cls, backbone: Backbone, config: dict[str, Any], tensors: dict[str, Tensor], prompts: dict[str, str]
    ) -> "Embedder":
        """The embedder that `config`, `tensors` and `prompts` describe; raises WorkbenchError where they disagree."""

    def language_model(self) -> AbstractContextManager[Backbone]:
        """The backbone as the plain language model that decodes: as it is, unless a method fine-tunes it."""
        return nullcontext(self.backbone)

    def fingerprint(self) -> str:
        """A hash of all that decides this embedder's vectors: backbone, configuration, prompts, trained tensors."""
        settings = [self.method, self.config.to_dict(), self.prompts, self.backbone.fingerprint()]
        trained = [
            part
            for name, tensor in sorted(self.tensors().items())
            for part in (name, str(tuple(tensor.shape)), tensor.float().cpu().contiguous().numpy().tobytes())
        ]
        return hash_bytes(json.dumps(settings, sort_keys=True), *trained)

    @torch.no_grad()
    def represent(
        self,
        texts: str | Sequence[str],
        *,
        instruction: str | None = None,
        batch_size: int = 32,
        progress: Progress | None = None,
    ) -> Encoding:
        """Everything this embedder makes of the texts; `instruction` is put before each of them.

        Batches hold texts of similar length, and the order is restored: a text's vectors depend neither on its
        company nor on padding. `progress(done, total)` is called after each batch.
        Raises WorkbenchError where a vector is not finite, UsageError where a text is not a string.
        """
        texts = _as_list(texts)
        tokens = self.tokenize(texts, instruction=instruction)
        order = sorted(range(len(texts)), key=lambda row: len(tokens.ids[row]), reverse=True)
        parts = []
        for start in range(0, max(len(order), 1), batch_size):
            rows = order[start : start + batch_size]
            parts.append(self.encode_batch([tokens.ids[row] for row in rows]))
            if progress is not None:
                progress(min(start + batch_size, len(order)), len(order))
        embedding, soft_prompts, hidden_states, keys_values, next_positions = (
            _in_order(column, order) for column in zip(*parts, strict=True)
        )
        if embedding is None or not bool(torch.isfinite(embedding).all()):
            raise WorkbenchError(
                f"{self.method}: an embedding is not finite; check the backbone's dtype and weights"
            )
        cache = None
        if keys_values is not None and hidden_states is not None and next_positions is not None:
            cache = SpecialCache(keys_values, hidden_states[:, -1], next_positions.long())
        return Encoding(embedding, soft_prompts, hidden_states, tokens.ids, tokens.truncated, cache)

    def encode(
        self,
        texts: str | Sequence[str],
        *,
        batch_size: int = 32,
        prompt: str | None = None,
        prompt_name: str | None = None,
        normalize_embeddings: bool = False,
        convert_to_tensor: bool = False,
        show_progress_bar: bool = False,
    ) -> np.ndarray | Tensor:
        """Embeddings as sentence-transformers gives them: float32 `[b, d_e]`, or `[d_e]` for a single string.

        `prompt` is put before each text; `prompt_name` takes it from `prompts`. Raises UsageError for an unknown name.
        """
        if prompt is None and prompt_name is not None:
            if prompt_name not in self.prompts:
                raise UsageError(
                    f"no prompt named {prompt_name!r}; there are {', '.join(sorted(self.prompts))}"
                )
            prompt = self.prompts[prompt_name]
        with tqdm(disable=not show_progress_bar, unit=" texts") as bar:
            encoding = self.represent(
                texts, instruction=prompt, batch_size=batch_size, progress=_advance(bar)
            )
        vectors = encoding.embedding
        if normalize_embeddings:
            vectors = F.normalize(vectors, dim=-1)
        if isinstance(texts, str):
            vectors = vectors[0]
        return vectors if convert_to_tensor else vectors.numpy()

    def encode_query(self, texts: str | Sequence[str], **options: Any) -> np.ndarray | Tensor:
        """`encode` behind the "query" instruction, unless the options name another prompt."""
        return self.encode(texts, **_with_prompt("query", options))

    def encode_document(self, texts: str | Sequence[str], **options: Any) -> np.ndarray | Tensor:
        """`encode` behind the "document" instruction, unless the options name another prompt."""
        return self.encode(texts, **_with_prompt("document", options))

    def similarity(self, a: np.ndarray | Tensor, b: np.ndarray | Tensor) -> Float[Tensor, "n m"]:
        """Cosine similarity of every row of `a` `[n, d_e]` with every row of `b` `[m, d_e]`."""
        left, right = (F.normalize(torch.as_tensor(x).float(), dim=-1) for x in (a, b))
        return torch.atleast_2d(left) @ torch.atleast_2d(right).T


def _with_prompt(name: str, options: dict[str, Any]) -> dict[str, Any]:
    named = options.get("prompt") is not None or options.get("prompt_name") is not None
    return options if named else {**options, "prompt_name": name}


def _as_list(texts: str | Sequence[str]) -> list[str]:
    rows = [texts] if isinstance(texts, str) else list(texts)
    for row, text in enumerate(rows):
        if not isinstance(text, str):
            raise UsageError(f"text {row} is not a string but {type(text).__name__}")
    return rows


def _in_order(parts: tuple[Tensor | None, ...], order: list[int]) -> Tensor | None:
    """The batches' tensors as one, float32 on the CPU, rows put back where their texts stood."""
    if any(part is None for part in parts):
        return None
    stacked = torch.cat([part.float().cpu() for part in parts if part is not None])
    restored = torch.empty_like(stacked)
    restored[order] = stacked
    return restored


def _advance(bar: tqdm) -> Progress:
    def advance(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    return advance
