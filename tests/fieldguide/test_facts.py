"""The fact tables: their wording, their placeholders and their truth about themselves."""

import string

import pytest

from workbench.errors import WorkbenchError
from workbench.fieldguide import facts
from workbench.fieldguide.corpus import Tables

TABLES = Tables.load()


def placeholders(template: str) -> set[str]:
    return {name.removesuffix("_a") for _, name, _, _ in string.Formatter().parse(template) if name}


def test_articles_follow_the_sound_of_the_noun():
    assert facts.fill("{x_a} is here.", x="owl") == "An owl is here."
    assert facts.fill("{x_a} is here.", x="unicorn") == "A unicorn is here."
    assert facts.fill("it takes {x_a}.", x="hour") == "It takes an hour."


def test_there_are_enough_facts_topics_and_templates():
    assert len(TABLES.topics) >= 12
    assert len(TABLES.facts) >= 1500
    for topic in TABLES.topics.values():
        for attribute in topic.attributes.values():
            assert 10 <= len(attribute.questions) <= 15, (topic.name, attribute.key)
            assert len(set(attribute.answers)) >= 4, (topic.name, attribute.key)


def test_every_template_has_its_placeholders_and_no_other():
    for topic in TABLES.topics.values():
        for attribute in topic.attributes.values():
            where = (topic.name, attribute.key)
            assert all(placeholders(t) == {"x"} for t in attribute.questions), where
            assert all(placeholders(t) == {"x", "y"} for t in attribute.answers + attribute.statements), where
            assert all(placeholders(t) == {"y"} for t in attribute.reverse + attribute.clue), where
            assert all(placeholders(t) == {"x", "y"} for t in attribute.reverse_answers), where
            assert all(placeholders(t) == {"x"} for t in attribute.link_clue), where
            assert all(placeholders(t) == {"clue"} for t in attribute.hop_questions), where
        for scale in topic.comparisons:
            assert all(placeholders(t) == {"a", "b"} for t in scale.questions)
            assert all(placeholders(t) == {"more", "less"} for t in scale.answers)


def test_no_value_is_given_away_by_its_question_template():
    for topic in TABLES.topics.values():
        for attribute in topic.attributes.values():
            assert len(set(attribute.questions)) == len(attribute.questions), (topic.name, attribute.key)
            assert len(set(attribute.values)) == len(attribute.values)


def test_a_column_that_the_wording_names_must_exist():
    wording = {
        "kind": "thing",
        "attributes": [{"key": "colour", "questions": [], "answers": [], "statements": []}],
    }
    with pytest.raises(WorkbenchError, match="no column 'colour'"):
        facts._topic("things", wording, [{"name": "stone", "weight": "3"}])


def test_unique_values_are_those_of_one_entity():
    attribute = facts.Attribute("k", {"a": "1", "b": "2", "c": "2"}, [], [], [])
    assert attribute.unique == {"1": "a"}
