"""The figures that a badge is made of: what speaks for a text being what a vector holds, pair by pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from workbench.decoding.media import medium_of
from workbench.decoding.medium import Kept, Medium
from workbench.decoding.trust import against_others
from workbench.embedders.base import Embedder


@dataclass(frozen=True)
class Foils:
    """Encodings of other texts, which every pair is compared with."""

    kept: Kept
    embeddings: Float[np.ndarray, "k d_e"]
    """Their decoded texts, embedded as documents."""


@dataclass(frozen=True)
class Figures:
    """One number for each pair of what a medium keeps and a text."""

    cosine: Float[np.ndarray, " b"]
    """Between the vector and the text, embedded as a document."""
    null: Float[np.ndarray, " b"]
    """The mean of the same with the decoded texts of the foils."""
    gap: Float[np.ndarray, " b"]
    """The text's mean log-likelihood a token behind its own row, less the mean of that behind the foils'."""

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
    embedder: Embedder | Medium,
    foils: Foils,
    kept: Kept,
    texts: Sequence[str],
    *,
    batch_size: int = 64,
) -> Figures:
    """The figures of each row with the text beside it, whether it was decoded from it or from another one.

    A pair's figures depend neither on the other pairs nor on `batch_size`; a text that occurs twice is read once.
    """
    medium = medium_of(embedder)
    different = list(dict.fromkeys(texts))
    place = {text: row for row, text in enumerate(different)}
    rows = [place[text] for text in texts]
    vectors = medium.embedding(kept)
    again = embed_documents(medium.embedder, different, batch_size)[rows]
    own = medium.likelihood(kept, texts, batch_size=batch_size)
    behind_foils = [
        medium.likelihood(foils.kept[[foil] * len(different)], different, batch_size=batch_size)
        for foil in range(len(foils.kept))
    ]
    return Figures(
        cosine=_row_cosines(vectors, again),
        null=against_others(vectors, foils.embeddings),
        gap=own - np.mean(behind_foils, axis=0)[rows],
    )


def embed_documents(
    embedder: Embedder, texts: Sequence[str], batch_size: int = 64
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
