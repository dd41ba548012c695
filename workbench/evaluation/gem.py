"""What a GEM embedder shows on the field guide: answers through the bottleneck, neighbours, and the language kept."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from workbench.decoding.decode import decode
from workbench.evaluation.perplexity import perplexity
from workbench.fieldguide.exam import limited, mark, read_exam
from workbench.fieldguide.items import Item
from workbench.files import measured, shipped

if TYPE_CHECKING:
    from workbench.backbone import Backbone
    from workbench.embedders.gem import GEM
    from workbench.training.teachers import Teacher

FACTS = ("one_hop", "reverse", "two_hop")
MAX_NEW_TOKENS = 64


@dataclass(frozen=True)
class LanguageScores:
    """What a model says without special tokens: perplexity on held-out dialogues, share of facts answered right."""

    perplexity: float
    accuracy: float


@dataclass(frozen=True)
class GEMReport:
    """Everything that is measured of a GEM embedder on the field guide.

    `kept`: of the queries of a kind that the backbone itself answers right, the share still answered right when the
    fine-tuned model sees the special tokens alone. `neighbours`: the share of one-hop queries whose nearest other
    one-hop query has the same answer. `language`: scores without special tokens, by model.
    """

    kept: dict[str, float]
    queries: dict[str, int]
    neighbours: dict[str, float]
    language: dict[str, LanguageScores]

    def to_dict(self) -> dict[str, object]:
        """The report as JSON takes it; None where there was nothing to measure."""
        return measured(asdict(self))

    def table(self) -> str:
        """The report as Markdown tables."""
        lines = [
            "| held-out queries | n | right through the bottleneck, of those the LM knows |",
            "|---|--:|--:|",
        ]
        lines += [f"| {kind} | {self.queries[kind]} | {share:.3f} |" for kind, share in self.kept.items()]
        lines += ["", "| nearest neighbour has the same answer | share |", "|---|--:|"]
        lines += [f"| {name} | {share:.3f} |" for name, share in self.neighbours.items()]
        lines += ["", "| without special tokens | perplexity | facts right |", "|---|--:|--:|"]
        lines += [f"| {name} | {s.perplexity:.3f} | {s.accuracy:.3f} |" for name, s in self.language.items()]
        return "\n".join(lines)


def evaluate(
    embedder: GEM,
    teacher: Teacher | None = None,
    *,
    control: GEM | None = None,
    data: Path | None = None,
    limit: int | None = None,
) -> GEMReport:
    """Measures a GEM embedder on the held-out items of the field guide (issue 3's figures).

    `control` is an embedder trained as many steps on the same texts without special tokens (p = 1), so that more
    training is not mistaken for a gain; `teacher`, if given, is the baseline of the neighbours; `limit` caps each kind,
    except for the neighbours: of few queries hardly two share an answer.
    """
    exam = read_exam((data or shipped("fieldguide")) / "eval.jsonl")
    items = limited(exam, limit)
    queries = [item.query for item in items]
    encoding = embedder.represent(queries)
    assert encoding.special_cache is not None
    own = mark(items, embedder.backbone.respond(queries, max_new_tokens=MAX_NEW_TOKENS))
    through = mark(items, decode(embedder, encoding.special_cache, max_new_tokens=MAX_NEW_TOKENS))
    kept, counts = {}, {}
    for name, kinds in {"all facts": FACTS, **{kind: (kind,) for kind in own.share}}.items():
        known = [i for i, item in enumerate(items) if item.kind in kinds and own.right[i]]
        kept[name] = sum(through.right[i] for i in known) / len(known) if known else float("nan")
        counts[name] = len(known)
    asked = [item for item in exam if item.kind == "one_hop"]
    texts, answers = [item.query for item in asked], [item.accept[0] for item in asked]
    neighbours = {"gem": same_answer(embedder.represent(texts).embedding.numpy(), answers)}
    if teacher is not None:
        neighbours[teacher.id] = same_answer(teacher.embed(texts), answers)
    language = {"the LM before": speak(embedder.backbone, items)}
    for name, model in {"GEM's LM": embedder, "control": control}.items():
        if model is not None:
            with model.language_model() as backbone:
                language[name] = speak(backbone, items)
    return GEMReport(kept, counts, neighbours, language)


def speak(backbone: Backbone, items: list[Item]) -> LanguageScores:
    """Perplexity of held-out dialogues, and the share of fact queries answered right, without special tokens."""
    facts = [item for item in items if item.kind in FACTS]
    right = mark(facts, backbone.respond([item.query for item in facts], max_new_tokens=MAX_NEW_TOKENS)).right
    return LanguageScores(perplexity(backbone, dialogues(backbone, items)), sum(right) / max(1, len(right)))


def dialogues(backbone: Backbone, items: list[Item]) -> list[list[int]]:
    """The token ids of each query with its template's response and the closing EOS, as `backbone` reads them."""
    queries = backbone.tokenize([item.query for item in items], template="chat").ids
    answers = backbone.tokenizer([item.response for item in items], add_special_tokens=False)["input_ids"]
    return [[*q, *a, backbone.eos_ids[0]] for q, a in zip(queries, answers, strict=True)]


def same_answer(vectors: np.ndarray, answers: list[str]) -> float:
    """The share of vectors `[q, d]` whose nearest other vector by cosine has the same answer.

    Only answers that at least two queries share count: the others have no right neighbour.
    """
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    similarity = unit @ unit.T
    np.fill_diagonal(similarity, -np.inf)
    nearest = similarity.argmax(axis=1)
    shared = [i for i, answer in enumerate(answers) if answers.count(answer) > 1]
    return sum(answers[nearest[i]] == answers[i] for i in shared) / len(shared) if shared else float("nan")
