"""The figures that a badge is made of: what speaks for a text being what soft prompts hold, pair by pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from workbench.decoding.likelihood import text_likelihood
from workbench.decoding.trust import against_others
from workbench.embedders.llm2vec_gen import LLM2VecGen


@dataclass(frozen=True)
class Foils:
    """Encodings of other texts, which every pair is compared with."""

    soft_prompts: Float[Tensor, "k n d"]
    embeddings: Float[np.ndarray, "k d_e"]
    """Their decoded texts, embedded as documents."""


@dataclass(frozen=True)
class Figures:
    """One number for each pair of a block of soft prompts and a text."""

    cosine: Float[np.ndarray, " b"]
    """Between the block's vector and the text, embedded as a document."""
    null: Float[np.ndarray, " b"]
    """The mean of the same with the decoded texts of the foils."""
    gap: Float[np.ndarray, " b"]
    """The text's mean log-likelihood a token behind its block, less the mean of that behind the foils' blocks."""

    def __post_init__(self) -> None:
        if not len(self.cosine) == len(self.null) == len(self.gap):
            raise ValueError(f"{len(self.cosine)} cosines, {len(self.null)} nulls, {len(self.gap)} gaps")

    def __getitem__(self, rows: slice) -> Figures:
        """The figures of some of the pairs."""
        return Figures(self.cosine[rows], self.null[rows], self.gap[rows])

    @property
    def margin(self) -> Float[np.ndarray, " b"]:
        """The cosine less its null."""
        return self.cosine - self.null


def figures(
    embedder: LLM2VecGen,
    foils: Foils,
    soft_prompts: Float[Tensor, "b n d"],
    texts: Sequence[str],
    *,
    batch_size: int = 64,
) -> Figures:
    """The figures of each block with the text beside it, whether it was decoded from it or from another one.

    A pair's figures depend neither on the other pairs nor on `batch_size`; a text that occurs twice is read once.
    """
    different = list(dict.fromkeys(texts))
    place = {text: row for row, text in enumerate(different)}
    rows = [place[text] for text in texts]
    vectors = vectors_of(embedder, soft_prompts)
    again = embed_documents(embedder, different, batch_size)[rows]
    own = text_likelihood(embedder.backbone, soft_prompts, texts, batch_size=batch_size)
    behind_foils = [
        text_likelihood(
            embedder.backbone, foil.expand(len(different), -1, -1), different, batch_size=batch_size
        )
        for foil in foils.soft_prompts
    ]
    return Figures(
        cosine=_row_cosines(vectors, again),
        null=against_others(vectors, foils.embeddings),
        gap=own - np.mean(behind_foils, axis=0)[rows],
    )


@torch.no_grad()
def vectors_of(embedder: LLM2VecGen, soft_prompts: Float[Tensor, "b n d"]) -> Float[np.ndarray, "b d_e"]:
    """The embeddings that blocks of soft prompts stand for: `W_a` of them, as in encoding."""
    module = embedder.module
    prompts = soft_prompts.to(module.alignment.weight.device, module.alignment.weight.dtype)
    return module.alignment(module.pool(prompts)).float().cpu().numpy()


def embed_documents(
    embedder: LLM2VecGen, texts: Sequence[str], batch_size: int = 64
) -> Float[np.ndarray, "b d_e"]:
    """Texts embedded behind the "document" instruction, as decoded texts are everywhere."""
    instruction = embedder.prompt_named("document")
    return embedder.represent(texts, instruction=instruction, batch_size=batch_size).embedding.numpy()


def partners(texts: Sequence[str]) -> list[int]:
    """For each row the next one, from the end back to the start, that holds another text; itself where all agree."""
    found = []
    for row, text in enumerate(texts):
        later = (at % len(texts) for at in range(row + 1, row + len(texts)))
        found.append(next((at for at in later if texts[at] != text), row))
    return found


def _row_cosines(a: Float[np.ndarray, "b d_e"], b: Float[np.ndarray, "b d_e"]) -> Float[np.ndarray, " b"]:
    """The cosine of each row of `a` with the same row of `b`; 0 where one has no length."""
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.divide((a * b).sum(axis=1), lengths, out=np.zeros_like(lengths), where=lengths > 0)
