"""Whether badges deserve their name: true pairs against shuffled ones, and vectors that no text encodes to."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from workbench.decoding.badge import Badge, Judge, Level
from workbench.decoding.figures import partners
from workbench.decoding.media import medium_of
from workbench.decoding.medium import Kept, Medium
from workbench.errors import WorkbenchError
from workbench.fieldguide.exam import read_exam
from workbench.files import measured, shipped

if TYPE_CHECKING:
    from workbench.decoding.reference import Reference
    from workbench.embedders.base import Embedder

ITEMS = 200
MAX_NEW_TOKENS = 64
TRUE, SHUFFLED = "true pairs", "shuffled pairs"


@dataclass(frozen=True)
class BadgeScores:
    """The badges of one sort of readings: medians of the figures, and the share of each level (0 to 1)."""

    readings: int
    cosine: float
    null: float
    gap: float
    score: float
    levels: dict[str, float]

    @property
    def flagged(self) -> float:
        """The share that is not "high"."""
        return 1 - self.levels["high"]


@dataclass(frozen=True)
class TrustReport:
    """Everything `workbench fieldguide trust` prints.

    `auroc` is the chance that a true pair's figure is above a shuffled pair's, for the badge's score and for the two
    figures that it is made of; `badges` what true pairs, shuffled pairs and vectors that encode no text are given.
    """

    auroc: dict[str, float]
    badges: dict[str, BadgeScores]

    def to_dict(self) -> dict[str, object]:
        """The report as JSON takes it; None where there was nothing to measure."""
        return measured(asdict(self))

    def table(self) -> str:
        """The report as Markdown tables."""
        lines = ["| true against shuffled pairs | AUROC |", "|---|--:|"]
        lines += [f"| {name} | {value:.3f} |" for name, value in self.auroc.items()]
        lines += [
            "",
            "| readings of | n | cosine (others) | gap | score | high | doubtful | off the manifold | not high |",
            "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
        ]
        for name, s in self.badges.items():
            figures = f"{s.cosine:.2f} ({s.null:.2f}) | {s.gap:+.2f} | {s.score:+.1f}"
            shares = " | ".join(f"{s.levels[level]:.3f}" for level in get_args(Level))
            lines.append(f"| {name} | {s.readings} | {figures} | {shares} | {s.flagged:.3f} |")
        return "\n".join(lines)


def evaluate(
    embedder: Embedder | Medium,
    reference: Reference,
    *,
    data: Path | None = None,
    items: int = ITEMS,
    seed: int = 0,
    batch_size: int = 64,
) -> TrustReport:
    """Measures the badges of `judged`, sort by sort; see there for what is drawn and raised."""
    badges = judged(embedder, reference, data=data, items=items, seed=seed, batch_size=batch_size)
    return TrustReport(
        auroc={
            name: auroc(column(badges[TRUE], name), column(badges[SHUFFLED], name))
            for name in ("score", "cosine less null", "likelihood gap")
        },
        badges={name: _scores(found) for name, found in badges.items()},
    )


def judged(
    embedder: Embedder | Medium,
    reference: Reference,
    *,
    data: Path | None = None,
    items: int = ITEMS,
    seed: int = 0,
    batch_size: int = 64,
) -> dict[str, list[Badge]]:
    """The badges of so many of the field guide's held-out queries, drawn by the seed from all kinds, in every sort.

    The sorts are true pairs, shuffled pairs and those of `unencoded`. A shuffled pair is a vector with the text that
    was decoded from the next query's, the next that says something else. `data` is the folder with eval.jsonl (default:
    the shipped one). Raises WorkbenchError for fewer than 2 queries or where all of them decode to the same.
    """
    queries = [item.query for item in read_exam((data or shipped("fieldguide")) / "eval.jsonl")]
    queries = random.Random(seed).sample(queries, min(items, len(queries)))
    medium = medium_of(embedder)
    judge = Judge(medium, reference)
    known = medium.represent(queries, batch_size=batch_size)

    def read(kept: Kept) -> list[str]:
        return medium.decode(kept, max_new_tokens=MAX_NEW_TOKENS, batch_size=batch_size)

    decoded = read(known)
    if len(set(decoded)) < 2:
        raise WorkbenchError("there are no shuffled pairs: all of the exam's queries decode to the same text")
    shuffled = [decoded[row] for row in partners(decoded)]
    pairs: dict[str, tuple[Kept, list[str]]] = {TRUE: (known, decoded), SHUFFLED: (known, shuffled)}
    for name, blocks in unencoded(medium.vectors(known), seed).items():
        made = medium.with_vectors(known, blocks)
        pairs[name] = (made, read(made))
    return {name: judge.badges(kept, texts, batch_size=batch_size) for name, (kept, texts) in pairs.items()}


def unencoded(blocks: Float[Tensor, "b n d"], seed: int) -> dict[str, Float[Tensor, "b n d"]]:
    """Blocks that no text encodes to, by name: known ones at other lengths, and Gaussian ones.

    The first Gaussian blocks have the known blocks' mean norm; the second the mean and the variance of each dimension
    of each token, so that nothing but how dimensions go together tells them from known ones.
    """
    draw = torch.Generator().manual_seed(seed)
    noise = torch.randn(2, *blocks.shape, generator=draw)
    length = blocks.norm(dim=-1).mean() / blocks.shape[-1] ** 0.5
    return {
        "norm x 0.25": blocks * 0.25,
        "norm x 4": blocks * 4,
        "random, same mean norm": noise[0] * length,
        "random, same mean and variance of each dimension": noise[1] * blocks.std(dim=0) + blocks.mean(dim=0),
    }


def auroc(true: Sequence[float], shuffled: Sequence[float]) -> float:
    """The chance that a number of `true` is above one of `shuffled`; ties count half."""
    from sklearn.metrics import roc_auc_score

    labels = np.repeat([1, 0], [len(true), len(shuffled)])
    return float(roc_auc_score(labels, np.concatenate([true, shuffled])))


def column(badges: list[Badge], name: str) -> list[float]:
    """One figure of every badge: a field, "cosine less null", or "likelihood gap"."""
    if name == "cosine less null":
        return [badge.cosine - badge.null for badge in badges]
    return [getattr(badge, "gap" if name == "likelihood gap" else name) for badge in badges]


def _scores(badges: list[Badge]) -> BadgeScores:
    median = {name: float(np.median(column(badges, name))) for name in ("cosine", "null", "gap", "score")}
    given = [badge.level for badge in badges]
    shares = {level: given.count(level) / len(given) for level in get_args(Level)}
    return BadgeScores(len(badges), **median, levels=shares)
