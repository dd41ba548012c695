"""Tasks whose files are read and checked before any model is loaded, one kind for each protocol."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from workbench.errors import UsageError
from workbench.evaluation import (
    classification,
    clustering,
    pair_classification,
    reasoning,
    reranking,
    retrieval,
    safety,
    sts,
)
from workbench.evaluation.files import read_labelled, read_pairs, read_sets, read_sts, unknown_labels
from workbench.evaluation.protocol import Score
from workbench.evaluation.retrieval_files import read_reranking, read_retrieval
from workbench.files import hash_bytes, hash_file, hash_tree
from workbench.texts import read_texts

if TYPE_CHECKING:
    from workbench.evaluation.readers import Reader

Measure = Callable[["Reader"], Score]
Files = dict[str, str]


@dataclass(frozen=True)
class Job:
    """A task that any source can be measured on."""

    task: str
    protocol: str
    measure: Measure
    data_hash: str
    """Hash of the data and of the settings: scores of two sources may be compared where it is the same."""
    names: tuple[str, ...] = ()
    """What the task goes by among an embedder's prompts; none for texts that are read as they are."""
    files: Files = field(default_factory=dict)
    """The file of each role."""
    settings: dict[str, Any] = field(default_factory=dict)
    published: float | None = None
    """A published score of all-MiniLM-L6-v2, for comparison."""


class FileTask(NamedTuple):
    """What `--task` of one name takes: files by role, and settings."""

    read: Callable[[str, Files, dict[str, Any]], Measure]
    """Reads the files and gives what measures; its arguments are the task's name, the files, the settings."""
    needs: tuple[tuple[str, ...], ...]
    """The roles that must be given; one of these sets."""
    may: tuple[str, ...] = ()
    """Roles that may be given besides."""
    settings: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


def prepare(
    protocol: str,
    files: Files,
    settings: dict[str, Any] | None = None,
    *,
    task: str | None = None,
    names: tuple[str, ...] = (),
    published: float | None = None,
) -> Job:
    """The task in the files, read and checked.

    `task` is its name (else that of its first file); `names` are tried before the protocol's own for an instruction.
    Raises UsageError where a file is missing or is one too many, a setting does not belong to the protocol, or a file
    is wrong in its form, WorkbenchError with the line where its content is.
    """
    if protocol not in FILE_TASKS:
        raise UsageError(f"no task named {protocol!r}; there are {', '.join(FILE_TASKS)}")
    kind, settings = FILE_TASKS[protocol], settings or {}
    _check(protocol, kind, files, settings)
    first = next(role for role in ("data", "queries") if role in files)
    task = task or Path(files[first]).name.split(".")[0]
    measure = kind.read(task, files, settings)
    return Job(
        task,
        protocol,
        measure,
        _hash(protocol, files, settings),
        (*names, *kind.names),
        files,
        settings,
        published,
    )


def _check(protocol: str, kind: FileTask, files: Files, settings: dict[str, Any]) -> None:
    for role in files:
        if role not in kind.may and not any(role in needed for needed in kind.needs):
            raise UsageError(f"--{role} does not belong to --task {protocol}")
    for name in settings:
        if name not in kind.settings:
            raise UsageError(f"--{name.replace('_', '-')} does not belong to --task {protocol}")
    if not any(set(needed) <= set(files) <= {*needed, *kind.may} for needed in kind.needs):
        wanted = ", or ".join(" ".join(f"--{role}" for role in needed) for needed in kind.needs)
        raise UsageError(f"--task {protocol} needs {wanted}")


def _hash(protocol: str, files: Files, settings: dict[str, Any]) -> str:
    parts = [protocol, json.dumps(settings, sort_keys=True)]
    for role in sorted(files):
        path = Path(files[role]).expanduser()
        parts += [role, hash_tree(path) if path.is_dir() else hash_file(path)]
    return hash_bytes(*parts)


def _sts(task: str, files: Files, settings: dict[str, Any]) -> Measure:
    data = read_sts(files["data"])
    return lambda reader: sts.evaluate(data, reader.encode, task=task)


def _pairs(task: str, files: Files, settings: dict[str, Any]) -> Measure:
    data = read_pairs(files["data"])
    return lambda reader: pair_classification.evaluate(data, reader.encode, task=task)


def _classification(task: str, files: Files, settings: dict[str, Any]) -> Measure:
    train, test = read_labelled(files["train"]), read_labelled(files["data"])
    unknown_labels(train, test)
    return lambda reader: classification.evaluate(train, test, reader.encode, task=task, **settings)


def _clustering(task: str, files: Files, settings: dict[str, Any]) -> Measure:
    if not settings:
        sets = read_sets(files["data"])
        return lambda reader: clustering.evaluate(sets, reader.encode, task=task)
    data = read_labelled(files["data"])
    most = settings.get("max_texts")
    return lambda reader: clustering.evaluate_fast(data, reader.encode, task=task, max_texts=most)


def _retrieval(task: str, files: Files, settings: dict[str, Any]) -> Measure:
    data = read_retrieval(files["corpus"], files["queries"], files["qrels"])
    return lambda reader: retrieval.evaluate(
        data, reader.encode_query, reader.encode_document, task=task, **settings
    )


def _reranking(task: str, files: Files, settings: dict[str, Any]) -> Measure:
    if "data" in files:
        data = read_reranking(files["data"])
    else:
        data = read_retrieval(files["corpus"], files["queries"], files["qrels"], files["candidates"])
    return lambda reader: reranking.evaluate(data, reader.encode_query, reader.encode_document, task=task)


def _safety(task: str, files: Files, settings: dict[str, Any]) -> Measure:
    data = safety.read_advbench(files["data"], files.get("corpus"))
    return lambda reader: safety.evaluate(data, reader.encode_query, reader.encode_document, task=task)


def _reasoning(task: str, files: Files, settings: dict[str, Any]) -> Measure:
    data = reasoning.read_bright(files["data"], files["corpus"], **settings)
    return lambda reader: reasoning.evaluate(data, reader.encode_query, reader.encode_document, task=task)


def _multiple_choice(task: str, files: Files, settings: dict[str, Any]) -> Measure:
    from workbench.evaluation import multiple_choice
    from workbench.evaluation.questions import read_questions

    questions = read_questions(files["data"])
    solved = read_questions(files["train"]) if "train" in files else None
    if settings.get("shots") and solved is None:
        raise UsageError("--shots needs solved examples: --train FILE")

    def measure(reader: Reader) -> Score:
        with reader.source.language_model() as backbone:
            return multiple_choice.evaluate(questions, backbone, task=task, solved=solved, **settings)

    return measure


def _perplexity(task: str, files: Files, settings: dict[str, Any]) -> Measure:
    from workbench.evaluation import perplexity

    texts = read_texts(files["data"], settings.get("column")).texts
    options = {"max_length": settings["max_length"]} if "max_length" in settings else {}

    def measure(reader: Reader) -> Score:
        with reader.source.language_model() as backbone:
            return perplexity.evaluate(texts, backbone, task=task, **options)

    return measure


SEARCH = ("corpus", "queries", "qrels")
FILE_TASKS: dict[str, FileTask] = {
    "sts": FileTask(_sts, (("data",),), names=("STS",)),
    "classification": FileTask(
        _classification, (("train", "data"),), settings=("samples_per_label",), names=("Classification",)
    ),
    "clustering": FileTask(_clustering, (("data",),), settings=("fast", "max_texts"), names=("Clustering",)),
    "pair-classification": FileTask(_pairs, (("data",),), names=("PairClassification",)),
    "retrieval": FileTask(_retrieval, (SEARCH,), settings=("ignore_identical_ids",), names=("Retrieval",)),
    "reranking": FileTask(_reranking, (("data",), (*SEARCH, "candidates")), names=("Reranking",)),
    "safety": FileTask(_safety, (("data",),), may=("corpus",), names=("AdvBench-IR",)),
    "reasoning": FileTask(_reasoning, (("data", "corpus"),), settings=("long",), names=("Retrieval",)),
    "multiple-choice": FileTask(_multiple_choice, (("data",),), may=("train",), settings=("shots",)),
    "perplexity": FileTask(_perplexity, (("data",),), settings=("max_length", "column")),
}
"""The tasks that files of a user's own are read as, by name."""
SPEAKING = ("multiple-choice", "perplexity")
"""The tasks that a language model answers, without embeddings."""
