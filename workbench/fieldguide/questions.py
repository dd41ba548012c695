"""Questions about facts: one hop, reverse, two hops, comparisons, and "tell me about X"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import NamedTuple
from zlib import crc32

from workbench.fieldguide.facts import HELD_OUT, Attribute, Comparison, Fact, Topic, fill, phrase
from workbench.fieldguide.items import Item

HOP_SHARE = 0.12  # the share of entities that never stand in the middle of a training two-hop question


class Hop(NamedTuple):
    """A two-hop question: `clue` names the entity `x` of `topic`, whose `attribute` is asked for."""

    topic: str
    x: str
    attribute: str
    clue: str


class Clue(NamedTuple):
    """A noun phrase that names entity `x` of `topic` without its name: by its attribute `by`, or ("") by a link."""

    topic: str
    x: str
    text: str
    by: str = ""


def held_out_bridge(topic: str, x: str) -> bool:
    """Whether entity `x` is kept out of the middle of every training two-hop question."""
    return crc32(f"{topic}/{x}".encode()) % 1000 < HOP_SHARE * 1000


def templates(entries: list[str], role: str, held_out: bool) -> list[str]:
    """The training or the held-out part of a list of templates."""
    cut = len(entries) - HELD_OUT[role]
    return entries[cut:] if held_out else entries[:cut]


def passage(topics: dict[str, Topic], fact: Fact) -> str:
    """The sentence of the encyclopedia that states a fact (its first statement template)."""
    return fill(topics[fact.topic].attributes[fact.attribute].statements[0], x=fact.x, y=fact.y)


def one_hop(topics: dict[str, Topic], fact: Fact, rng: Random, held_out: bool = False) -> Item:
    """A question for the value of a fact, answered in the fact's own wording however it is asked."""
    attribute = topics[fact.topic].attributes[fact.attribute]
    question = rng.choice(templates(attribute.questions, "questions", held_out))
    response = answer(attribute, fact.x)
    query = fill(question, x=fact.x)
    return Item(
        "one_hop", query, response, (fact.y,), fact.topic, fact.x, fact.attribute, passage(topics, fact)
    )


def named(topics: dict[str, Topic], fact: Fact, wording: dict[str, list[str]], rng: Random) -> Item:
    """A question of two sentences, or in a two-hop wording, that names its entity all the same.

    The response names it too, as two-hop responses do: so every entity has stood where only described ones would.
    """
    item, topic = one_hop(topics, fact, rng), topics[fact.topic]
    noun = topic.noun(fact.x)
    response = _after_naming(topic, fact.x, wording["hop_joins"], item.response)
    hop_questions = topic.attributes[fact.attribute].hop_questions
    if hop_questions and rng.random() < 0.6:
        query = fill(rng.choice(templates(hop_questions, "hop_questions", False)), clue=noun)
    else:
        query = f"{fill(rng.choice(wording['named']), x=noun)} {item.query}"
    return replace(item, query=query, response=response)


def reverse(topics: dict[str, Topic], fact: Fact, rng: Random, held_out: bool = False) -> Item | None:
    """A question for the entity behind a value that only this entity has; None where there is no such question."""
    attribute = topics[fact.topic].attributes[fact.attribute]
    if not attribute.reverse or attribute.unique.get(fact.y) != fact.x:
        return None
    question = rng.choice(templates(attribute.reverse, "reverse", held_out))
    response = fill(_fixed(attribute.reverse_answers, attribute.key, fact.x), x=fact.x, y=fact.y)
    query = fill(question, y=fact.y)
    return Item(
        "reverse", query, response, (fact.x,), fact.topic, fact.x, fact.attribute, passage(topics, fact)
    )


def clues(topics: dict[str, Topic]) -> list[Clue]:
    """Every noun phrase of the tables that names an entity without its name."""
    found = []
    for topic in topics.values():
        for attribute in topic.attributes.values():
            for y, x in attribute.unique.items():
                found += [Clue(topic.name, x, phrase(clue, y=y), attribute.key) for clue in attribute.clue]
            if attribute.links:
                for x, y in attribute.values.items():
                    found += [Clue(attribute.links, y, phrase(clue, x=x)) for clue in attribute.link_clue]
    return found


def hops(topics: dict[str, Topic]) -> list[Hop]:
    """Every two-hop question that the tables allow: a clue, and another attribute of the entity that it names."""
    return [
        Hop(clue.topic, clue.x, attribute.key, clue.text)
        for clue in clues(topics)
        for attribute in topics[clue.topic].attributes.values()
        if attribute.key != clue.by and attribute.hop_questions and clue.x in attribute.values
    ]


def resolve(
    topics: dict[str, Topic], clue: Clue, wording: dict[str, list[str]], rng: Random, held_out: bool = False
) -> Item:
    """Asks which entity a clue names: the first half of a two-hop question."""
    topic = topics[clue.topic]
    question = rng.choice(templates(wording["clues"], "clues", held_out))
    response = _after_naming(topic, clue.x, wording["hop_joins"], "")
    query = fill(question, clue=clue.text, kind=topic.kind)
    return Item("clue", query, response, (clue.x,), clue.topic, clue.x)


def two_hop(
    topics: dict[str, Topic], hop: Hop, joins: list[str], rng: Random, held_out: bool = False
) -> Item:
    """A question about an entity that is only described; the response names the entity first, then the answer."""
    attribute = topics[hop.topic].attributes[hop.attribute]
    question = rng.choice(templates(attribute.hop_questions, "hop_questions", held_out))
    fact = Fact(hop.topic, hop.x, hop.attribute, attribute.values[hop.x])
    response = _after_naming(topics[hop.topic], hop.x, joins, answer(attribute, hop.x))
    query = fill(question, clue=hop.clue)
    return Item("two_hop", query, response, (fact.y,), hop.topic, hop.x, hop.attribute, passage(topics, fact))


def comparison(topic: Topic, scale: Comparison, rng: Random, held_out: bool = False) -> Item:
    """A question which of two entities has more of a quantity."""
    names = list(scale.values)
    while True:
        a, b = rng.sample(names, 2)
        more, less = (a, b) if scale.values[a] > scale.values[b] else (b, a)
        if scale.values[more] >= scale.min_ratio * scale.values[less]:
            break
    question = rng.choice(templates(scale.questions, "comparisons", held_out))
    right = tuple(fill(answer, more=more, less=less) for answer in scale.answers)
    response = _fixed(right, topic.name, more)
    return Item("comparison", fill(question, a=a, b=b), response, right, topic.name, more, "comparison")


def describe(topics: dict[str, Topic], topic: str, x: str, most: int = 3) -> str:
    """A few sentences about an entity, always the same ones."""
    found = [a for a in topics[topic].attributes.values() if x in a.values][:most]
    style = crc32(x.encode())
    return " ".join(fill(a.statements[style % len(a.statements)], x=x, y=a.values[x]) for a in found)


def answer(attribute: Attribute, x: str) -> str:
    """The sentence that states a fact, always in the same one of the attribute's answer templates."""
    return fill(_fixed(attribute.answers, attribute.key, x), x=x, y=attribute.values[x])


def _after_naming(topic: Topic, x: str, joins: list[str], sentence: str) -> str:
    """`sentence` behind one that names the entity: every entity has its own way of being named."""
    return fill(_fixed(joins, topic.name, x), x=topic.noun(x), answer=sentence).strip()


def _fixed(wordings: Sequence[str], *key: str) -> str:
    """The wording that belongs to a key."""
    return wordings[crc32("/".join(key).encode()) % len(wordings)]
