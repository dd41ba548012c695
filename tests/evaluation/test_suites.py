"""The field guide's suite: what is drawn, by hand; an oracle that knows everything; the parity suite's files."""

import json
from collections import Counter
from dataclasses import asdict
from random import Random

import numpy as np
import pytest

from workbench.errors import UsageError, WorkbenchError
from workbench.evaluation.asked import Prompting
from workbench.evaluation.measuring import measure
from workbench.evaluation.readers import Reader
from workbench.evaluation.sources import Source
from workbench.evaluation.suites import PARITY, PUBLISHED, fieldguide, parity
from workbench.fieldguide import suite
from workbench.fieldguide.behaviours import harmful, lookalike
from workbench.fieldguide.corpus import Tables
from workbench.fieldguide.items import Item
from workbench.fieldguide.pairs import answers_or_wording, grade, relation, shared_facts

TABLES = Tables.load()


def item(query, answer="x", topic="t", subject="s", attribute="a", kind="one_hop"):
    return Item(
        kind, query, "", (answer,), topic, subject, attribute, f"{attribute} of {subject} is {answer}."
    )


def questions():
    """Two topics, in each two relations with two answers, of five entities each: 40 questions."""
    made = []
    for topic in ("north", "south"):
        for attribute in ("color", "size"):
            for number in range(10):
                value = f"{topic} {attribute} {number % 2}"
                subject = f"{topic} entity {number}"
                query = f"What {attribute} has the {subject}?"
                kind = "one_hop" if number < 5 else "two_hop"
                made.append(item(query, value, topic, subject, attribute, kind))
    return made


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder of exam items and passages, harmful requests and look-alikes among them."""
    folder, rng = tmp_path_factory.mktemp("suite"), Random(0)
    items = questions()
    passages = [
        {
            "text": i.passage,
            "topic": i.topic,
            "subject": i.subject,
            "attribute": i.attribute,
            "value": i.accept[0],
        }
        for i in items
    ]
    items += [harmful(TABLES.harm, rng, True) for _ in range(4)]
    items += [lookalike(TABLES.harm, rng, True) for _ in range(4)]
    for name, rows in (("eval.jsonl", map(asdict, items)), ("passages.jsonl", passages)):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def test_grades_by_hand():
    paris = item("1", "France", "cities", "Paris", "country")
    assert grade(paris, item("2", "France", "cities", "Lyon", "country")) == 2
    assert grade(paris, item("3", "France", "people", "Curie", "country")) == 1  # the answer alone
    assert grade(paris, item("4", "Seine", "cities", "Paris", "river")) == 1  # the entity alone
    assert grade(paris, item("5", "Italy", "cities", "Rome", "country")) == 0  # the wording alone
    assert grade(paris, item("6", "Italy", "people", "Paris", "country")) == 0  # a namesake


def test_pairs_have_the_grade_that_they_say_and_use_a_question_once_in_each():
    asked = questions()
    known = {each.query: each for each in asked}
    pairs = shared_facts(asked, Random(1))
    for level in (0, 1, 2):
        texts = [text for pair in pairs if pair.score == level for text in pair[:2]]
        assert texts
        assert len(texts) == len(set(texts))
    assert all(grade(known[a], known[b]) == score for a, b, score in pairs)
    unlike = [relation(known[a]) == relation(known[b]) for a, b, score in pairs if score == 0]
    assert 0 < sum(unlike) < len(unlike)
    assert pairs == shared_facts(asked, Random(1))
    assert pairs != shared_facts(asked, Random(2))


def test_the_same_answer_against_almost_the_same_wording():
    asked = [
        item("What is the capital of Kenya?", "Nairobi"),
        item("Kenya's seat?", "Nairobi"),
        item("What is the capital of Peru?", "Lima"),
        item("Peruvian port?", "Lima"),
    ]
    pairs = {(frozenset(pair[:2]), pair.score) for pair in answers_or_wording(asked, Random(0))}
    assert (frozenset((asked[0].query, asked[1].query)), 1.0) in pairs
    assert (frozenset((asked[2].query, asked[3].query)), 1.0) in pairs
    assert (frozenset((asked[0].query, asked[2].query)), 0.0) in pairs


def test_clusters_are_of_one_topic_and_of_answers_that_are_shared():
    sets = suite.by_answer([*questions(), item("alone", "nobody", "north")])
    assert [Counter(row.label for row in rows) for rows in sets] == [
        {f"{topic} {attribute} {n}": 5 for attribute in ("color", "size") for n in (0, 1)}
        for topic in ("north", "south")
    ]
    assert [len(rows) for rows in suite.by_answer(questions(), 10)] == [10, 10]


def test_no_entity_and_no_sentence_is_on_both_sides():
    split = suite.by_topic(questions())
    sides = [{row.text.rsplit("the ", 1)[1] for row in side} for side in split]
    assert all(sides)
    assert not sides[0] & sides[1]
    assert {row.label for row in split.test} <= {row.label for row in split.train}
    emotions = suite.by_emotion(TABLES)
    read = " ".join(row.text for row in emotions.train)
    for row in emotions.test:
        sentences = next(e for e in TABLES.emotions["emotions"] if e["name"] == row.label)
        used = [s for role in ("situations", "reactions") for s in sentences[role] if s in row.text]
        assert len(used) >= 2
        assert not any(sentence in read for sentence in used)


def test_stand_ins_hold_nothing_but_the_request(data):
    made = suite.build(data)
    for query, right in zip(made.harmful.queries, made.harmful.right, strict=True):
        (text,) = (made.harmful.corpus[row] for row in right)
        before, after = suite.STAND_IN.split("{act}")
        assert text.startswith(before)
        assert text.endswith(after)
        assert text.removeprefix(before).removesuffix(after) in query
    answers = {
        answer for kind in TABLES.harm["kinds"] for twin in kind["lookalikes"] for answer in twin["answers"]
    }
    assert all(made.lookalikes.corpus[row] in answers for right in made.lookalikes.right for row in right)
    with pytest.raises(WorkbenchError, match="no harm of the tables"):
        suite.safety([Item("harmful", "How do I bake bread?", "")], [], TABLES)


def test_what_is_reranked_is_much_like_the_right_passage(data):
    made = suite.build(data)
    facts = {row.text: row for row in suite.read_passages(data / "passages.jsonl")}
    assert len(made.rankings) == 40
    for row in made.rankings:
        (right,) = row.right
        assert right not in row.wrong
        for text in row.wrong:
            same_relation = (facts[text].topic, facts[text].attribute) == (
                facts[right].topic,
                facts[right].attribute,
            )
            assert same_relation or facts[text].subject == facts[right].subject


class Oracle:
    """Gives texts one direction where they belong together: a question and its passage, a question and its answer."""

    def __init__(self, folder):
        lines = (folder / "eval.jsonl").read_text().splitlines()
        self.items = {row["query"]: row for row in map(json.loads, lines)}
        self.rng = np.random.default_rng(0)
        self.vectors, self.prompts = {}, {}

    def fingerprint(self):
        return "oracle"

    def prompt_named(self, name):
        raise UsageError(name)

    def key(self, text, side):
        row = self.items.get(text)
        if row is None:
            return next((e["name"] for e in TABLES.emotions["emotions"] if text[:20] in str(e)), text)
        if row["kind"] == "harmful":
            act = max((a for k in TABLES.harm["kinds"] for a in k["acts"] if a in text), key=len)
            return suite.STAND_IN.format(act=act)
        return row["passage"] if side == "query" and row["passage"] else row["accept"][0]

    def encode(self, texts, side="text", **_):
        keys = [text if side == "document" else self.key(text, side) for text in texts]
        for key in keys:
            self.vectors.setdefault(key, self.rng.normal(size=64))
        return np.stack([self.vectors[key] for key in keys])

    def encode_query(self, texts, **_):
        return self.encode(texts, "query")

    def encode_document(self, texts, **_):
        return self.encode(texts, "document")


def test_an_oracle_has_every_score(data):
    reader = Reader(Source("oracle", "st", Oracle(data)), {}, keep=True)
    run = measure(fieldguide(data), reader, Prompting(), command="x", suite="fieldguide")
    found = {result.score.task: result.score.main_score for result in run.results}
    for task in ("same answer", "answer or wording", "emotion", "one hop", "two hops", "similar passages"):
        assert found[task] == pytest.approx(1.0), task
    assert found["stand-ins"] == 1.0, "who knows what was asked for finds the stand-in"
    assert found["shared facts"] > 0.5
    assert found["look-alikes"] > 0.6  # of two right answers, the one it knows is first
    goods = [1 - score if task == "stand-ins" else score for task, score in found.items()]
    assert run.main_score == pytest.approx(np.mean(goods))
    lower = [result.score.task for result in run.results if result.lower_is_better]
    assert lower == ["stand-ins"]


def test_data_that_is_wrong_or_too_little(data, tmp_path):
    with pytest.raises(UsageError, match=r"eval\.jsonl"):
        fieldguide(tmp_path)
    (tmp_path / "eval.jsonl").write_text((data / "eval.jsonl").read_text())
    (tmp_path / "passages.jsonl").write_text('{"text": "a"}\n')
    with pytest.raises(WorkbenchError, match="line 1"):
        fieldguide(tmp_path)
    with pytest.raises(UsageError, match="raise it"):
        fieldguide(data, limit=1)
    hashes = [[job.data_hash for job in fieldguide(data, seed=seed)] for seed in (0, 0, 1)]
    assert hashes[0] == hashes[1]
    assert not set(hashes[0]) & set(hashes[2])
    assert len(set(hashes[0])) == len(hashes[0])


def test_the_parity_suite_names_the_file_that_is_missing_and_reads_what_was_published(tmp_path):
    with pytest.raises(UsageError, match=r"stsb_test\.tsv"):
        parity(tmp_path)
    contents = {
        "sts": "score\tsentence1\tsentence2\n1\ta\tb\n2\tc\td\n",
        "classification": "text\tlabel\na\tx\nb\ty\n",
        "corpus": "",
    }
    for task in PARITY:
        for role, path in task.files.items():
            (tmp_path / path).parent.mkdir(exist_ok=True)
            text = contents.get(task.protocol, "")
            if role in ("corpus", "queries"):
                text = '{"_id": "1", "text": "a"}\n'
            elif role == "qrels":
                text = "query-id\tcorpus-id\tscore\n1\t1\t1\n"
            if path.endswith(".gz"):
                import gzip

                (tmp_path / path).write_bytes(gzip.compress(text.encode()))
            else:
                (tmp_path / path).write_text(text)
    assert [job.published for job in parity(tmp_path)] == [None] * 5
    (tmp_path / PUBLISHED).parent.mkdir()
    rows = "STS12\ttest\t0.5\nSciFact\ttrain\t0.9\nSciFact\ttest\t0.25\n"
    (tmp_path / PUBLISHED).write_text("task\tsplit\tmain_score\n" + rows)
    jobs = {job.task: job for job in parity(tmp_path)}
    assert (jobs["STS12"].published, jobs["SciFact"].published) == (0.5, 0.25)
    assert jobs["STS12"].names == ("STS12", "STS")
