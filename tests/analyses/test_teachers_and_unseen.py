"""The scripts that train by the shipped recipe: what they strike, what they ask, how their tables read."""

import json

import pytest

from analyses import recipe, teachers, unseen_entities
from workbench.fieldguide.corpus import Tables
from workbench.fieldguide.items import holds
from workbench.training.config import LLM2VecGenTraining


@pytest.fixture(scope="module")
def tables():
    return Tables.load()


def test_no_line_that_names_a_struck_entity_remains(tables, tmp_path, monkeypatch):
    lines = [
        {"query": "Where is Calgary?", "response": "Calgary lies in Canada."},
        {"query": "Which city has a famous stampede?", "response": "That is Calgary."},
        {"query": "Where is Toronto?", "response": "Toronto lies in Canada."},
    ]
    shipped = tmp_path / "corpus.jsonl"
    shipped.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    monkeypatch.setattr("workbench.files.shipped", lambda *names: shipped)
    assert unseen_entities.strike({"Calgary"}, tmp_path / "left.jsonl") == 1
    assert json.loads((tmp_path / "left.jsonl").read_text(encoding="utf-8")) == lines[2]


def test_every_fact_of_a_struck_entity_is_asked_and_no_other(tables, tmp_path):
    asked = unseen_entities.questions(tables, tmp_path / "exam" / "eval.jsonl")
    items = [json.loads(line) for line in (tmp_path / "exam" / "eval.jsonl").read_text().splitlines()]
    struck = {fact.x for fact in tables.facts if unseen_entities.unseen(fact.topic, fact.x)}
    assert asked == len(items) == sum(unseen_entities.unseen(f.topic, f.x) for f in tables.facts)
    assert all(holds(item["query"], sorted(struck)) for item in items)


def test_the_recipe_takes_the_fields_of_a_configuration_alone():
    values = {"lr": 0.5, "epochs": 2, "steps": 2000}
    assert recipe.chosen(values, LLM2VecGenTraining) == {"lr": 0.5, "epochs": 2}
    assert recipe.chosen(values, LLM2VecGenTraining, leave="lr") == {"epochs": 2}


def test_the_table_of_teachers_names_its_command_and_its_weights():
    row = dict.fromkeys(teachers.COLUMNS, 0.25) | {"kept": 0.5}
    text = teachers.page({"MiniLM (shipped)": row}, limit=3)
    assert "python -m analyses.teachers --limit 3" in text
    assert "0.0027 for `data/teachers/llm2vec`" in text
    assert "| MiniLM (shipped) | 0.500 | 0.250 |" in text
