"""Every reader of a file that is worked from, on damaged ones: it reads them or refuses them in our words.

Results are read in test_fuzzed_results.py.
"""

import gzip
import hashlib
import json
from contextlib import suppress
from io import BytesIO

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from fuzzing import bounded, damaged, lines, npy, other_json, parquet, read_or_refused
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.atlas.entries import entries, source_of
from workbench.cli import vectors
from workbench.decoding import reference
from workbench.decoding.vector_files import parse_vector, read_vectors_file
from workbench.embedders.artifact import load_embedder, save
from workbench.embedders.config import LifterConfig, LLM2VecConfig, LLM2VecGenConfig
from workbench.embedders.lifter import Lifter
from workbench.embedders.lifter_artifact import load_lifter, save_lifter
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.embedders.manifest import Manifest
from workbench.embedders.official_files import read_json, read_projection, read_yaml
from workbench.errors import WorkbenchError
from workbench.evaluation.files import read_labelled, read_pairs, read_sets, read_sts
from workbench.evaluation.questions import read_questions
from workbench.evaluation.reasoning import read_bright
from workbench.evaluation.retrieval_files import (
    read_candidates,
    read_documents,
    read_judgments,
    read_queries,
    read_reranking,
)
from workbench.evaluation.safety import read_advbench
from workbench.fieldguide.exam import read_exam
from workbench.fieldguide.suite import read_passages
from workbench.lenses.latent_index import LatentIndex
from workbench.texts import read_texts
from workbench.training import history, llm2vec
from workbench.training.corpus import RESPONSES, read_corpus
from workbench.training.llm2vec import LLM2VecTeacher
from workbench.training.run import Run
from workbench.training.shards import Shards

ROWS = [
    {"id": "a", "text": "gold ü", "year": 1, "share": 0.5, "vector": [1.0, 2.0]},
    {"id": "b", "text": "the moon", "year": 2, "share": None, "vector": [0.0, 1.0]},
]
TABLES = {
    ".txt": "gold ü\n\nthe moon\n".encode(),
    ".jsonl": lines(*ROWS),
    ".csv": 'id,text,year\na,"gold ü",1\nb,"the\nmoon",2.5\n'.encode(),
    ".tsv": "id\ttext\na\tgold ü\nb\tthe moon\n".encode(),
    ".parquet": parquet(ROWS),
}


def store_rows(path):
    for options in ({}, {"vector_column": "vector"}):
        try:
            found = source_of(path, **options)
        except WorkbenchError:
            continue
        types = found.survey.columns
        for row in entries(found, 2):
            if hasattr(row, "row"):
                for name in found.reading.metadata:
                    pa.array([row.row[name]], types[name])
                row.row["text"].encode()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzzed")


@pytest.mark.parametrize("suffix", TABLES)
@pytest.mark.parametrize(
    "read", [lambda path: read_texts(str(path)), store_rows, read_corpus], ids=["texts", "store", "corpus"]
)
def test_files_of_texts(folder, suffix, read):
    @bounded
    @given(damaged(TABLES[suffix]))
    def check(data):
        read_or_refused(folder / f"a{suffix}", data, read)

    check()


@pytest.mark.parametrize(
    "read", [lambda path: read_texts(str(path)), store_rows, read_corpus], ids=["texts", "store", "corpus"]
)
def test_lines_of_json_that_hold_something_else(folder, read):
    @bounded
    @given(other_json(ROWS[0] | {"query": "q", "response": "r"}), st.booleans())
    def check(line, twice):
        read_or_refused(folder / "a.jsonl", line + b"\n" + (line + b"\n" if twice else b""), read)

    check()


TASKS = {
    "sts": (read_sts, {"sentence1": "gold", "sentence2": "iron", "score": 1.5}),
    "pairs": (read_pairs, {"sentence1": "gold", "sentence2": "iron", "label": 1}),
    "labelled": (read_labelled, {"text": "gold", "label": "x"}),
    "sets": (read_sets, {"sentences": ["gold", "iron"], "labels": ["x", "y"]}),
    "documents": (read_documents, {"_id": "b", "title": "t", "text": "gold"}),
    "queries": (read_queries, {"_id": "a", "text": "gold"}),
    "reranking": (read_reranking, {"query": "q", "positive": ["gold"], "negative": ["iron"]}),
    "questions": (read_questions, {"question": "q", "choices": ["x", "y"], "answer": "A", "subject": "s"}),
    "safety": (read_advbench, {"ID": "a", "query": "q", "document": "a b c", "title": "t"}),
    "judgments": (None, {"query-id": "a", "corpus-id": "b", "score": 1}),
    "candidates": (None, {"query-id": "a", "corpus-ids": ["b"]}),
    "bright": (None, {"id": "a", "query": "q", "gold_ids": ["b"], "excluded_ids": ["N/A"]}),
}


def reader_of(task, folder):
    read, _ = TASKS[task]
    if read is not None:
        return read
    (folder / "docs.jsonl").write_bytes(lines({"_id": "b", "text": "gold"}))
    (folder / "asked.jsonl").write_bytes(lines({"_id": "a", "text": "which?"}))
    documents, queries = read_documents(folder / "docs.jsonl"), read_queries(folder / "asked.jsonl")
    return {
        "judgments": lambda path: read_judgments(path, queries, documents),
        "candidates": lambda path: read_candidates(path, queries, documents),
        "bright": lambda path: read_bright(path, folder / "docs.jsonl"),
    }[task]


def as_table(row, separator):
    values = [json.dumps(value) if isinstance(value, list) else str(value) for value in row.values()]
    return f"{separator.join(row)}\n{separator.join(value.replace(separator, ' ') for value in values)}\n".encode()


@pytest.mark.parametrize("task", TASKS)
def test_files_of_tasks(folder, task):
    read, row = reader_of(task, folder), TASKS[task][1]
    whole = {
        ".jsonl": lines(row, row),
        ".csv": as_table(row, ","),
        ".tsv": as_table(row, "\t"),
        ".parquet": parquet([row]),
        ".jsonl.gz": gzip.compress(lines(row), mtime=0),
    }
    one_file = st.sampled_from(sorted(whole)).flatmap(
        lambda suffix: st.tuples(st.just(suffix), damaged(whole[suffix]))
    )

    @bounded
    @given(one_file | other_json(row).map(lambda line: (".jsonl", line + b"\n")))
    def check(given_file):
        suffix, data = given_file
        read_or_refused(folder / f"{task}{suffix}", data, read)

    check()


VECTORS = {
    ".npy": npy(np.ones((2, 3), dtype=np.float32)),
    ".csv": b"x,y\n1,2\n3,4.5\n",
    ".parquet": parquet([{"embedding": [1.0, 2.0]}, {"embedding": [3.0, 4.0]}]),
    ".jsonl": lines({"embedding": [1.0, 2.0]}, {"embedding": [3.0, 4.0]}),
}


@pytest.mark.parametrize("suffix", VECTORS)
def test_files_of_vectors(folder, suffix):
    def read(path):
        if suffix != ".jsonl":
            return read_vectors_file(path.name, path.read_bytes())
        return vectors._of_lines(path)

    @bounded
    @given(damaged(VECTORS[suffix]) | other_json({"embedding": [1.0, 2.0]}).map(lambda line: line + b"\n"))
    def check(data):
        read_or_refused(folder / f"v{suffix}", data, read)

    check()


@bounded
@given(st.text())
def test_a_vector_that_is_typed(text):
    with suppress(WorkbenchError):
        assert parse_vector(text).ndim == 2


@bounded
@given(data=damaged(TABLES[".parquet"]))
def test_shards_of_a_cache(folder, data):
    (folder / "cache").mkdir(exist_ok=True)
    read_or_refused(folder / "cache" / "a.parquet", data, lambda path: Shards(path.parent, RESPONSES).read())


SETTINGS = {"schema": 1, "method": "gem", "backbone": "x", "fingerprint": {"weights": "w"}, "config": {"n": 1},
            "prompts": {"query": "q"}, "weights": "w"}  # fmt: skip
PROJECTION = {"mean": 0.5, "list": [1, 2], "special_tokens": ["a"]}
PASSAGE = dict.fromkeys(("text", "topic", "subject", "attribute", "value"), "x")
DOCUMENTS = {
    "manifest": (lambda path: Manifest.read(path.parent), "config.json", SETTINGS),
    "settings of a checkpoint": (read_json, "x.json", PROJECTION),
    "yaml of a checkpoint": (read_yaml, "x.yml", PROJECTION),
    "pickle of a checkpoint": (read_projection, "x", PROJECTION),
    "record of a run": (lambda path: history.read_run(path.parent), "run.json", {"lr": 1, "seed": [0]}),
    "run that goes on": (lambda path: Run(path.parent).start({"lr": 1}, resume=True), "run.json", {"lr": 1}),
    "log of a run": (lambda path: (Run(path.parent).last_log(), Run(path.parent).start({}, resume=True)),
                     "log.jsonl", {"step": 1, "loss": 2.0}),
    "log that is looked at": (lambda path: (path.with_name("run.json").write_text("{}"), history.read_run(path.parent)),
                              "log.jsonl", {"step": 1, "loss": 2.0}),
    "index": (lambda path: LatentIndex.open(path.parent), "config.json",
              {"schema": 1, "backbone": {"weights": "w"}, "layers": [1], "dimension": 2, "texts": 1, "contexts": 1,
               "truncated": 0, "max_length": 3, "source": "s", "source_hash": "h"}),
    "exam of the field guide": (read_exam, "eval.jsonl", {"kind": "one_hop", "query": "q", "response": "r",
                                                          "accept": ["x"], "topic": "t"}),
    "passages of the field guide": (read_passages, "p.jsonl", PASSAGE),
    "reference of trust": (reference._read, "t.json", json.loads("{}")),
}  # fmt: skip


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents_of_settings(tmp_path_factory, name):
    read, file, whole = DOCUMENTS[name]
    folder = tmp_path_factory.mktemp("document")

    @bounded
    @given(damaged(json.dumps(whole).encode()) | other_json(whole))
    def check(data):
        for other in folder.iterdir():
            if other.is_file() and other.name != file:
                other.unlink()
        read_or_refused(folder / file, data, read)

    check()


def test_a_frame_of_numbers(folder):
    whole = BytesIO()
    pd.DataFrame([[1.0, 2.0]], columns=["x", "y"]).to_parquet(whole)

    @bounded
    @given(damaged(whole.getvalue()))
    def check(data):
        read_or_refused(
            folder / "n.parquet", data, lambda path: read_vectors_file(path.name, path.read_bytes())
        )

    check()


def artifact(kind, backbone, folder):
    """A saved artifact, and how it is loaded."""
    embedder = LLM2VecGen.untrained(backbone, LLM2VecGenConfig(n_compression=2, dimension=4))
    if kind == "embedder":
        save(embedder, folder)
        return lambda: load_embedder(folder, backbone=backbone)
    if kind == "lifter":
        shape = LifterConfig(width=3, n_prompts=2, dimension=4, size=backbone.hidden_size)
        save_lifter(Lifter(shape), embedder, folder)
        return lambda: load_lifter(embedder, folder)
    teacher = LLM2VecTeacher(backbone, LLM2VecConfig(lora_rank=1))
    save(teacher, folder)
    return lambda: llm2vec.load(folder, backbone)


@pytest.mark.parametrize("kind", ["embedder", "lifter", "teacher"])
def test_artifacts_whose_settings_or_tensors_are_others(tmp_path_factory, tiny_backbone, kind):
    folder = tmp_path_factory.mktemp("artifact") / "a"
    load = artifact(kind, tiny_backbone, folder)
    load()
    whole = json.loads((folder / "config.json").read_text())
    tensors = (folder / "model.safetensors").read_bytes()

    @bounded
    @given(other_json(whole))
    def other_settings(data):
        read_or_refused(folder / "config.json", data, lambda path: load())

    @settings(bounded, max_examples=25)
    @given(damaged(tensors))
    def other_tensors(data):  # with the hash that they should have: whoever writes one writes the other
        (folder / "config.json").write_text(json.dumps({**whole, "weights": hash_bytes_of(data)}))
        read_or_refused(folder / "model.safetensors", data, lambda path: load())

    other_settings()
    other_tensors()


def hash_bytes_of(data):
    return hashlib.sha256(data).hexdigest()
