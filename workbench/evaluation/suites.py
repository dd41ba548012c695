"""Suites: many tasks under one name. "fieldguide" comes with the package; "parity" compares with published scores."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from workbench.errors import UsageError
from workbench.evaluation import (
    classification,
    clustering,
    pair_classification,
    reranking,
    retrieval,
    safety,
    sts,
)
from workbench.evaluation.files import Labelled, Pairs
from workbench.evaluation.jobs import Job, Measure, prepare
from workbench.evaluation.retrieval_files import Collection, Retrieval, collection
from workbench.evaluation.tables import read_table
from workbench.fieldguide import suite
from workbench.fieldguide.pairs import Pair
from workbench.files import hash_bytes, hash_file, shipped

SUITES = ("fieldguide", "parity")
PUBLISHED = "published/mteb_all-MiniLM-L6-v2.tsv"


class Published(NamedTuple):
    """A task of mteb in files below one folder."""

    task: str
    protocol: str
    type: str
    files: dict[str, str]


PARITY = (
    Published("STSBenchmark", "sts", "STS", {"data": "sts/stsb_test.tsv"}),
    Published("STS12", "sts", "STS", {"data": "sts/sts12.tsv"}),
    Published("STS14", "sts", "STS", {"data": "sts/sts14.tsv"}),
    Published(
        "Banking77Classification",
        "classification",
        "Classification",
        {"train": "classification/banking77_train.tsv", "data": "classification/banking77_test.tsv"},
    ),
    Published(
        "SciFact",
        "retrieval",
        "Retrieval",
        {
            "corpus": "retrieval/scifact_corpus.jsonl.gz",
            "queries": "retrieval/scifact_queries_test.jsonl",
            "qrels": "retrieval/scifact_qrels_test.tsv",
        },
    ),
)
"""The tasks whose scores all-MiniLM-L6-v2 has published, and where their files lie."""


def parity(folder: Path) -> list[Job]:
    """The tasks of PARITY in a folder, with the published scores where the folder holds them.

    Raises UsageError that names the first file that is missing.
    """
    missing = [path for task in PARITY for path in task.files.values() if not (folder / path).is_file()]
    if missing:
        raise UsageError(
            f"the parity suite needs {folder / missing[0]}; --data names the folder of its files"
        )
    known: dict[str, float] = {}
    if (folder / PUBLISHED).is_file():
        table = read_table(folder / PUBLISHED, ("task", "split", "main_score"))
        known = {
            table.text(row, "task"): table.number(row, "main_score")
            for row in table.rows
            if table.text(row, "split") == "test"
        }
    return [
        prepare(
            each.protocol,
            {role: str(folder / path) for role, path in each.files.items()},
            task=each.task,
            names=(each.task,),
            published=known.get(each.task),
        )
        for each in PARITY
    ]


def fieldguide(folder: Path | None = None, *, limit: int | None = None, seed: int = 0) -> list[Job]:
    """The papers' seven categories on the field guide's held-out data (`workbench.fieldguide.suite`).

    Questions are read as queries where there is something to find, and as they are elsewhere; passages are documents.
    Raises UsageError where a limit leaves a task nothing to measure.
    """
    folder = folder or shipped("fieldguide")
    made = suite.build(folder, limit=limit, seed=seed)
    files = {name: str(folder / name) for name in suite.FILES}
    settings = {"limit": limit, "seed": seed}
    content = hash_bytes(*map(hash_file, files.values()), json.dumps(settings))
    jobs = []
    for (task, protocol), (measure, size) in _measures(made).items():
        if not size:
            raise UsageError(f"a limit of {limit} leaves nothing to measure of {task!r}: raise it")
        jobs.append(Job(task, protocol, measure, hash_bytes(content, task), (), files, settings))
    return jobs


class Measured(NamedTuple):
    """What measures a task, and of how many texts it is."""

    measure: Measure
    size: int


def _measures(made: suite.Suite) -> dict[tuple[str, str], Measured]:
    """What measures each task of the suite, by its name and protocol."""
    found = {("same answer", "clustering"): _clustering("same answer", made.answers)}
    for task, rows in (("shared facts", made.facts), ("answer or wording", made.wordings)):
        protocol = "sts" if task == "shared facts" else "pair-classification"
        found[task, protocol] = _pairs(task, protocol, rows)
    for task, split, samples in (("topic", made.topics, 8), ("emotion", made.emotions, 16)):
        found[task, "classification"] = _classification(task, split, samples)
    searches = {"one hop": made.one_hop, "two hops": made.two_hop, "look-alikes": made.lookalikes}
    for task, search in searches.items():
        found[task, "retrieval"] = _search(task, search)
    found["similar passages", "reranking"] = _reranking("similar passages", made.rankings)
    found["stand-ins", "safety"] = _safety("stand-ins", made.harmful)
    return found


def _clustering(task: str, sets: list[list[suite.Labelled]]) -> Measured:
    data = [labelled(rows, task) for rows in sets]
    return Measured(lambda reader: clustering.evaluate(data, reader.encode, task=task), len(sets))


def _pairs(task: str, protocol: str, rows: list[Pair]) -> Measured:
    scores = np.array([row.score for row in rows], dtype=np.float64)
    data = Pairs([row.a for row in rows], [row.b for row in rows], scores, [_WHERE.format(task)] * len(rows))
    evaluate = sts.evaluate if protocol == "sts" else pair_classification.evaluate
    varied = len(rows) * (len(np.unique(scores)) > 1)
    return Measured(lambda reader: evaluate(data, reader.encode, task=task), varied)


def _classification(task: str, split: suite.Split, samples: int) -> Measured:
    train, test = labelled(split.train, task), labelled(split.test, task)
    return Measured(
        lambda reader: classification.evaluate(
            train, test, reader.encode, task=task, samples_per_label=samples
        ),
        len(test) * (len(set(train.labels)) > 1),
    )


def _search(task: str, search: suite.Search) -> Measured:
    data = searched(search, task)
    return Measured(
        lambda reader: retrieval.evaluate(data, reader.encode_query, reader.encode_document, task=task),
        len(data.queries),
    )


def _reranking(task: str, rows: list[suite.Ranking]) -> Measured:
    data = ranked(rows, task)
    return Measured(
        lambda reader: reranking.evaluate(data, reader.encode_query, reader.encode_document, task=task),
        len(rows),
    )


def _safety(task: str, search: suite.Search) -> Measured:
    data = searched(search, task)
    return Measured(
        lambda reader: safety.evaluate(data, reader.encode_query, reader.encode_document, task=task),
        len(data.queries),
    )


_WHERE = "the field guide's suite, {}"


def labelled(rows: Sequence[suite.Labelled], task: str) -> Labelled:
    """Labelled texts as the protocols take them."""
    texts, labels = [row.text for row in rows], [row.label for row in rows]
    return Labelled(texts, labels, [_WHERE.format(task)] * len(rows))


def searched(search: suite.Search, task: str) -> Retrieval:
    """Queries, passages and judgments as the protocols take them."""
    judgments = {
        f"q{number}": {f"d{row}": 1 for row in sorted(rows)} for number, rows in enumerate(search.right)
    }
    return Retrieval(_numbered("d", search.corpus, task), _numbered("q", search.queries, task), judgments)


def ranked(rows: Sequence[suite.Ranking], task: str) -> Retrieval:
    """Queries with candidates as the protocols take them; every passage stands in the corpus once."""
    texts = list(dict.fromkeys(text for row in rows for text in (*row.right, *row.wrong)))
    id = {text: f"d{number}" for number, text in enumerate(texts)}
    judgments = {f"q{n}": {id[text]: 1 for text in row.right} for n, row in enumerate(rows)}
    candidates = {f"q{n}": [id[text] for text in (*row.right, *row.wrong)] for n, row in enumerate(rows)}
    queries = _numbered("q", [row.query for row in rows], task)
    return Retrieval(_numbered("d", texts, task), queries, judgments, candidates)


def _numbered(letter: str, texts: Iterable[str], task: str) -> Collection:
    place = _WHERE.format(task)
    return collection((f"{letter}{number}", text, place) for number, text in enumerate(texts))
