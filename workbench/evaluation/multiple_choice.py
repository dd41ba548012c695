"""Multiple choice, as MMLU measures it: the letter that a backbone finds likeliest behind "Answer:"."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

import numpy as np
import torch

from workbench.backbone import Backbone
from workbench.backbone.batching import by_length
from workbench.errors import UsageError, WorkbenchError
from workbench.evaluation.protocol import STATISTICS, Score
from workbench.evaluation.questions import LETTERS, Question, prompt

MAIN = "macro_accuracy"


class Letter(NamedTuple):
    """One letter of one question: the tokens that are read, and those of the letter, which are predicted."""

    row: int
    """The number of the tokens that are read; letters of one question share them."""
    start: int
    """Where the token stands from which the letter's first one is predicted."""
    tokens: list[int]


def evaluate(
    questions: list[Question],
    backbone: Backbone,
    *,
    task: str,
    solved: list[Question] | None = None,
    shots: int = 0,
    batch_size: int = 16,
) -> Score:
    """Accuracy per subject, and its mean over subjects (`macro_accuracy`, the main score).

    `shots` solved examples of the same subject stand before each question, the first of `solved` that are not the
    question itself. A question counts as answered right where the right letter is likelier than every other. The score
    keeps right (1 or 0) and the subject's number, `[m, 2]`, and an interval resamples the questions of each subject.
    Raises UsageError where there are too few solved examples, WorkbenchError where a prompt exceeds the model's window.
    """
    if not questions:
        raise UsageError(f"{task}: there is no question")
    prompts = [prompt(question, _examples(question, solved or [], shots)) for question in questions]
    found = letter_likelihoods(questions, prompts, backbone, batch_size=batch_size)
    right = np.array(
        [
            bool(np.all(np.delete(each, q.answer) < each[q.answer]))
            for q, each in zip(questions, found, strict=True)
        ]
    )
    subjects = sorted({question.subject for question in questions})
    numbers = np.array([subjects.index(question.subject) for question in questions])
    rows = np.stack([right.astype(float), numbers.astype(float)], axis=1)
    value = STATISTICS[MAIN](rows)
    details = {
        "shots": shots,
        "subjects": {name: float(right[numbers == number].mean()) for number, name in enumerate(subjects)},
        "chance": float(np.mean([1 / len(question.choices) for question in questions])),
    }
    metrics = {MAIN: value, "accuracy": float(right.mean())}
    return Score(task, "multiple-choice", MAIN, value, metrics, len(questions), pairs=rows, details=details)


@torch.no_grad()
def letter_likelihoods(
    questions: list[Question], prompts: list[str], backbone: Backbone, *, batch_size: int = 16
) -> list[np.ndarray]:
    """The log-likelihood of every choice's letter, behind a space, for each question (arrays of its choices' number).

    Prompt and letter are tokenized together; what the letters' tokens share is read once, and the rest is predicted.
    """
    rows, letters = _letters(questions, prompts, backbone)
    by_row: dict[int, list[int]] = defaultdict(list)
    for number, letter in enumerate(letters):
        by_row[letter.row].append(number)
    total = np.zeros(len(letters))
    for chosen in by_length([len(row) for row in rows], batch_size):
        batch = backbone.pad([rows[row] for row in chosen], side="right")
        states = backbone.hidden(backbone.embed(batch.ids), mask=batch.mask, positions=batch.positions).last
        wanted = [
            (place, letters[number].start + step, token, number)
            for place, row in enumerate(chosen)
            for number in by_row[row]
            for step, token in enumerate(letters[number].tokens)
        ]
        places, positions, tokens, numbers = (list(column) for column in zip(*wanted, strict=True))
        logits = backbone.logits(states[places, positions]).float().log_softmax(dim=-1)
        picked = logits[torch.arange(len(tokens)), tokens]
        np.add.at(total, numbers, picked.double().cpu().numpy())
    ends = np.cumsum([len(question.choices) for question in questions])
    return np.split(total, ends[:-1])


def _letters(
    questions: list[Question], prompts: list[str], backbone: Backbone
) -> tuple[list[list[int]], list[Letter]]:
    """The tokens to read, each row once, and every letter of every question in order."""
    texts = [
        f"{text} {letter}"
        for question, text in zip(questions, prompts, strict=True)
        for letter in LETTERS[: len(question.choices)]
    ]
    tokens = backbone.tokenize(texts, template="raw", max_length=backbone.max_length)
    place: dict[tuple[int, ...], int] = {}
    letters, start = [], 0
    for question in questions:
        end = start + len(question.choices)
        if any(tokens.cut[start:end]):
            raise WorkbenchError(
                f"{question.where}: with its examples this question exceeds the {backbone.max_length} tokens "
                f"that {backbone.id} reads; ask with fewer shots"
            )
        shared = _shared(tokens.ids[start:end])
        for ids in tokens.ids[start:end]:
            row = place.setdefault(tuple(ids[:-1]), len(place))
            letters.append(Letter(row, shared - 1, ids[shared:]))
        start = end
    return [list(ids) for ids in place], letters


def _shared(rows: list[list[int]]) -> int:
    """How many first tokens all rows have in common; each row has one more at least, which is not."""
    return next(place for place, column in enumerate(zip(*rows, strict=False)) if len(set(column)) > 1)


def _examples(question: Question, solved: list[Question], shots: int) -> list[Question]:
    """The first solved examples of the question's subject, without the question itself."""
    fitting = [
        other
        for other in solved
        if other.subject == question.subject
        and (other.question, other.choices) != (question.question, question.choices)
    ]
    if len(fitting) < shots:
        raise UsageError(
            f"{question.where}: {shots} solved examples were asked for, but {len(fitting)} are about "
            f"{question.subject or 'the same'}"
        )
    return fitting[:shots]
