"""Our protocols give all-MiniLM-L6-v2 the scores that mteb published for it, on the same data."""

import csv
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from workbench.evaluation import classification, retrieval, sts
from workbench.evaluation.files import read_labelled, read_sts
from workbench.evaluation.retrieval_files import read_retrieval

DATA = Path(__file__).parents[3] / "shared" / "data"
PUBLISHED = DATA / "published" / "mteb_all-MiniLM-L6-v2.tsv"
ROUNDING = 1e-4

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PUBLISHED.exists(), reason=f"the evaluation data is not there: {DATA}"),
]


@cache
def minilm():
    """The model, which encodes a text once however many tasks have it."""
    from workbench.training.teachers import load_teacher

    teacher, known = load_teacher(), {}

    def encode(texts):
        new = [text for text in texts if text not in known]
        known.update(zip(new, teacher.embed(new), strict=True))
        return np.stack([known[text] for text in texts])

    return encode


@cache
def published(task, split="test"):
    with open(PUBLISHED, encoding="utf-8", newline="") as file:
        rows = [
            row
            for row in csv.DictReader(file, delimiter="\t")
            if (row["task"], row["split"]) == (task, split)
        ]
    (row,) = rows
    others = (each.split("=") for each in row["other_scores"].split(";"))
    return {"main_score": float(row["main_score"]), **{name: float(value) for name, value in others}}


def agree(score, known):
    assert score.main_score == pytest.approx(known["main_score"], abs=ROUNDING)
    for name in known.keys() & score.metrics.keys():
        assert score.metrics[name] == pytest.approx(known[name], abs=ROUNDING), name


@pytest.mark.longest
def test_retrieval():
    """Both splits in one test: they share the corpus, whose encoding takes minutes."""
    for split in ("test", "train"):
        parts = ("corpus.jsonl.gz", f"queries_{split}.jsonl", f"qrels_{split}.tsv")
        data = read_retrieval(*(DATA / "retrieval" / f"scifact_{part}" for part in parts))
        known = published("SciFact", split)
        assert known.keys() >= {"ndcg_at_10", "recall_at_100", "map_at_10", "mrr_at_10"}
        agree(retrieval.evaluate(data, minilm(), minilm(), task="SciFact"), known)


@pytest.mark.parametrize(
    ("task", "file"), [("STSBenchmark", "stsb_test"), ("STS12", "sts12"), ("STS14", "sts14")]
)
def test_sts(task, file):
    known = published(task)
    assert known.keys() >= {"cosine_spearman", "cosine_pearson"}
    agree(sts.evaluate(read_sts(DATA / "sts" / f"{file}.tsv"), minilm(), task=task), known)


def test_classification():
    train, test = (
        read_labelled(DATA / "classification" / f"banking77_{part}.tsv") for part in ("train", "test")
    )
    agree(
        classification.evaluate(train, test, minilm(), task="Banking77"), published("Banking77Classification")
    )
