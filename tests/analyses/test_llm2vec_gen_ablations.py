"""The ablation tables of LLM2Vec-Gen: the rows are the paper's, and the templates answer every shipped query."""

import pytest

from analyses.llm2vec_gen_ablations import EMBEDDING_STYLE, Table, instructed, settings, template_answers
from workbench.files import shipped
from workbench.texts import read_texts


def test_the_rows_are_the_papers():
    assert [shape["n_compression"] for _, _, shape in settings(Table.TOKENS)] == [1, 5, 10, 20]
    alone = {name: changes for name, changes, _ in settings(Table.OBJECTIVES)}
    assert alone["only alignment"]["w_recon"] == 0
    assert alone["only reconstruction"]["w_align"] == 0
    assert alone["both"] == {}
    frozen, lora = settings(Table.ENCODER)
    assert frozen[1]["lora_rank"] == frozen[2]["lora_rank"] == 0
    assert lora[1:] == ({}, {})


@pytest.mark.slow
def test_the_templates_answer_the_shipped_queries():
    answers = template_answers()
    asked = read_texts(str(shipped("fieldguide", "queries.jsonl")), None, limit=500).texts
    assert all(answers[text] for text in asked)


@pytest.mark.slow
def test_only_the_two_instructions_change():
    plain, other = instructed("generative"), instructed("embedding-style")
    changed = {name for name in plain.prompts if plain.prompts[name] != other.prompts[name]}
    assert changed == set(EMBEDDING_STYLE)
    assert instructed("none").prompts["query"] == ""
