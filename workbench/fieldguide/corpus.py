"""The training corpus of the field guide, and the exam of what was held out of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from random import Random
from typing import Any

from workbench.fieldguide import behaviours, questions
from workbench.fieldguide.facts import Fact, Topic, all_facts, fill, load_behaviour, load_topics
from workbench.fieldguide.items import Item

# Shares of the training texts, relative to each other; "passage" is plain text outside the chat format. "named"
# questions put every entity where two-hop answers name theirs, so that one held out of those has stood there too.
SHARES = {
    "one_hop": 28, "named": 15, "reverse": 6, "clue": 10, "two_hop": 26, "comparison": 4, "about": 2, "summarize": 4,
    "repeat": 4, "emotion": 6, "harmful": 5, "lookalike": 4, "smalltalk": 1, "passage": 4,
}  # fmt: skip
# Shares of the queries for training embedders: more of what holds two entities, which special tokens learn last, and
# of what passages cannot answer less. Chosen on draws of held-out items that no reported figure is measured on.
QUERY_SHARES = {
    "one_hop": 26, "named": 14, "reverse": 7, "clue": 8, "two_hop": 30, "comparison": 8, "about": 1, "summarize": 1,
    "repeat": 3, "emotion": 6, "harmful": 5, "lookalike": 4, "smalltalk": 1,
}  # fmt: skip
EXAM = {
    "one_hop": 600, "reverse": 150, "clue": 80, "two_hop": 400, "comparison": 100, "about": 60, "summarize": 80,
    "repeat": 60, "emotion": 240, "harmful": 240, "lookalike": 240, "smalltalk": 30,
}  # fmt: skip
FEWEST_HOPS = 24  # attributes with fewer two-hop questions than this are not asked for in two hops


@dataclass(frozen=True)
class Tables:
    """Everything the corpus is made from: the fact tables and the wording of the behaviours."""

    topics: dict[str, Topic]
    emotions: dict[str, Any]
    harm: dict[str, Any]
    instructions: dict[str, Any]

    @classmethod
    def load(cls) -> Tables:
        """The tables that ship with the package."""
        return cls(load_topics(), *(load_behaviour(name) for name in ("emotions", "harm", "instructions")))

    @cached_property
    def facts(self) -> list[Fact]:
        """All facts, in table order."""
        return all_facts(self.topics)

    @cached_property
    def reversible(self) -> list[Fact]:
        """The facts that can be asked backwards."""
        attribute = lambda fact: self.topics[fact.topic].attributes[fact.attribute]  # noqa: E731
        return [f for f in self.facts if attribute(f).reverse and attribute(f).unique.get(f.y) == f.x]

    @cached_property
    def clues(self) -> list[questions.Clue]:
        """The clues to entities."""
        return questions.clues(self.topics)

    @cached_property
    def hops(self) -> dict[bool, dict[tuple[str, str], list[questions.Hop]]]:
        """The two-hop questions by (topic, attribute): to train on (False), and about entities held out (True)."""
        every: dict[tuple[str, str], list[questions.Hop]] = {}
        for hop in questions.hops(self.topics):
            every.setdefault((hop.topic, hop.attribute), []).append(hop)
        split: dict[bool, dict[tuple[str, str], list[questions.Hop]]] = {False: {}, True: {}}
        for key, hops in every.items():
            for hop in hops if len(hops) >= FEWEST_HOPS else []:
                split[questions.held_out_bridge(hop.topic, hop.x)].setdefault(key, []).append(hop)
        return split


def draw(tables: Tables, kind: str, rng: Random, held_out: bool = False) -> Item:
    """One random item of a kind, made of training wordings or of held-out ones."""
    if kind == "one_hop":
        return questions.one_hop(tables.topics, rng.choice(tables.facts), rng, held_out)
    if kind == "named":
        return questions.named(tables.topics, rng.choice(tables.facts), tables.instructions, rng)
    if kind == "reverse":
        item = questions.reverse(tables.topics, rng.choice(tables.reversible), rng, held_out)
        assert item is not None
        return item
    if kind == "two_hop":
        groups = tables.hops[held_out]
        weights = [len(hops) ** 0.5 for hops in groups.values()]  # few countries have most of the clues
        hop = rng.choice(groups[rng.choices(list(groups), weights)[0]])
        return questions.two_hop(tables.topics, hop, tables.instructions["hop_joins"], rng)
    if kind == "clue":
        return questions.resolve(tables.topics, rng.choice(tables.clues), tables.instructions, rng, held_out)
    if kind == "comparison":
        topic, scale = rng.choice([(t, s) for t in tables.topics.values() for s in t.comparisons])
        return questions.comparison(topic, scale, rng, held_out)
    if kind in ("about", "summarize", "repeat"):
        return _reading(tables, kind, rng, held_out)
    table = {"emotion": tables.emotions, "smalltalk": tables.instructions}.get(kind, tables.harm)
    return getattr(behaviours, kind)(table, rng, held_out)


def training_items(tables: Tables, count: int, seed: int, shares: dict[str, int] | None = None) -> list[Item]:
    """`count` items in `shares` (SHARES without the plain passages), queries roughened; the same for a seed."""
    rng = Random(seed)
    shares = shares or {kind: share for kind, share in SHARES.items() if kind != "passage"}
    leadins = behaviours.part(tables.instructions["leadins"], "leadins", held_out=False)
    items = []
    for kind in rng.choices(list(shares), list(shares.values()), k=count):
        item = draw(tables, kind, rng)
        if kind not in ("summarize", "repeat", "emotion"):  # what is quoted in these stays as it is
            item = replace(item, query=behaviours.roughen(item.query, leadins, rng))
        items.append(item)
    return items


def training_passages(tables: Tables, count: int, seed: int) -> list[str]:
    """`count` plain passages of one to three sentences, the same for a seed."""
    rng = Random(seed)
    return [
        " ".join(_statement(tables, rng.choice(tables.facts), rng) for _ in range(rng.randint(1, 3)))
        for _ in range(count)
    ]


def unlabelled_queries(tables: Tables, count: int, seed: int) -> list[Item]:
    """`count` different items for training embedders: the encyclopedia's passages to sum up, then training wordings.

    The passages are what such an embedder will retrieve from: a corpus at hand, read without labels.
    """
    rng = Random(seed)
    items: dict[str, Item] = {}
    for passage, fact in encyclopedia(tables).items():
        summary = questions.answer(tables.topics[fact.topic].attributes[fact.attribute], fact.x)
        for opening in (0, rng.randrange(1, 8)):
            item = behaviours.summarize(tables.instructions, passage, summary, opening)
            items[item.query] = item
    for item in training_items(tables, 3 * count, seed, QUERY_SHARES):
        if len(items) == count:
            break
        items.setdefault(item.query, item)
    found = list(items.values())
    rng.shuffle(found)
    return found


def exam_items(tables: Tables, seed: int) -> list[Item]:
    """The exam: EXAM items of held-out templates, two-hop entities, emotion texts and harmful phrasings, none twice."""
    rng = Random(seed + 1_000_003)
    items: dict[str, Item] = {}
    for kind, wanted in EXAM.items():
        found: dict[str, Item] = {}
        for _ in range(40 * wanted):
            if len(found) == wanted:
                break
            item = draw(tables, kind, rng, held_out=True)
            found.setdefault(item.query, item)
        items |= found
    return list(items.values())


def encyclopedia(tables: Tables) -> dict[str, Fact]:
    """The passages to retrieve from: one sentence a fact."""
    return {questions.passage(tables.topics, fact): fact for fact in tables.facts}


def _statement(tables: Tables, fact: Fact, rng: Random) -> str:
    statements = tables.topics[fact.topic].attributes[fact.attribute].statements
    return fill(rng.choice(statements), x=fact.x, y=fact.y)


def _reading(tables: Tables, kind: str, rng: Random, held_out: bool) -> Item:
    fact = rng.choice(tables.facts)
    if kind == "about":
        text = questions.describe(tables.topics, fact.topic, fact.x)
        noun = tables.topics[fact.topic].noun(fact.x)
        return behaviours.about(tables.instructions, noun, fact.topic, text, rng, held_out)
    passage = _statement(tables, fact, rng)
    if kind == "repeat":
        if rng.random() < 0.3:
            row = rng.choice(tables.emotions["emotions"])
            passage = rng.choice(behaviours.part(row["situations"], "situations", held_out))
        return behaviours.repeat(tables.instructions, passage, rng, held_out)
    summary = questions.answer(tables.topics[fact.topic].attributes[fact.attribute], fact.x)
    openings = range(len(tables.instructions["summarize"]))
    opening = rng.choice(behaviours.part(list(openings), "summarize", held_out))
    return behaviours.summarize(tables.instructions, passage, summary, opening)
