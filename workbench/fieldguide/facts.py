"""Fact tables: the topics, their entities and attributes, and the wording around them."""

from __future__ import annotations

import csv
import re
import tomllib
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from typing import Any, NamedTuple

from workbench.errors import WorkbenchError

HELD_OUT = {"questions": 3, "reverse": 1, "hop_questions": 2, "comparisons": 2, "clues": 2}


class Fact(NamedTuple):
    """One cell of a table: the `attribute` of entity `x` in `topic` is `y`."""

    topic: str
    x: str
    attribute: str
    y: str


@dataclass(frozen=True)
class Attribute:
    """One column of a topic and its wording; `values` maps an entity's name to its value."""

    key: str
    values: dict[str, str]
    questions: list[str]
    answers: list[str]
    statements: list[str]
    reverse: list[str] = field(default_factory=list)
    reverse_answers: list[str] = field(default_factory=list)
    clue: list[str] = field(default_factory=list)
    link_clue: list[str] = field(default_factory=list)
    hop_questions: list[str] = field(default_factory=list)
    links: str | None = None

    @cached_property
    def unique(self) -> dict[str, str]:
        """Value -> entity, for the values that exactly one entity has."""
        counts = Counter(self.values.values())
        return {y: x for x, y in self.values.items() if counts[y] == 1}


@dataclass(frozen=True)
class Comparison:
    """A numeric column and the questions that compare two entities by it."""

    values: dict[str, float]
    questions: list[str]
    answers: list[str]
    min_ratio: float


@dataclass(frozen=True)
class Topic:
    """One table: its entities in order, its attributes and its comparisons."""

    name: str
    kind: str
    entities: list[str]
    attributes: dict[str, Attribute]
    comparisons: list[Comparison]

    @cached_property
    def countable(self) -> bool:
        """Whether the entities are things one can count ("an owl"), as the wording of the table shows."""
        return any(
            "{x_a}" in text
            for a in self.attributes.values()
            for text in a.answers + a.statements + a.questions
        )

    def noun(self, x: str) -> str:
        """The entity as a sentence takes it: with the indefinite article where it is countable."""
        return phrase("{x_a}" if self.countable else "{x}", x=x)


def phrase(template: str, **values: str) -> str:
    """A template with its placeholders filled: `{x}` as it is, `{x_a}` with the indefinite article before it."""
    articles = {f"{key}_a": f"{_article(value)} {value}" for key, value in values.items()}
    return template.format(**values, **articles)


def fill(template: str, **values: str) -> str:
    """A template filled as in `phrase`, as a sentence: its first letter in upper case."""
    return capitalise(phrase(template, **values))


def capitalise(sentence: str) -> str:
    """The sentence with its first character in upper case."""
    return sentence[:1].upper() + sentence[1:]


def _article(noun: str) -> str:
    word = noun.lower()
    if re.match(r"(uni|use|eu|one|ukulele|ute)", word):
        return "a"
    return "an" if word[:1] in "aeiou" or re.match(r"(hour|heir|honest)", word) else "a"


def load_topics() -> dict[str, Topic]:
    """All topics of the field guide, in the order of their names.

    Raises WorkbenchError where a table and its wording do not fit each other.
    """
    folder = files("workbench.fieldguide") / "tables"
    names = sorted(entry.name[:-4] for entry in folder.iterdir() if entry.name.endswith(".tsv"))
    topics = {}
    for name in names:
        wording = tomllib.loads((folder / f"{name}.toml").read_text(encoding="utf-8"))
        rows = list(
            csv.DictReader((folder / f"{name}.tsv").read_text(encoding="utf-8").splitlines(), delimiter="\t")
        )
        topics[name] = _topic(name, wording, rows)
    for topic in topics.values():
        for attribute in topic.attributes.values():
            _check_links(topic, attribute, topics)
    return topics


def load_behaviour(name: str) -> dict[str, Any]:
    """The wording of one behaviour (emotions, harm, instructions) as a dictionary."""
    return tomllib.loads(
        (files("workbench.fieldguide") / "tables" / f"{name}.toml").read_text(encoding="utf-8")
    )


def all_facts(topics: dict[str, Topic]) -> list[Fact]:
    """Every fact of every topic, in table order."""
    return [
        Fact(topic.name, x, attribute.key, y)
        for topic in topics.values()
        for attribute in topic.attributes.values()
        for x, y in attribute.values.items()
    ]


def _topic(name: str, wording: dict[str, Any], rows: list[dict[str, str]]) -> Topic:
    columns = set(rows[0]) if rows else set()
    attributes = {}
    for entry in wording["attributes"]:
        if entry["key"] not in columns:
            raise WorkbenchError(
                f"field guide table {name}: no column {entry['key']!r}, only {sorted(columns)}"
            )
        values = {row["name"]: row[entry["key"]].strip() for row in rows if (row[entry["key"]] or "").strip()}
        attributes[entry["key"]] = Attribute(values=values, **entry)
    comparisons = []
    for entry in wording.get("comparisons", []):
        numbers = {
            row["name"]: float(row[entry["column"]]) for row in rows if (row[entry["column"]] or "").strip()
        }
        comparisons.append(
            Comparison(numbers, entry["questions"], entry["answers"], float(entry["min_ratio"]))
        )
    return Topic(name, wording["kind"], [row["name"] for row in rows], attributes, comparisons)


def _check_links(topic: Topic, attribute: Attribute, topics: dict[str, Topic]) -> None:
    if attribute.links is None:
        return
    known = set(topics[attribute.links].entities)
    unknown = sorted(set(attribute.values.values()) - known)
    if unknown:
        raise WorkbenchError(
            f"field guide table {topic.name}: {attribute.key} links to unknown {attribute.links}: {unknown}"
        )
