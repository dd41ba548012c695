"""What a lifter reads on the field guide: facts from pooled vectors alone, and from the teacher's of answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from workbench.decoding.decode import decode
from workbench.decoding.lift import Lifted, read_vectors
from workbench.errors import UsageError
from workbench.fieldguide.exam import limited, mark, read_exam
from workbench.fieldguide.items import Item, holds
from workbench.files import measured, shipped

if TYPE_CHECKING:
    from workbench.embedders.base import Embedder
    from workbench.embedders.lifter import Lifter
    from workbench.training.teachers import Teacher

WORDINGS, HARDER = ("one_hop", "reverse"), ("two_hop",)
"""Held-out wordings of facts, and questions that go through a second fact."""
MAX_NEW_TOKENS = 64


@dataclass(frozen=True)
class PooledScores:
    """Shares of the held-out queries whose decoded text holds the right fact, from 0 to 1.

    `own` is read from what the embedder keeps (soft prompts, or GEM's special tokens), `pooled` from the pooled vector
    alone, `known` the same among the queries that the backbone itself answers right, `shuffled` from the vector of
    another query: what guessing reaches. `cosine` is the mean round trip of the pooled readings, `cosine_shuffled` that
    of shuffled pairs.
    """

    queries: int
    own: float
    pooled: float
    known: float
    shuffled: float
    cosine: float
    cosine_shuffled: float


@dataclass(frozen=True)
class TeacherScores:
    """The same for sentences that the *teacher* embedded: the embedder and its backbone never saw them."""

    sentences: int
    right: float
    shuffled: float
    cosine: float
    cosine_shuffled: float


@dataclass(frozen=True)
class LifterReport:
    """Everything `workbench fieldguide lifter` prints."""

    pooled: dict[str, PooledScores]
    teacher: dict[str, TeacherScores]

    def to_dict(self) -> dict[str, object]:
        """The report as JSON takes it; None where there was nothing to measure."""
        return measured(asdict(self))

    def table(self) -> str:
        """The report as Markdown tables."""
        lines = [
            "| right fact, held-out queries | n | own reading | pooled vector alone | of those the LM knows "
            "| another's vector | cosine (shuffled) |",
            "|---|--:|--:|--:|--:|--:|--:|",
        ]
        for name, s in self.pooled.items():
            if not s.queries:
                continue
            shares = f"{s.own:.3f} | {s.pooled:.3f} | {s.known:.3f} | {s.shuffled:.3f}"
            lines.append(f"| {name} | {s.queries} | {shares} | {s.cosine:.2f} ({s.cosine_shuffled:.2f}) |")
        if self.teacher:
            lines += [
                "",
                "| right fact, the teacher's vectors of | n | right | another's vector | cosine (shuffled) |",
            ]
            lines += ["|---|--:|--:|--:|--:|"]
        for name, s in self.teacher.items():
            shares = f"{s.right:.3f} | {s.shuffled:.3f}"
            lines.append(f"| {name} | {s.sentences} | {shares} | {s.cosine:.2f} ({s.cosine_shuffled:.2f}) |")
        return "\n".join(lines)


def evaluate(
    embedder: Embedder,
    lifter: Lifter,
    teacher: Teacher | None = None,
    *,
    data: Path | None = None,
    limit: int | None = None,
) -> LifterReport:
    """Measures a lifter on the field guide's held-out questions about facts.

    The `teacher`, if its space is the embedder's, embeds every answer ("responses", in the field guide's own words) and
    every passage that holds it ("passages", in other words), each sentence once. `data` is the folder with eval.jsonl
    (default: the shipped one), `limit` caps the queries of each kind. Raises UsageError where there is no such query,
    or the teacher's vectors are of another size.
    """
    if teacher is not None and teacher.dimension != embedder.dimension:
        raise UsageError(
            f"vectors of {teacher.id} have {teacher.dimension} dimensions, the embedder's {embedder.dimension}: "
            "its lifter cannot read them"
        )
    items = limited(read_exam((data or shipped("fieldguide")) / "eval.jsonl"), limit)
    items = [item for item in items if item.kind in (*WORDINGS, *HARDER)]
    if not items:
        raise UsageError(
            "the exam asks for no fact: a lifter is measured on one_hop, reverse and two_hop items"
        )
    taught = {} if teacher is None else {
        "responses": _taught(embedder, lifter, teacher, items, lambda item: item.response),
        "passages": _taught(embedder, lifter, teacher, items, lambda item: item.passage),
    }  # fmt: skip
    return LifterReport(_pooled(embedder, lifter, items), taught)


def _pooled(embedder: Embedder, lifter: Lifter, items: list[Item]) -> dict[str, PooledScores]:
    """Both readings of the same queries, by kind."""
    queries = [item.query for item in items]
    encoding = embedder.represent(queries)
    kept = encoding.special_cache if encoding.soft_prompts is None else encoding.soft_prompts
    answered = mark(items, embedder.backbone.respond(queries, max_new_tokens=MAX_NEW_TOKENS)).right
    own = [False] * len(items)
    if kept is not None:
        own = mark(items, decode(embedder, kept, max_new_tokens=MAX_NEW_TOKENS)).right
    lifted = read_vectors(embedder, lifter, encoding.embedding, max_new_tokens=MAX_NEW_TOKENS)
    right = mark(items, lifted.decoded).right
    scores = {}
    for name, kinds in {
        "held-out wordings": WORDINGS,
        **{kind: (kind,) for kind in (*WORDINGS, *HARDER)},
    }.items():
        rows = [i for i, item in enumerate(items) if item.kind in kinds]
        part = _part(lifted, rows)
        scores[name] = PooledScores(
            queries=len(rows),
            own=_share([own[i] for i in rows]) if kept is not None else float("nan"),
            pooled=_share([right[i] for i in rows]),
            known=_share([right[i] for i in rows if answered[i]]),
            shuffled=_share(_of_another([items[i] for i in rows], part.decoded)),
            cosine=_mean(part.round_trip),
            cosine_shuffled=part.shuffled,
        )
    return scores


def _taught(
    embedder: Embedder, lifter: Lifter, teacher: Teacher, items: list[Item], sentence: Callable[[Item], str]
) -> TeacherScores:
    """Sentences that the teacher embeds, each once, with the answers of the first item that it belongs to."""
    first = {text: item for item in reversed(items) if (text := sentence(item))}
    lifted = read_vectors(embedder, lifter, teacher.embed(list(first)), max_new_tokens=MAX_NEW_TOKENS)
    asked = list(first.values())
    return TeacherScores(
        sentences=len(first),
        right=_share([holds(text, item.accept) for item, text in zip(asked, lifted.decoded, strict=True)]),
        shuffled=_share(_of_another(asked, lifted.decoded)),
        cosine=_mean(lifted.round_trip),
        cosine_shuffled=lifted.shuffled,
    )


def _of_another(items: list[Item], decoded: list[str]) -> list[bool]:
    """Whether the text decoded for the next item holds the answer of an item; nothing for a single one."""
    if len(items) < 2:
        return []
    return [holds(text, item.accept) for item, text in zip(items, decoded[1:] + decoded[:1], strict=True)]


def _part(lifted: Lifted, rows: list[int]) -> Lifted:
    """The readings of these rows."""
    decoded = [lifted.decoded[i] for i in rows]
    return Lifted(lifted.vectors[rows], decoded, lifted.decoded_embeddings[rows], lifted.soft_prompts[rows])


def _share(marks: list[bool]) -> float:
    return sum(marks) / len(marks) if marks else float("nan")


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")
