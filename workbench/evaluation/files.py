"""Reads the files of tasks on pairs and on labelled texts, and refuses a wrong one with its line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from workbench.errors import UsageError, WorkbenchError
from workbench.evaluation.tables import Table, as_number, read_table

FIRST = ("sentence1", "sentence_1", "sent1", "text1")
SECOND = ("sentence2", "sentence_2", "sent2", "text2")
SCORE = ("score", "similarity_score", "similarity", "relatedness_score", "gold")
ALIKE = ("label", "labels", "is_duplicate")
TEXT = ("text", "sentence", "query", "utterance", "title")
LABEL = ("label", "labels", "intent", "category", "class", "label_text")
SENTENCES = ("sentences", "texts")
LABELS = ("labels",)


@dataclass(frozen=True)
class Pairs:
    """Pairs of texts, each with a number: a graded similarity, or 1 and 0 for alike and not."""

    first: list[str]
    second: list[str]
    scores: Float[np.ndarray, " m"]
    where: list[str]
    """The file and line of each pair."""

    def __post_init__(self) -> None:
        if len({len(self.first), len(self.second), len(self.scores), len(self.where)}) != 1:
            raise ValueError("pairs, scores and places differ in number")

    def __len__(self) -> int:
        return len(self.first)


@dataclass(frozen=True)
class Labelled:
    """Texts with a label each."""

    texts: list[str]
    labels: list[str]
    where: list[str]
    """The file and line of each text."""

    def __post_init__(self) -> None:
        if len({len(self.texts), len(self.labels), len(self.where)}) != 1:
            raise ValueError("texts, labels and places differ in number")

    def __len__(self) -> int:
        return len(self.texts)


def read_sts(source: str | Path) -> Pairs:
    """Pairs with a graded score, in any range; columns sentence1, sentence2, score, in any order and among others.

    A csv or tsv file without a header has three columns, of which the one that holds a number is the score.
    Raises UsageError or WorkbenchError with the line where a column, a text or a score is missing or wrong.
    """
    table = read_table(source, (*FIRST, *SECOND, *SCORE, *ALIKE))
    if table.has_header:
        columns = table.pick("the first text", FIRST), table.pick("the second text", SECOND)
        return _pairs(table, *columns, table.pick("the score", (*SCORE, *ALIKE)))
    first = table.rows[0].values
    numbers = [column for column in table.columns if as_number(first[column]) is not None]
    if len(table.columns) != 3 or len(numbers) != 1:
        shown = ", ".join(str(value)[:30] for value in list(first.values())[:4])
        raise UsageError(
            f"{table.source}, {table.rows[0].where}: neither a header with {FIRST[0]}, {SECOND[0]} and {SCORE[0]} "
            f"nor two texts and one number: {shown}"
        )
    left, right = (column for column in table.columns if column != numbers[0])
    return _pairs(table, left, right, numbers[0])


def read_pairs(source: str | Path) -> Pairs:
    """Pairs labelled 1 (alike) or 0; columns sentence1, sentence2, label. Raises as `read_sts`."""
    table = read_table(source, (*FIRST, *SECOND, *ALIKE, *SCORE))
    pairs = _pairs(
        table,
        table.pick("the first text", FIRST),
        table.pick("the second text", SECOND),
        table.pick("the label", (*ALIKE, *SCORE)),
    )
    for place, label in zip(pairs.where, pairs.scores, strict=True):
        if label not in (0, 1):
            raise WorkbenchError(f"{place}: the label of a pair is 1 (alike) or 0, not {label:g}")
    if len(np.unique(pairs.scores)) < 2:
        raise WorkbenchError(f"{source}: every pair has the label {pairs.scores[0]:g}; nothing to tell apart")
    return pairs


def read_labelled(
    source: str | Path, *, text_column: str | None = None, label_column: str | None = None
) -> Labelled:
    """Texts with a label each; columns text and label, or those named. Raises as `read_sts`."""
    named = [column for column in (text_column, label_column) if column is not None]
    table = read_table(source, (*named, *TEXT, *LABEL))
    text = table.pick("the text", [text_column] if text_column else TEXT)
    label = table.pick("the label", [label_column] if label_column else LABEL)
    return Labelled(
        [table.text(row, text) for row in table.rows],
        [table.name(row, label) for row in table.rows],
        [table.where(row) for row in table.rows],
    )


def read_sets(source: str | Path) -> list[Labelled]:
    """Sets of texts to cluster: a row each with the lists sentences and labels, or one set of rows text, label.

    Raises as `read_sts`, and where the two lists of a row differ in length.
    """
    table = read_table(source, (*SENTENCES, *TEXT, *LABEL))
    sentences = table.has(SENTENCES)
    if sentences is None or not isinstance(table.rows[0].values.get(sentences), list):
        if sentences is None:
            return [read_labelled(source)]
        return [read_labelled(source, text_column=sentences)]
    column, sets = table.pick("the labels", LABELS), []
    for row in table.rows:
        texts, labels = table.list(row, sentences), table.list(row, column)
        if len(texts) != len(labels) or not texts:
            raise WorkbenchError(f"{table.where(row)}: {len(texts)} texts but {len(labels)} labels")
        sets.append(Labelled(texts, labels, [table.where(row)] * len(texts)))
    return sets


def _pairs(table: Table, first: str, second: str, score: str) -> Pairs:
    return Pairs(
        [table.text(row, first) for row in table.rows],
        [table.text(row, second) for row in table.rows],
        np.array([table.number(row, score) for row in table.rows]),
        [table.where(row) for row in table.rows],
    )


def unknown_labels(train: Labelled, test: Labelled) -> None:
    """Raises WorkbenchError, with the line, for the first test text whose label no training text has."""
    known: set[str] = set(train.labels)
    _refuse_unknown(test.where, test.labels, known)


def _refuse_unknown(where: Sequence[str], labels: Sequence[str], known: set[str]) -> None:
    for place, label in zip(where, labels, strict=True):
        if label not in known:
            raise WorkbenchError(f"{place}: no training text has the label {label!r}")
