"""The corpus and the exam: the same for a seed, and nothing of the exam in the training texts."""

from random import Random

import pytest

from workbench.fieldguide import behaviours, questions
from workbench.fieldguide.corpus import (
    EXAM,
    Tables,
    draw,
    encyclopedia,
    exam_items,
    training_items,
    training_passages,
    unlabelled_queries,
)
from workbench.fieldguide.facts import fill
from workbench.fieldguide.items import KINDS

TABLES = Tables.load()
TRAINING = training_items(TABLES, 20_000, seed=0)
EXAM_ITEMS = exam_items(TABLES, seed=0)


def test_a_seed_gives_the_same_corpus_and_another_seed_another():
    assert training_items(TABLES, 300, seed=3) == training_items(TABLES, 300, seed=3)
    assert training_items(TABLES, 300, seed=3) != training_items(TABLES, 300, seed=4)
    assert training_passages(TABLES, 50, seed=3) == training_passages(TABLES, 50, seed=3)


def test_no_exam_query_is_a_training_query():
    seen = {item.query.lower().rstrip("?.") for item in TRAINING}
    asked = [i for i in EXAM_ITEMS if i.kind not in ("comparison",)]
    assert not [item.query for item in asked if item.query.lower().rstrip("?.") in seen]


def test_held_out_bridges_never_stand_in_a_training_two_hop_question():
    assert TABLES.hops[True]
    assert TABLES.hops[False]
    bridge = {
        held_out: {(h.topic, h.x) for hs in groups.values() for h in hs}
        for held_out, groups in TABLES.hops.items()
    }
    assert not bridge[True] & bridge[False]
    bridges = {(item.topic, item.subject) for item in TRAINING if item.kind == "two_hop"}
    assert not any(questions.held_out_bridge(*bridge) for bridge in bridges)


def test_held_out_emotion_sentences_are_not_in_training():
    held_out = [
        sentence
        for row in TABLES.emotions["emotions"]
        for role in ("situations", "reactions")
        for sentence in behaviours.part(row[role], role, held_out=True)
    ]
    text = "\n".join(item.query for item in TRAINING)
    assert held_out
    assert not [sentence for sentence in held_out if sentence in text]


def test_held_out_acts_and_frames_are_not_in_training():
    kinds, frames = TABLES.harm["kinds"], TABLES.harm["frames"]
    assert len(kinds) >= 10
    held_out = [act for kind in kinds for act in behaviours.part(kind["acts"], "acts", held_out=True)]
    phrasings = {frame.format(act=act).lower() for frame in frames for act in held_out}
    unseen = {frame.split("{act}")[0].lower() for frame in behaviours.part(frames, "frames", held_out=True)}
    asked = {draw(TABLES, "harmful", Random(seed)).query.lower() for seed in range(3000)}
    assert not asked & phrasings
    assert not [query for query in asked for start in unseen if query.startswith(start)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("held_out", [False, True])
def test_every_item_contains_its_own_answer(kind, held_out):
    from workbench.fieldguide.exam import is_right

    rng = Random(5)
    for _ in range(60):
        item = draw(TABLES, kind, rng, held_out)
        assert item.kind == kind
        assert item.query
        assert item.response
        assert is_right(item, item.response), item


def test_the_exam_has_every_kind_and_a_passage_for_every_fact():
    passages = encyclopedia(TABLES)
    counts = {kind: sum(item.kind == kind for item in EXAM_ITEMS) for kind in KINDS}
    assert all(counts[kind] >= 0.4 * EXAM[kind] for kind in KINDS), counts
    assert all(
        item.passage in passages for item in EXAM_ITEMS if item.kind in ("one_hop", "reverse", "two_hop")
    )


def test_a_two_hop_response_names_the_bridge_then_the_answer():
    item = draw(TABLES, "two_hop", Random(1))
    assert item.subject in item.response or item.subject.removeprefix("the ") in item.response
    assert item.accept[0].lower() in item.response.lower()


def test_a_fact_is_stated_in_the_same_words_however_it_is_asked():
    answers: dict[tuple[str, ...], set[str]] = {}
    for seed in range(4):
        for fact in TABLES.facts[::40]:
            item = questions.one_hop(TABLES.topics, fact, Random(seed), held_out=seed % 2 == 1)
            answers.setdefault(fact, set()).add(item.response)
    assert all(len(texts) == 1 for texts in answers.values())
    used = {
        questions.answer(a, x)
        for t in TABLES.topics.values()
        for a in t.attributes.values()
        for x in a.values
    }
    assert len(used) == len(TABLES.facts)


def test_a_two_hop_response_ends_in_the_answer_to_the_one_hop_question():
    for seed in range(40):
        item = draw(TABLES, "two_hop", Random(seed), held_out=seed % 2 == 1)
        attribute = TABLES.topics[item.topic].attributes[item.attribute]
        assert item.response.endswith(questions.answer(attribute, item.subject))


def test_unlabelled_queries_hold_every_passage_and_none_of_the_exam():
    items = unlabelled_queries(TABLES, 5000, seed=1)
    opening = TABLES.instructions["summarize"][0]
    queries = {item.query for item in items}
    assert len(queries) == len(items) == 5000
    assert {f"{opening} {passage}" for passage in encyclopedia(TABLES)} <= queries
    held_out = {
        f"{o} " for o in behaviours.part(TABLES.instructions["summarize"], "summarize", held_out=True)
    }
    assert not [query for query in queries if query.startswith(tuple(held_out))]
    assert not queries & {item.query for item in EXAM_ITEMS if item.kind != "comparison"}


def test_no_held_out_question_is_a_two_hop_wording_with_the_name_in_it():
    """Training fills two-hop wordings with names, so a held-out question must not read like one of them."""
    for topic in TABLES.topics.values():
        x = topic.entities[0]
        for attribute in topic.attributes.values():
            held_out = questions.templates(attribute.questions, "questions", held_out=True)
            asked = {fill(question, x=x) for question in held_out}
            hops = attribute.hop_questions and questions.templates(
                attribute.hop_questions, "hop_questions", False
            )
            named = {fill(hop, clue=name) for hop in hops for name in (x, topic.noun(x), f"the {x}")}
            assert not asked & named, (topic.name, attribute.key)
