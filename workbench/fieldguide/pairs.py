"""Pairs of the field guide's questions: graded by the facts that they share, or told apart by answer, not wording."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import NamedTuple

from workbench.fieldguide.items import Item


class Pair(NamedTuple):
    """Two texts and how alike they are: a graded score, or 1 (alike) and 0."""

    a: str
    b: str
    score: float


def relation(item: Item) -> tuple[str, str]:
    """What a question asks for: an attribute of the entities of a topic."""
    return item.topic, item.attribute


def grade(a: Item, b: Item) -> int:
    """What two questions share: 2 the relation and the answer, 1 the answer or the entity alone, 0 neither.

    So two questions of one wording about two entities have nothing in common unless they are answered alike.
    """
    same_answer = _answer(a) == _answer(b)
    if same_answer and relation(a) == relation(b):
        return 2
    return int(same_answer or (a.topic, a.subject) == (b.topic, b.subject))


def shared_facts(asked: list[Item], rng: Random) -> list[Pair]:
    """Pairs of every grade, each question at most once in a grade; half of grade 0 asks for the same relation."""
    shuffled = rng.sample(asked, len(asked))
    half = len(shuffled) // 2
    sorts = [
        (2, _matched(shuffled, lambda a, b: grade(a, b) == 2)),
        (1, _matched(shuffled, lambda a, b: grade(a, b) == 1)),
        (0, _matched(shuffled[:half], lambda a, b: grade(a, b) == 0 and relation(a) == relation(b))),
        (0, _matched(shuffled[half:], lambda a, b: grade(a, b) == 0 and relation(a) != relation(b))),
    ]
    return [Pair(a.query, b.query, float(level)) for level, pairs in sorts for a, b in pairs]


def answers_or_wording(asked: list[Item], rng: Random) -> list[Pair]:
    """Pairs with the same answer (1), and pairs with another answer in the most similar wording there is (0).

    Every question is at most once in a pair of each sort. How similar two wordings are is the share of their words
    that both have.
    """
    shuffled = rng.sample(asked, len(asked))
    same = _matched(shuffled, lambda a, b: _answer(a) == _answer(b))
    alike = _worded_alike(shuffled)[: len(same)]
    sorts = [(1.0, same), (0.0, alike)]
    return [Pair(a.query, b.query, score) for score, pairs in sorts for a, b in pairs]


def _answer(item: Item) -> str:
    return item.accept[0]


def _matched(asked: list[Item], fits: Callable[[Item, Item], bool]) -> list[tuple[Item, Item]]:
    """Pairs in which every item stands at most once: each takes the first of those left that fits it."""
    left, pairs = list(asked), []
    while left:
        item = left.pop(0)
        place = next((number for number, other in enumerate(left) if fits(item, other)), None)
        if place is not None:
            pairs.append((item, left.pop(place)))
    return pairs


def _worded_alike(asked: list[Item]) -> list[tuple[Item, Item]]:
    """Pairs with different answers in which every item stands at most once: each takes the most similar one left."""
    left, pairs = [(item, frozenset(item.query.lower().split())) for item in asked], []
    while left:
        item, words = left.pop(0)
        shares = [
            len(words & others) / len(words | others) if _answer(item) != _answer(other) else 0.0
            for other, others in left
        ]
        if shares and max(shares) > 0:
            pairs.append((item, left.pop(shares.index(max(shares)))[0]))
    return pairs
