"""Embedders that know their vectors by heart, for our protocols and for mteb's own, and tasks of mteb in memory."""

import hashlib

import mteb
import numpy as np
import torch
from datasets import Dataset, DatasetDict
from mteb.abstasks import (
    AbsTaskClassification,
    AbsTaskClustering,
    AbsTaskClusteringLegacy,
    AbsTaskPairClassification,
    AbsTaskRetrieval,
    AbsTaskSTS,
)
from mteb.abstasks.task_metadata import TaskMetadata
from mteb.models import ModelMeta

from workbench.evaluation.retrieval_files import Collection


class Planted:
    """Texts to vectors from a table; a text that is not in it gets `size` numbers that only its first word decides,
    and a little that the whole of it does."""

    def __init__(self, table=None, size=6):
        self.table, self.size, self.asked = table or {}, size, []
        meta = {"name": "workbench/planted", "revision": "1", "modalities": ["text"]}
        self.mteb_model_meta = ModelMeta.create_empty(meta)

    def __call__(self, texts):
        self.asked += texts
        return np.array([self.vector(text) for text in texts], dtype=np.float32)

    def vector(self, text):
        if text in self.table:
            return np.asarray(self.table[text], dtype=np.float32)
        return _noise(text.split()[0], self.size) + 0.7 * _noise(text, self.size)

    def encode(self, inputs, **_):
        return self([text for batch in inputs for text in batch["text"]])

    def similarity(self, a, b):
        a, b = (torch.nn.functional.normalize(torch.as_tensor(x), dim=-1) for x in (a, b))
        return a @ b.T

    def similarity_pairwise(self, a, b):
        return torch.nn.functional.cosine_similarity(torch.as_tensor(a), torch.as_tensor(b), dim=-1)


def _noise(text, size):
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
    return np.random.default_rng(seed).normal(size=size).astype(np.float32)


def texts(count, words=("ant", "bee", "cat", "dog"), start=0):
    """`count` different texts that begin with the words in turn, and those words."""
    starts = [words[number % len(words)] for number in range(count)]
    return [f"{word} number {start + number}" for number, word in enumerate(starts)], starts


def places(count):
    return [f"file.tsv, line {number + 2}" for number in range(count)]


def collected(by_id):
    return Collection(list(by_id), list(by_id.values()), places(len(by_id)))


def scored(model, kind, data, main_score, **settings):
    """What mteb itself finds: `kind` is one of its abstract tasks, `data` its dataset."""
    types = {
        AbsTaskSTS: "STS", AbsTaskPairClassification: "PairClassification", AbsTaskClassification: "Classification",
        AbsTaskClustering: "Clustering", AbsTaskClusteringLegacy: "Clustering", AbsTaskRetrieval: "Retrieval",
    }  # fmt: skip
    facts = TaskMetadata(
        name=f"Workbench{kind.__name__}", dataset={"path": "in/memory", "revision": "1"}, description="d",
        reference=None, type=types[kind], category="t2t", modalities=["text"], eval_splits=["test"],
        eval_langs=["eng-Latn"], main_score=main_score, date=None, domains=None, task_subtypes=None, license=None,
        annotations_creators=None, dialect=None, sample_creation=None, bibtex_citation=None,
    )  # fmt: skip

    def load_data(self, **_):
        self.dataset, self.data_loaded = data, True

    task = type(facts.name, (kind,), {"metadata": facts, "load_data": load_data, **settings})()
    result = mteb.evaluate(model, task, cache=None, show_progress_bar=False)
    return result.task_results[0].scores["test"][0]


def split(**columns):
    """A dataset of mteb whose one split has these columns."""
    return DatasetDict(test=Dataset.from_dict(columns))
