"""Reading a vector by search: many readings of what lies near it, of which the one that leads back to it is kept.

A lifter writes what it was trained to write. For a vector beside that, its first reading is near but wrong ("Accra" for
"Abuja"), and embedding the reading shows it. So the vector is moved against that error, read again, and the reading is
kept whose own embedding comes closest: the idea of vec2text (arXiv 2310.06816), with no second model to train.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from workbench.errors import UsageError
from workbench.files import hash_bytes

if TYPE_CHECKING:
    from torch import Tensor

    from workbench.backbone import Backbone
    from workbench.embedders.base import Embedder
    from workbench.embedders.lifter import Lifter

Embed = Callable[[list[str]], np.ndarray]
LEADERS = 2
"""Readings of a vector that the next round's errors are taken from."""


@dataclass(frozen=True)
class Search:
    """How far and how long a search goes."""

    rounds: int = 2
    """Each starts from the best readings of the one before; 0 is the first reading alone."""
    candidates: int = 16
    """Readings of each vector in each round."""
    spread: float = 0.8
    """Length of the noise added to a vector of length 1, at most."""
    correction: float = 1.5
    """How much of a reading's error is added to the vector, at most."""
    likelihood: float = 0.2
    """Weight of a reading's mean log-likelihood a token behind the vector, beside its cosine."""
    seed: int = 0
    """Seeds the noise; a vector's own noise depends on nothing but this and the vector."""

    def __post_init__(self) -> None:
        if self.rounds < 0 or self.candidates < 1 or self.seed < 0:
            raise UsageError("a search needs rounds and a seed of at least 0, and at least 1 candidate")
        if not all(0 <= x < float("inf") for x in (self.spread, self.correction, self.likelihood)):
            raise UsageError("spread, correction and likelihood of a search must be 0 or more")


@dataclass(frozen=True)
class _Reading:
    text: str
    vector: Float[np.ndarray, " d_e"]
    """Its embedding, of length 1."""
    score: float


def best_readings(
    embedder: Embedder,
    lifter: Lifter,
    vectors: Tensor | np.ndarray,
    how: Search,
    *,
    embed: Embed | None = None,
    max_new_tokens: int = 64,
    batch_size: int = 64,
) -> list[str]:
    """The best reading found of each vector of `[b, d_e]`, or of `[d_e]` for one.

    A reading's score is the cosine of the vector with the reading's embedding, and `how.likelihood` times its mean
    log-likelihood a token behind the lifted vector. `embed` makes the readings' embeddings `[m, d_e]`: give the
    teacher's for vectors that the teacher made; without it the embedder reads them as documents. A vector's result
    depends neither on the other vectors nor on `batch_size`. Raises WorkbenchError as `Lifter.lift` does.
    """
    from workbench.decoding.decode import decode  # torch comes with it

    def documents(texts: list[str]) -> Float[np.ndarray, "m d_e"]:
        return np.asarray(embedder.encode_document(texts, batch_size=batch_size), dtype=np.float32)

    def said(lifted: Tensor) -> list[str]:
        return decode(embedder.backbone, lifted, max_new_tokens=max_new_tokens, batch_size=batch_size)

    prompts = lifter.lift(vectors)
    goals = _unit(np.atleast_2d(np.asarray(vectors, dtype=np.float32)))
    found = _Found(embedder.backbone, prompts, goals, embed or documents, how.likelihood, batch_size)
    found.add(list(range(len(goals))), said(prompts))
    draws = [np.random.default_rng([how.seed, int(hash_bytes(goal.tobytes())[:12], 16)]) for goal in goals]
    for number in range(how.rounds if len(goals) else 0):
        tried = [
            _near(goal, found.best(row), how, draws[row], first=not number) for row, goal in enumerate(goals)
        ]
        rows = [row for row in range(len(goals)) for _ in range(how.candidates)]
        found.add(rows, said(lifter.lift(np.concatenate(tried))))
    return [found.best(row)[0].text for row in range(len(goals))]


@dataclass(frozen=True)
class _Found:
    """Every reading of every vector so far, each text once."""

    backbone: Backbone
    prompts: Tensor
    goals: Float[np.ndarray, "b d_e"]
    """Of length 1."""
    embed: Embed
    weight: float
    batch_size: int
    readings: dict[int, dict[str, _Reading]] = field(default_factory=lambda: defaultdict(dict))

    def add(self, rows: list[int], texts: list[str]) -> None:
        """Score what each row has not read yet."""
        from workbench.decoding.likelihood import text_likelihood

        pairs = dict.fromkeys(zip(rows, texts, strict=True))
        fresh = [(row, text) for row, text in pairs if text not in self.readings[row]]
        if not fresh:
            return
        different = list(dict.fromkeys(text for _, text in fresh))
        embedded = _unit(np.asarray(self.embed(different), dtype=np.float32))
        vectors = dict(zip(different, embedded, strict=True))
        behind, read = self.prompts[[row for row, _ in fresh]], [text for _, text in fresh]
        likely = text_likelihood(self.backbone, behind, read, batch_size=self.batch_size)
        for (row, text), log in zip(fresh, likely.tolist(), strict=True):
            score = float(vectors[text] @ self.goals[row]) + self.weight * log
            self.readings[row][text] = _Reading(text, vectors[text], score)

    def best(self, row: int) -> list[_Reading]:
        """The readings of a row, the best first; of equals the one that was read first."""
        return sorted(self.readings[row].values(), key=lambda reading: -reading.score)


def _near(
    goal: Float[np.ndarray, " d_e"],
    leaders: list[_Reading],
    how: Search,
    draw: np.random.Generator,
    *,
    first: bool,
) -> Float[np.ndarray, "c d_e"]:
    """Vectors to read in a round: the goal, moved against the errors of the leading readings, and noise.

    Every other one of the first round is the goal with noise alone, because its one reading's error says little.
    """
    made = []
    for place in range(how.candidates):
        leader = leaders[place % min(LEADERS, len(leaders))]
        moved = goal
        if not first or place % 2:
            moved = _unit(goal + draw.uniform(0, how.correction) * (goal - leader.vector))
        noise = _unit(draw.normal(size=goal.shape).astype(np.float32))
        made.append(_unit(moved + np.float32(draw.uniform(0, how.spread)) * noise))
    return np.stack(made).astype(np.float32)


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors of length 1; one of length 0 stays."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
