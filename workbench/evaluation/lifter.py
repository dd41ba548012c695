"""What a lifter reads on the field guide: facts from pooled vectors alone, and from the teacher's of answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.decoding.decode import decode
from workbench.decoding.lift import Lifted, read_vectors
from workbench.decoding.search import Embed, Search, best_readings
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
    of shuffled pairs. `searched` and `searched_shuffled` are `pooled` and `shuffled` of searched readings.
    """

    queries: int
    own: float
    pooled: float
    known: float
    shuffled: float
    cosine: float
    cosine_shuffled: float
    searched: float | None = None
    searched_shuffled: float | None = None


@dataclass(frozen=True)
class TeacherScores:
    """The same for sentences that the *teacher* embedded: the embedder and its backbone never saw them.

    A search compares its readings as the teacher embeds them.
    """

    sentences: int
    right: float
    shuffled: float
    cosine: float
    cosine_shuffled: float
    searched: float | None = None
    searched_shuffled: float | None = None


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
        scores = [*self.pooled.values(), *self.teacher.values()]
        search = any(score.searched is not None for score in scores)
        lines = [
            "| right fact, held-out queries | n | own reading | pooled vector alone | of those the LM knows "
            f"| another's vector | cosine (shuffled) |{' by search | another by search |' if search else ''}",
            f"|---|--:|--:|--:|--:|--:|--:|{'--:|--:|' if search else ''}",
        ]
        for name, s in self.pooled.items():
            if not s.queries:
                continue
            shares = f"{s.own:.3f} | {s.pooled:.3f} | {s.known:.3f} | {s.shuffled:.3f}"
            lines.append(f"| {name} | {s.queries} | {shares} | {_cosines(s)} |{_searched(s)}")
        if self.teacher:
            lines += [
                "",
                "| right fact, the teacher's vectors of | n | right | another's vector | cosine (shuffled) "
                f"|{' by search | another by search |' if search else ''}",
                f"|---|--:|--:|--:|--:|{'--:|--:|' if search else ''}",
            ]
        for name, s in self.teacher.items():
            lines.append(
                f"| {name} | {s.sentences} | {s.right:.3f} | {s.shuffled:.3f} | {_cosines(s)} |{_searched(s)}"
            )
        return "\n".join(lines)


def evaluate(
    embedder: Embedder,
    lifter: Lifter,
    teacher: Teacher | None = None,
    *,
    data: Path | None = None,
    limit: int | None = None,
    search: Search | None = None,
) -> LifterReport:
    """Measures a lifter on the field guide's held-out questions about facts.

    The `teacher`, if its space is the embedder's, embeds every answer ("responses", in the field guide's own words) and
    every passage that holds it ("passages", in other words), each sentence once. `data` is the folder with eval.jsonl
    (default: the shipped one), `limit` caps the queries of each kind; with `search` every vector is read that way too.
    Raises UsageError where there is no such query, or the teacher's vectors are of another size.
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
        "responses": _taught(embedder, lifter, teacher, items, lambda item: item.response, search),
        "passages": _taught(embedder, lifter, teacher, items, lambda item: item.passage, search),
    }  # fmt: skip
    return LifterReport(_pooled(embedder, lifter, items, search), taught)


def _pooled(
    embedder: Embedder, lifter: Lifter, items: list[Item], search: Search | None
) -> dict[str, PooledScores]:
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
    better = _by_search(embedder, lifter, encoding.embedding, search)
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
            **_search_shares([items[i] for i in rows], better and [better[i] for i in rows]),
        )
    return scores


def _taught(
    embedder: Embedder,
    lifter: Lifter,
    teacher: Teacher,
    items: list[Item],
    sentence: Callable[[Item], str],
    search: Search | None,
) -> TeacherScores:
    """Sentences that the teacher embeds, each once, with the answers of the first item that it belongs to."""
    first = {text: item for item in reversed(items) if (text := sentence(item))}
    vectors, asked = teacher.embed(list(first)), list(first.values())
    lifted = read_vectors(embedder, lifter, vectors, max_new_tokens=MAX_NEW_TOKENS)
    better = _by_search(embedder, lifter, vectors, search, teacher.embed)
    return TeacherScores(
        sentences=len(first),
        right=_share([holds(text, item.accept) for item, text in zip(asked, lifted.decoded, strict=True)]),
        shuffled=_share(_of_another(asked, lifted.decoded)),
        cosine=_mean(lifted.round_trip),
        cosine_shuffled=lifted.shuffled,
        **_search_shares(asked, better),
    )


def _by_search(
    embedder: Embedder, lifter: Lifter, vectors: Any, search: Search | None, embed: Embed | None = None
) -> list[str] | None:
    """The best readings that a search finds; None without one."""
    if search is None:
        return None
    return best_readings(embedder, lifter, vectors, search, embed=embed, max_new_tokens=MAX_NEW_TOKENS)


def _search_shares(items: list[Item], decoded: list[str] | None) -> dict[str, float]:
    """Shares right of searched readings, for their own items and for the items before them."""
    if decoded is None:
        return {}
    right = [holds(text, item.accept) for item, text in zip(items, decoded, strict=True)]
    return {"searched": _share(right), "searched_shuffled": _share(_of_another(items, decoded))}


def _of_another(items: list[Item], decoded: list[str]) -> list[bool]:
    """Whether the text decoded for the next item holds the answer of an item; nothing for a single one."""
    if len(items) < 2:
        return []
    return [holds(text, item.accept) for item, text in zip(items, decoded[1:] + decoded[:1], strict=True)]


def _part(lifted: Lifted, rows: list[int]) -> Lifted:
    """The readings of these rows."""
    decoded = [lifted.decoded[i] for i in rows]
    return Lifted(lifted.vectors[rows], decoded, lifted.decoded_embeddings[rows], lifted.soft_prompts[rows])


def _cosines(scores: PooledScores | TeacherScores) -> str:
    return f"{scores.cosine:.2f} ({scores.cosine_shuffled:.2f})"


def _searched(scores: PooledScores | TeacherScores) -> str:
    """The table's last two cells; nothing where there was no search."""
    if scores.searched is None or scores.searched_shuffled is None:
        return ""
    return f" {scores.searched:.3f} | {scores.searched_shuffled:.3f} |"


def _share(marks: list[bool]) -> float:
    return sum(marks) / len(marks) if marks else float("nan")


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")
