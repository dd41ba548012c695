"""Which texts are compared: the atlas's, a file's sample with its bad rows counted, a run's watched queries."""

import json

import pytest

from workbench.atlas.compared_texts import ComparedTexts, of_file, of_watch
from workbench.atlas.corpus import hold
from workbench.errors import WorkbenchError
from workbench.training.watched import WatchedText


def held(rows, name="mine.jsonl"):
    return hold(name, "".join(row + "\n" for row in rows).encode())


def lines(count):
    return [json.dumps({"text": f"text {n}", "year": 2000 + n, "half": n / 2}) for n in range(count)]


def test_a_file_s_texts_stand_in_its_order_with_their_columns():
    file = held(["text,year", "one,2001", '" ",2002', "two,", "one,2003", "three,2004,too many"], "mine.csv")
    with pytest.raises(WorkbenchError, match=r"mine\.csv holds 2 different texts in text: at least 3"):
        of_file(file, "text")
    found = of_file(
        held(["text,year", "one,2001", '" ",2002', "two,", "one,2003", "three,2004"], "m.csv"), "text"
    )
    assert found.texts == ["one", "two", "three"]
    assert found.metadata == {"year": [2001, None, 2004]}
    assert found.says == "3 of the 5 rows of m.csv; 2 left out: no text, or one that stood before"


def test_of_many_texts_some_are_drawn_and_the_same_again():
    found = of_file(held(lines(50)), "text", most=10)
    assert len(found) == 10
    numbers = [int(text.split()[1]) for text in found.texts]
    assert numbers == sorted(set(numbers)) != list(range(10))
    assert found.metadata["year"] == [2000 + n for n in numbers]
    assert found.says == "10 of the 50 rows of mine.jsonl; 40 not drawn"
    assert of_file(held(lines(50)), "text", most=10) == found
    assert of_file(held(lines(50)), "text", most=10, seed=1).texts != found.texts


def test_what_is_not_a_text_is_left_out():
    rows = [*lines(3), "no json", '{"text": 7}', '{"text": "half \\ud800"}', '{"other": "x"}']
    found = of_file(held(rows), "text")
    assert len(found) == 3
    assert "4 left out" in found.says


def test_watched_queries_keep_their_plain_columns():
    texts = [WatchedText(3, "a", "r", {"topic": "x", "list": [1]}), WatchedText(5, "b", "", {"topic": None})]
    found = of_watch(texts)
    assert found.texts == ["a", "b"]
    assert found.metadata == {"topic": ["x", None]}


def test_texts_are_told_apart_by_what_they_are():
    one, other = ComparedTexts(["ab", "c"], {}, "x"), ComparedTexts(["a", "bc"], {}, "x")
    assert one.key != other.key
    assert one.key == ComparedTexts(["ab", "c"], {"topic": [1, 2]}, "y").key
    with pytest.raises(ValueError, match="unequal"):
        ComparedTexts(["a"], {"topic": []}, "")
