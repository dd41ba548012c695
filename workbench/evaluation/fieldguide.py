"""The field guide's own protocol: decoded facts, refusals, and the retrieval of answering passages."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from workbench.decoding.decode import decode
from workbench.evaluation.retrieval import RetrievalScores, score
from workbench.fieldguide.exam import Marks, limited, mark, read_exam
from workbench.fieldguide.items import Item, refuses
from workbench.files import measured, shipped
from workbench.texts import read_texts

if TYPE_CHECKING:
    from workbench.embedders.base import Embedder
    from workbench.training.teachers import Teacher

FACTS = ("one_hop", "reverse", "two_hop")
MAX_NEW_TOKENS = 64


@dataclass(frozen=True)
class DecodingScores:
    """What the decoded texts of one kind of query hold, beside the backbone's own responses (shares in 0..1).

    `kept` is the share still right among the queries that the backbone itself answers right; `exact` the share of
    decoded texts equal to the backbone's own response; `backbone` the share that the backbone answers right.
    """

    queries: int
    backbone: float
    kept: float
    exact: float


@dataclass(frozen=True)
class FieldGuideReport:
    """Everything `workbench fieldguide evaluate` prints."""

    decoding: dict[str, DecodingScores]
    refusals: dict[str, float]
    retrieval: dict[str, dict[str, RetrievalScores]]
    teacher_cosine: float

    def to_dict(self) -> dict[str, object]:
        """The report as JSON takes it; None where there was nothing to measure."""
        return measured(asdict(self))

    def table(self) -> str:
        """The report as Markdown tables."""
        lines = [
            "| held-out queries | n | LM right | decoded right, of those | decoded = LM's response |",
            "|---|--:|--:|--:|--:|",
        ]
        for kind, s in self.decoding.items():
            lines.append(f"| {kind} | {s.queries} | {s.backbone:.3f} | {s.kept:.3f} | {s.exact:.3f} |")
        lines += ["", "| decodes to a refusal | share |", "|---|--:|"]
        lines += [f"| {kind} | {share:.3f} |" for kind, share in self.refusals.items()]
        lines += [
            "",
            "| retrieval of the answering passage | method | R@1 | R@10 | MRR | queries | passages |",
            "|---|---|--:|--:|--:|--:|--:|",
        ]
        for kind, methods in self.retrieval.items():
            for method, s in methods.items():
                figures = (
                    f"{s.recall_at_1:.3f} | {s.recall_at_10:.3f} | {s.mrr:.3f} | {s.queries} | {s.passages}"
                )
                lines.append(f"| {kind} | {method} | {figures} |")
        lines += ["", f"Cosine to the teacher's vector of the LM's response: {self.teacher_cosine:.3f}"]
        return "\n".join(lines)


def evaluate(
    embedder: Embedder, teacher: Teacher | None = None, *, data: Path | None = None, limit: int | None = None
) -> FieldGuideReport:
    """Measures an embedder on the field guide's held-out data.

    `teacher` (default: all-MiniLM-L6-v2) is the baseline on the query and the yardstick of the cosine; `data` the
    folder with eval.jsonl and passages.jsonl (default: the shipped one); `limit` caps the queries of each kind.
    """
    from workbench.training.teachers import MeanPoolTeacher, load_teacher

    teacher = teacher or load_teacher()
    folder = data or shipped("fieldguide")
    items = limited(read_exam(folder / "eval.jsonl"), limit)
    queries = [item.query for item in items]
    responses = embedder.backbone.respond(queries, max_new_tokens=MAX_NEW_TOKENS)
    encoding = embedder.represent(queries)
    if encoding.soft_prompts is None:
        raise ValueError(f"{embedder.method} has no soft prompts to decode")
    decoded = decode(embedder, encoding.soft_prompts, max_new_tokens=MAX_NEW_TOKENS)
    vectors = encoding.embedding.numpy()
    passages = read_texts(str(folder / "passages.jsonl"), "text").texts
    mean_pool = MeanPoolTeacher(embedder.backbone)
    spaces = {
        embedder.method: (vectors, embedder.encode_document(passages)),
        f"teacher on the query ({teacher.id})": (teacher.embed(queries), teacher.embed(passages)),
        "mean pool of the LM": (mean_pool.embed(queries), mean_pool.embed(passages)),
    }
    return FieldGuideReport(
        decoding=_decoding(items, mark(items, responses), mark(items, decoded)),
        refusals={kind: _refused(items, decoded, kind) for kind in ("harmful", "lookalike")},
        retrieval={
            kind: {name: _retrieve(items, kind, space, passages) for name, space in spaces.items()}
            for kind in ("two_hop", "one_hop")
        },
        teacher_cosine=float(_cosine(vectors, teacher.embed(responses)).mean()),
    )


def _refused(items: list[Item], texts: list[str], kind: str) -> float:
    return _share([refuses(text) for item, text in zip(items, texts, strict=True) if item.kind == kind])


def _decoding(items: list[Item], own: Marks, decoded: Marks) -> dict[str, DecodingScores]:
    kinds = {kind: {kind} for kind in dict.fromkeys(item.kind for item in items)}
    scores = {}
    for name, members in {"all facts": set(FACTS), **kinds, "everything": set(kinds)}.items():
        rows = [i for i, item in enumerate(items) if item.kind in members]
        known = [i for i in rows if own.right[i]]
        scores[name] = DecodingScores(
            len(rows),
            _share([own.right[i] for i in rows]),
            _share([decoded.right[i] for i in known]),
            _share([own.responses[i] == decoded.responses[i] for i in rows]),
        )
    return scores


def _retrieve(
    items: list[Item], kind: str, space: tuple[np.ndarray, np.ndarray], passages: list[str]
) -> RetrievalScores:
    """Scores of the queries of one kind in a space: (queries, passages) as one method embeds them."""
    queries, documents = space
    rows = [i for i, item in enumerate(items) if item.kind == kind]
    place = {text: number for number, text in enumerate(passages)}
    return score(queries[rows], documents, np.array([place[items[i].passage] for i in rows]))


def _share(marks: list[bool]) -> float:
    return sum(marks) / len(marks) if marks else float("nan")


def _cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(axis=1) / np.maximum(np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1), 1e-12)
