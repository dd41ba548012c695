"""What an embedder is: texts in, one `Encoding` out; every method of this package fills in `encode_batch`."""

import json
import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from difflib import get_close_matches
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from workbench.backbone import Backbone, Tokenized
from workbench.backbone.batching import by_length
from workbench.backbone.generation import Progress
from workbench.backbone.portions import read_at_once
from workbench.config import Config
from workbench.embedders.encoding import Encoding, SpecialCache, Vectors
from workbench.embedders.output import check_output, in_form
from workbench.errors import UsageError, WorkbenchError
from workbench.files import hash_bytes

PART = 1024
"""Texts that `encode` represents at once: of the others it holds the embeddings alone, not what can be decoded."""


class Embedder(ABC):
    """An embedder on a backbone, with the call conventions of sentence-transformers."""

    method: str
    """The method's name in an artifact."""
    backbone: Backbone
    config: Config
    prompts: dict[str, str]
    """Instructions by name; "query" and "document" are what `encode_query` and `encode_document` use.

    `workbench.embedders.instructions` says how those of tasks are named.
    """

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
        batch_size: int | None = None,
        embedding_alone: bool = False,
        progress: Progress | None = None,
    ) -> Encoding:
        """Everything this embedder makes of the texts, or their embeddings alone; `instruction` is put before each.

        Batches hold texts of similar length, and the order is restored: a text's vectors depend neither on its
        company nor on padding. Without a `batch_size` the device decides (`portions.py`). `progress(done, total)` is
        called after each batch.
        Raises WorkbenchError where a vector is not finite, UsageError where a text is not a string.
        """
        texts = _as_list(texts)
        tokens = self.tokenize(texts, instruction=instruction)
        behind = sum(getattr(self.config, name, 0) for name in ("n_thought", "n_compression", "n_special"))
        lengths = [len(row) + behind for row in tokens.ids]
        at_once = read_at_once(self.backbone) if batch_size is None else None
        batches = by_length(lengths, batch_size, at_once) or [[]]
        order, parts, done = [row for rows in batches for row in rows], [], 0
        for rows in batches:
            found = self.encode_batch([tokens.ids[row] for row in rows])
            parts.append(Vectors(found.embedding) if embedding_alone else found)
            done += len(rows)
            if progress is not None:
                progress(done, len(order))
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
        batch_size: int | None = None,
        prompt: str | None = None,
        prompt_name: str | None = None,
        normalize_embeddings: bool = False,
        convert_to_tensor: bool = False,
        show_progress_bar: bool | None = False,
        truncate_dim: int | None = None,
        precision: str = "float32",
    ) -> np.ndarray | Tensor:
        """Embeddings as sentence-transformers gives them: float32 `[b, d_e]`, or `[d_e]` for a single string.

        `prompt` is put before each text; `prompt_name` takes it from `prompts`. `truncate_dim` keeps the first numbers
        of each embedding (before it is normalized), `precision` is one of `output.PRECISIONS`. Warns with their count
        where texts lost their tail. Raises UsageError for an unknown name or a form that cannot be given.
        """
        rows = _as_list(texts)
        check_output(len(rows), self.dimension, truncate_dim, precision)
        if prompt is None and prompt_name is not None:
            prompt = self.prompt_named(prompt_name)
        parts, truncated = [], 0
        with tqdm(total=len(rows), disable=not show_progress_bar, unit=" texts") as bar:
            for start in range(0, max(len(rows), 1), PART):
                encoding = self.represent(
                    rows[start : start + PART],
                    instruction=prompt,
                    batch_size=batch_size,
                    embedding_alone=True,
                    progress=_advance(bar, start),
                )
                parts.append(encoding.embedding)
                truncated += encoding.truncated
        if truncated:
            warnings.warn(truncation(truncated, len(rows)), stacklevel=2)
        vectors = in_form(
            torch.cat(parts), truncate_dim=truncate_dim, normalize=normalize_embeddings, precision=precision
        )
        if isinstance(texts, str):
            vectors = vectors[0]
        return vectors if convert_to_tensor else vectors.numpy()

    def prompt_named(self, name: str) -> str:
        """The instruction of that name; UsageError that shows which names there are where there is none such."""
        if name in self.prompts:
            return self.prompts[name]
        names = sorted(self.prompts)
        if len(names) > 9:  # all of them would fill a screen
            likely = get_close_matches(name, names, n=3, cutoff=0.0)
            names = ["document", "query", *likely, f"{len(names)} in all"]
        raise UsageError(f"no prompt named {name!r}; there are {', '.join(dict.fromkeys(names))}")

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


def truncation(count: int, of: int) -> str:
    """What a caller is warned of: `count` of the texts lost their own tail."""
    return f"{count} of {of} texts were too long and lost their own tail; max_length says how many tokens are read"


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


def _advance(bar: tqdm, start: int) -> Progress:
    def advance(done: int, total: int) -> None:
        bar.update(start + done - bar.n)

    return advance
