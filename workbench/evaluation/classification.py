"""Classification of frozen embeddings, as mteb defines it: ten small training sets, logistic regression each."""

from __future__ import annotations

import warnings

import numpy as np
from jaxtyping import Float

from workbench.errors import UsageError
from workbench.evaluation.files import Labelled, unknown_labels
from workbench.evaluation.protocol import Encode, Score, embedded

EXPERIMENTS, SEED, MAX_ITER = 10, 42, 100
SAMPLES_PER_LABEL = 8
"""mteb's default; its tasks set their own (emotions 16, banking 8, reviews 32 and more)."""


def evaluate(
    train: Labelled,
    test: Labelled,
    encode: Encode,
    *,
    task: str,
    samples_per_label: int = SAMPLES_PER_LABEL,
) -> Score:
    """Mean accuracy (the main score) and macro F1 over ten experiments.

    Each experiment trains a logistic regression on `samples_per_label` training texts of every label (all of them where
    there are fewer) and classifies all test texts. The score's items are the test texts' shares of right
    classifications, which an interval resamples: it does not cover the draw of training texts. Raises WorkbenchError
    for a test label that training lacks, with the line, or a vector that is not finite.
    """
    if samples_per_label < 1:
        raise UsageError(f"samples_per_label must be at least 1, not {samples_per_label}")
    unknown_labels(train, test)
    if len(set(train.labels)) < 2:
        raise UsageError(f"{task}: the training texts have a single label; nothing to tell apart")
    draws = undersample(train.labels, samples_per_label)
    used = sorted(set().union(*draws))
    vectors = embedded(encode, [train.texts[row] for row in used], [train.where[row] for row in used])
    place = {row: number for number, row in enumerate(used)}
    tested = embedded(encode, test.texts, test.where)
    labels, gold = (
        np.array(side.labels, dtype=object) for side in (train, test)
    )  # text would lose a NUL at its end
    right, figures = np.zeros(len(gold)), []
    for rows in draws:
        guessed = _classify(vectors[[place[row] for row in rows]], labels[rows], tested)
        right += guessed == gold
        figures.append(_figures(gold, guessed))
    metrics = {name: float(np.mean([figure[name] for figure in figures])) for name in figures[0]}
    items = right / len(draws)
    details = {
        "samples_per_label": samples_per_label,
        "labels": len(set(train.labels)),
        "train": len(used),
        "experiments": [figure["accuracy"] for figure in figures],
    }
    return Score(
        task, "classification", "accuracy", metrics["accuracy"], metrics, len(test), items, details=details
    )


def undersample(labels: list[str], samples_per_label: int) -> list[list[int]]:
    """The rows that each experiment trains on, at most `samples_per_label` of a label.

    Every experiment shuffles the order that the last one left, with a generator seeded 42 anew: the shuffle is the
    same permutation each time, and what it permutes is not.
    """
    order, draws = list(range(len(labels))), []
    for _ in range(EXPERIMENTS):
        np.random.RandomState(SEED).shuffle(order)
        taken: dict[str, int] = {}
        rows = []
        for row in order:
            if taken.setdefault(labels[row], 0) < samples_per_label:
                taken[labels[row]] += 1
                rows.append(row)
        draws.append(rows)
    return draws


def _classify(
    vectors: Float[np.ndarray, "b d"], labels: np.ndarray, tested: Float[np.ndarray, "m d"]
) -> np.ndarray:
    """The labels of the tested vectors by a logistic regression that stops after 100 iterations at the latest."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the definition stops at 100, converged or not
        return LogisticRegression(max_iter=MAX_ITER, random_state=SEED).fit(vectors, labels).predict(tested)


def _figures(gold: np.ndarray, guessed: np.ndarray) -> dict[str, float]:
    from sklearn.metrics import accuracy_score, average_precision_score, f1_score

    figures = {
        "accuracy": float(accuracy_score(gold, guessed)),
        "f1": float(f1_score(gold, guessed, average="macro")),
        "f1_weighted": float(f1_score(gold, guessed, average="weighted")),
    }
    if set(gold) == {"0", "1"}:
        figures["ap"] = float(average_precision_score(gold == "1", guessed == "1"))
    return figures
