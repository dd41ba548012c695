"""What several tables and figures count: passages found first, and nearest queries that are alike, for any embedder.

The suite of `workbench evaluate` has retrieval in other metrics, and no nearest neighbours.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from workbench.evaluation.gem import same_answer
from workbench.evaluation.retrieval import score
from workbench.fieldguide.exam import limited, read_exam
from workbench.files import measured, shipped
from workbench.texts import read_texts

if TYPE_CHECKING:
    from workbench.embedders.base import Embedder

HEADINGS = {
    "two_hop": "two hops, R@1",
    "one_hop": "one hop, R@1",
    "answer": "same answer, 1-NN",
    "emotion": "same emotion, 1-NN",
    "harm": "harmful or look-alike, 1-NN",
}


@dataclass(frozen=True)
class TaskScores:
    """One embedder on the field guide's held-out queries, each figure a share from 0 to 1.

    `two_hop`, `one_hop`: recall at 1 of the answering passage among all passages. `answer`, `emotion`, `harm`: how
    often the nearest other query (by cosine; of one-hop queries, emotion texts, and harmful requests with their
    look-alikes) has the same answer, the same emotion, or is harmful as well. None where there was no query.
    """

    two_hop: float
    one_hop: float
    answer: float
    emotion: float
    harm: float

    def to_dict(self) -> dict[str, object]:
        """The figures as JSON takes them."""
        return measured(asdict(self))


def evaluate(embedder: Embedder, *, data: Path | None = None, limit: int | None = None) -> TaskScores:
    """Measures an embedder on the tasks; queries go through `encode_query`, passages through `encode_document`.

    `data` is the folder with eval.jsonl and passages.jsonl (default: the shipped one), `limit` caps each kind.
    """
    folder = data or shipped("fieldguide")
    items = limited(read_exam(folder / "eval.jsonl"), limit)
    passages = read_texts(str(folder / "passages.jsonl"), "text").texts
    place = {text: number for number, text in enumerate(passages)}
    kinds = ("two_hop", "one_hop", "emotion", "harmful", "lookalike")
    asked = [item for item in items if item.kind in kinds]
    queries = np.asarray(embedder.encode_query([item.query for item in asked]))
    documents = np.asarray(embedder.encode_document(passages))

    def rows(*wanted: str) -> list[int]:
        return [i for i, item in enumerate(asked) if item.kind in wanted]

    def found(kind: str) -> float:
        right = np.array([place[asked[i].passage] for i in rows(kind)])
        return score(queries[rows(kind)], documents, right).recall_at_1 if len(right) else float("nan")

    def alike(*wanted: str) -> float:
        labels = [asked[i].kind if "harmful" in wanted else asked[i].accept[0] for i in rows(*wanted)]
        return same_answer(queries[rows(*wanted)], labels)

    return TaskScores(
        found("two_hop"), found("one_hop"), alike("one_hop"), alike("emotion"), alike("harmful", "lookalike")
    )


def table(scores: dict[str, TaskScores]) -> str:
    """Embedders by name as a Markdown table, a row each; a dash where nothing was measured."""
    lines = [f"| embedder | {' | '.join(HEADINGS.values())} |", "|---|" + "--:|" * len(HEADINGS)]
    for name, found in scores.items():
        values = found.to_dict()
        cells = ["–" if values[key] is None else f"{values[key]:.3f}" for key in HEADINGS]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)
