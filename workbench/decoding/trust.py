"""Readings: what embeddings decode to, always with the figures that say how far to trust them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from workbench.errors import UsageError

if TYPE_CHECKING:
    from workbench.decoding.medium import Kept
    from workbench.embedders.base import Embedder
    from workbench.embedders.encoding import SpecialCache


@dataclass(frozen=True)
class Readings:
    """Texts, what the backbone itself answers, and what their embeddings decode to."""

    texts: list[str]
    responses: list[str]
    """The answers of the language model itself, greedy."""
    decoded: list[str]
    """What the same model continues behind what the embedder keeps of a text alone, greedy; it never sees the text."""
    embeddings: Float[np.ndarray, "b d_e"]
    decoded_embeddings: Float[np.ndarray, "b d_e"]
    """The decoded texts, embedded as documents."""
    soft_prompts: Float[np.ndarray, "b n d"] | None
    """What was decoded; None where that was the special tokens' keys and values (GEM)."""
    special_tokens: int
    """How many vectors a text is decoded from, in each layer that is read."""
    truncated: int
    """How many texts lost their own tail."""
    special_cache: "SpecialCache | None" = None
    """What was decoded where that was the special tokens' keys and values (GEM)."""

    def __post_init__(self) -> None:
        lengths = {len(column) for column in (self.texts, self.responses, self.decoded, self.embeddings)}
        if len(lengths) != 1 or self.embeddings.shape != self.decoded_embeddings.shape:
            raise ValueError(
                f"a reading's columns differ: {lengths} rows, embeddings {self.embeddings.shape}"
            )

    @property
    def kept(self) -> "Kept | None":
        """What `Judge.badges` takes: what was decoded, as its medium keeps it; None where the reading holds neither."""
        import torch

        from workbench.decoding.medium import Cached

        if self.soft_prompts is not None:
            return torch.as_tensor(self.soft_prompts)
        if self.special_cache is None:
            return None
        return Cached(self.special_cache, torch.as_tensor(self.embeddings))

    @property
    def round_trip(self) -> Float[np.ndarray, " b"]:
        """Cosine between each embedding and the embedding of its decoded text, from -1 to 1."""
        return np.diagonal(cosines(self.embeddings, self.decoded_embeddings)).copy()


def read(
    embedder: "Embedder", texts: Sequence[str], *, max_new_tokens: int = 64, batch_size: int = 64
) -> Readings:
    """Embeds texts and reads the embeddings again, beside the language model's own answers (all greedy).

    LLM2Vec-Gen is read through its soft prompts, GEM through its special tokens' keys and values. The round trip
    embeds the decoded text behind the "document" instruction, because an embedding stands for the response and no
    longer for the question. Raises UsageError for a method that keeps neither.
    """
    from workbench.decoding.decode import decode  # torch comes with it

    texts = list(texts)
    encoding = embedder.represent(texts, batch_size=batch_size)
    kept = encoding.soft_prompts if encoding.soft_prompts is not None else encoding.special_cache
    if kept is None or encoding.hidden_states is None:
        raise UsageError(f"{embedder.method} keeps nothing that the language model could read again")
    decoded = decode(embedder, kept, max_new_tokens=max_new_tokens, batch_size=batch_size)
    with embedder.language_model() as backbone:
        responses = backbone.respond(texts, max_new_tokens=max_new_tokens, batch_size=batch_size)
    return Readings(
        texts=texts,
        responses=responses,
        decoded=decoded,
        embeddings=encoding.embedding.numpy(),
        decoded_embeddings=np.asarray(embedder.encode_document(decoded, batch_size=batch_size)),
        soft_prompts=None if encoding.soft_prompts is None else encoding.soft_prompts.numpy(),
        special_tokens=encoding.hidden_states.shape[1],
        truncated=encoding.truncated,
        special_cache=encoding.special_cache,
    )


def shuffled(readings: Readings) -> float:
    """The mean cosine between an embedding and the decoded texts of *other* rows: what no agreement looks like.

    Not a number for a single row.
    """
    table = cosines(readings.embeddings, readings.decoded_embeddings)
    others = ~np.eye(len(table), dtype=bool)
    return float(table[others].mean()) if len(table) > 1 else float("nan")


def against_others(
    embeddings: Float[np.ndarray, "b d_e"], others: Float[np.ndarray, "m d_e"]
) -> Float[np.ndarray, " b"]:
    """Each embedding's mean cosine with the decoded texts of other queries: what to compare its round trip with."""
    return cosines(embeddings, others).mean(1)


def cosines(a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "n m"]:
    """Cosine similarity of every row of `a` with every row of `b`; 0 where a vector has no length."""
    a, b = (np.asarray(x, dtype=np.float32) for x in (a, b))
    lengths = np.linalg.norm(a, axis=1)[:, None] * np.linalg.norm(b, axis=1)[None]
    return np.divide(a @ b.T, lengths, out=np.zeros_like(lengths), where=lengths > 0)
