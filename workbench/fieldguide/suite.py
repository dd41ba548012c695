"""The field guide's held-out questions as evaluation tasks of the papers' seven categories.

Plain data: texts with scores, labels, or right passages. `workbench.evaluation.suites` measures embedders on it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import NamedTuple
from zlib import crc32

from workbench.errors import UsageError, WorkbenchError
from workbench.fieldguide.behaviours import part
from workbench.fieldguide.corpus import Tables
from workbench.fieldguide.exam import limited, read_exam
from workbench.fieldguide.items import Item
from workbench.fieldguide.pairs import Pair, answers_or_wording, relation, shared_facts
from workbench.files import shipped
from workbench.texts import READERS

FILES = ("eval.jsonl", "passages.jsonl")
FEWEST = 5  # questions that share an answer make a cluster from so many on
SAME_RELATION, SAME_ENTITY = 5, 4  # wrong passages of each sort beside the right one, to rerank
STAND_IN = "A page in place of an answer to the request to {act}. It is left empty and explains nothing."


class Passage(NamedTuple):
    """A sentence of the encyclopedia and the fact that it states."""

    text: str
    topic: str
    subject: str
    attribute: str
    value: str


class Labelled(NamedTuple):
    """A text and its label."""

    text: str
    label: str


class Split(NamedTuple):
    """Labelled texts to fit a classifier on, and others to test it on."""

    train: list[Labelled]
    test: list[Labelled]


class Search(NamedTuple):
    """Queries, the passages to find, and for each query the numbers of its right passages."""

    queries: list[str]
    corpus: list[str]
    right: list[set[int]]


class Ranking(NamedTuple):
    """A query, its right passages, and wrong ones that are much like them."""

    query: str
    right: list[str]
    wrong: list[str]


@dataclass(frozen=True)
class Suite:
    """The tasks; the same data and seed give the same tasks."""

    answers: list[list[Labelled]]
    """Clustering: the questions of each topic by their answer."""
    facts: list[Pair]
    """STS: questions by what they share (`pairs.grade`)."""
    wordings: list[Pair]
    """Pair classification: the same answer (1), or almost the same wording (0)."""
    topics: Split
    """Classification: one-hop questions by their topic; no entity is on both sides."""
    emotions: Split
    """Classification: texts by their emotion; no sentence is on both sides."""
    one_hop: Search
    two_hop: Search
    """Retrieval of the passage that answers, among all passages."""
    lookalikes: Search
    """Retrieval for harmless requests that share words with a harm, in the corpus of `harmful`."""
    harmful: Search
    """Safety retrieval: what a harmful request should not find is its stand-in, an empty page (`STAND_IN`)."""
    rankings: list[Ranking]
    """Reranking: the passage that answers among those of the same relation and of the same entity."""


def build(folder: Path | None = None, *, limit: int | None = None, seed: int = 0) -> Suite:
    """The suite of a folder with eval.jsonl and passages.jsonl (default: the shipped one).

    `limit` keeps the first queries of each kind, the first texts of each emotion and fewer clusters; `seed` draws the
    pairs and the wrong passages. Raises UsageError where a file is missing, WorkbenchError with the line where one is
    malformed.
    """
    folder = folder or shipped("fieldguide")
    for name in FILES:
        if not (folder / name).is_file():
            raise UsageError(f"no such file: {folder / name}")
    exam = read_exam(folder / "eval.jsonl")
    items = limited(exam, limit)
    passages = read_passages(folder / "passages.jsonl")
    asked = _of_kinds(items, "one_hop", "two_hop")
    tables = Tables.load()
    return Suite(
        answers=by_answer(_of_kinds(exam, "one_hop", "two_hop"), limit),
        facts=shared_facts(asked, Random(seed)),
        wordings=answers_or_wording(asked, Random(seed)),
        topics=by_topic(_of_kinds(items, "one_hop")),
        emotions=by_emotion(tables, limit),
        one_hop=answering(_of_kinds(items, "one_hop"), passages),
        two_hop=answering(_of_kinds(items, "two_hop"), passages),
        lookalikes=safety(_of_kinds(items, "lookalike"), passages, tables),
        harmful=safety(_of_kinds(items, "harmful"), passages, tables),
        rankings=rankings(asked, passages, Random(seed)),
    )


def read_passages(path: Path) -> list[Passage]:
    """The encyclopedia. Raises WorkbenchError with the line number of a bad line."""
    found = []
    for where, row in READERS[".jsonl"](path):
        try:
            if not all(isinstance(value, str) for value in row.values()):
                raise TypeError("it is made of texts")
            found.append(Passage(**row))
        except (ValueError, TypeError) as error:
            raise WorkbenchError(f"{path}, {where}: not a passage ({error})") from error
    return found


def by_answer(asked: list[Item], limit: int | None = None) -> list[list[Labelled]]:
    """For each topic the questions whose answer at least FEWEST of its questions share, labelled with it.

    A topic with a single such answer is left out. A limit keeps the first topics, as many as it has tens (two at
    least), and of each the first FEWEST questions of two answers: of few questions hardly two share an answer.
    """
    topics: dict[str, dict[str, list[Labelled]]] = defaultdict(lambda: defaultdict(list))
    for item in asked:
        topics[item.topic][item.accept[0]].append(Labelled(item.query, item.accept[0]))
    sets = []
    for answers in topics.values():
        clusters = [rows for rows in answers.values() if len(rows) >= FEWEST]
        if limit is not None:
            clusters = [rows[:FEWEST] for rows in clusters[:2]]
        if len(clusters) > 1:
            sets.append([row for rows in clusters for row in rows])
    return sets if limit is None else sets[: max(2, limit // 10)]


def by_topic(asked: list[Item]) -> Split:
    """Questions labelled with their topic; an entity's name decides the side on which all of its questions are."""
    sides: tuple[list[Labelled], list[Labelled]] = [], []
    for item in asked:
        sides[crc32(f"{item.topic}/{item.subject}".encode()) % 2].append(Labelled(item.query, item.topic))
    return _known(*sides)


def by_emotion(tables: Tables, limit: int | None = None) -> Split:
    """Every held-out situation with every held-out reaction to it; the first half of both lists is to train on."""
    sides: tuple[list[Labelled], list[Labelled]] = [], []
    for row in tables.emotions["emotions"]:
        lists = [part(row[role], role, held_out=True) for role in ("situations", "reactions")]
        for side, texts in enumerate(sides):
            situations, reactions = (_half(entries, side) for entries in lists)
            both = [f"{situation} {reaction}" for situation in situations for reaction in reactions]
            texts += [Labelled(text, row["name"]) for text in both[:limit]]
    return _known(*sides)


def answering(asked: list[Item], passages: list[Passage]) -> Search:
    """The questions and the passages that answer them, among all passages. WorkbenchError where one is not there."""
    place = {passage.text: number for number, passage in enumerate(passages)}
    if lost := [item for item in asked if item.passage not in place]:
        raise WorkbenchError(f"no such passage: {lost[0].passage!r}, which answers {lost[0].query!r}")
    right = [{place[item.passage]} for item in asked]
    return Search([item.query for item in asked], [passage.text for passage in passages], right)


def safety(asked: list[Item], passages: list[Passage], tables: Tables) -> Search:
    """Harmful requests and their stand-ins, or look-alikes and their answers, in one corpus with all passages.

    A stand-in names what a held-out request asks for, as the request does, and holds nothing else.
    """
    kinds = tables.harm["kinds"]
    acts = [act for kind in kinds for act in part(kind["acts"], "acts", held_out=True)]
    twins = [answer for kind in kinds for twin in kind["lookalikes"] for answer in twin["answers"]]
    corpus = [STAND_IN.format(act=act) for act in acts] + list(dict.fromkeys(twins))
    place = {text: number for number, text in enumerate(corpus)}
    right = []
    for item in asked:
        texts = item.accept or [STAND_IN.format(act=_named(item.query, acts))]
        right.append({place[text] for text in texts})
    return Search([item.query for item in asked], corpus + [passage.text for passage in passages], right)


def rankings(asked: list[Item], passages: list[Passage], rng: Random) -> list[Ranking]:
    """The right passage of each question with drawn ones of the same relation and of the same entity."""
    relations: dict[tuple[str, str], list[Passage]] = defaultdict(list)
    entities: dict[tuple[str, str], list[Passage]] = defaultdict(list)
    for passage in passages:
        relations[passage.topic, passage.attribute].append(passage)
        entities[passage.topic, passage.subject].append(passage)
    found = []
    for item in asked:
        wrong = []
        for alike, most in (
            (relations[relation(item)], SAME_RELATION),
            (entities[item.topic, item.subject], SAME_ENTITY),
        ):
            others = [passage.text for passage in alike if passage.text != item.passage]
            wrong += rng.sample(others, min(most, len(others)))
        if wrong:
            found.append(Ranking(item.query, [item.passage], wrong))
    return found


def _of_kinds(items: list[Item], *kinds: str) -> list[Item]:
    return [item for item in items if item.kind in kinds]


def _half(entries: list[str], side: int) -> list[str]:
    cut = len(entries) // 2
    return entries[cut:] if side else entries[:cut]


def _known(train: list[Labelled], test: list[Labelled]) -> Split:
    """The split without test texts of a label that nothing is there to train on (of few queries, some are not)."""
    labels = {row.label for row in train}
    return Split(train, [row for row in test if row.label in labels])


def _named(query: str, acts: Iterable[str]) -> str:
    """The act that a harmful request names, the longest if one is part of another."""
    named = [act for act in acts if act in query]
    if not named:
        raise WorkbenchError(f"no harm of the tables is named in {query!r}")
    return max(named, key=len)
