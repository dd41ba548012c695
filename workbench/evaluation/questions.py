"""Multiple-choice questions: their files, as MMLU has them and others, and the prompt that a backbone reads."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from workbench.errors import UsageError, WorkbenchError
from workbench.evaluation.tables import SUFFIXES, Table, read_table
from workbench.texts import Row

LETTERS = string.ascii_uppercase
CHOICES = ("choices", "options")
ANSWER = ("answer", "answer_key", "answerKey", "label", "gold")
SUBJECT = ("subject", "category")


@dataclass(frozen=True)
class Question:
    """A question, its choices, and which of them is right."""

    question: str
    choices: tuple[str, ...]
    answer: int
    """The number of the right choice, from 0."""
    subject: str
    """What the question is about; "" where nothing says it."""
    where: str
    """Its file and line."""


def read_questions(source: str | Path) -> list[Question]:
    """The questions of a file, or of all files of a folder.

    Columns are question, choices (a list) or A, B, C and so on, answer (a letter, or a number from 0), and subject
    where there is one. A csv file without a header is MMLU's: question, choices, letter. Without a column, the subject
    is the file's name in a folder and in MMLU's files. Raises UsageError or WorkbenchError with the line.
    """
    path = Path(source).expanduser()
    if not path.is_dir():
        return _read_file(path, named=False)
    files = sorted(file for file in path.iterdir() if file.name.removesuffix(".gz").endswith(SUFFIXES))
    if not files:
        raise UsageError(f"{source} holds no file of questions ({', '.join(SUFFIXES)})")
    return [question for file in files for question in _read_file(file, named=True)]


def prompt(question: Question, shots: Sequence[Question] = ()) -> str:
    """What the backbone reads, in the words of MMLU: the subject, the solved examples, the question, "Answer:"."""
    about = f" about {question.subject.replace('_', ' ')}" if question.subject else ""
    lead = f"The following are multiple choice questions (with answers){about}.\n\n"
    solved = "".join(f"{_asked(shot)} {LETTERS[shot.answer]}\n\n" for shot in shots)
    return lead + solved + _asked(question)


def _asked(question: Question) -> str:
    listed = "".join(
        f"{letter}. {choice}\n" for letter, choice in zip(LETTERS, question.choices, strict=False)
    )
    return f"{question.question}\n{listed}Answer:"


def _read_file(path: Path, *, named: bool) -> list[Question]:
    table = read_table(path, ("question", *CHOICES, *ANSWER[:3], *SUBJECT))
    stem = re.sub(r"_(test|val|dev|train)$", "", path.name.split(".")[0])
    if not table.has_header:
        if len(table.columns) < 4:
            raise UsageError(
                f"{path}, line 1: neither a header with question and answer nor question, choices and letter"
            )
        asked, *listed, right = table.columns
        return [_question(table, row, asked, listed, right, stem) for row in table.rows]
    asked, right = table.pick("the question", ("question",)), table.pick("the answer", ANSWER)
    choices, subject = table.has(CHOICES), table.has(SUBJECT)
    listed = choices or [found for letter in LETTERS if (found := table.has((letter,)))]
    if not listed:
        table.pick("the choices", (*CHOICES, "A"))
    return [
        _question(
            table,
            row,
            asked,
            listed,
            right,
            table.name(row, subject) if subject else stem if named else "",
        )
        for row in table.rows
    ]


def _question(
    table: Table, row: Row, asked: str, listed: str | list[str], right: str, subject: str
) -> Question:
    if isinstance(listed, str):
        choices = table.list(row, listed)
    else:
        choices = [
            str(value) for value in (row.values.get(name) for name in listed) if value not in (None, "")
        ]
    place = table.where(row)
    if not 2 <= len(choices) <= len(LETTERS):
        raise WorkbenchError(f"{place}: a question has 2 to {len(LETTERS)} choices, not {len(choices)}")
    answer = table.name(row, right).strip()
    number = LETTERS.find(answer) if len(answer) == 1 and answer in LETTERS else -1
    if number < 0 and answer.isdecimal():
        number = int(answer)
    if not 0 <= number < len(choices):
        raise WorkbenchError(f"{place}: the answer {answer!r} is none of the {len(choices)} choices")
    return Question(table.text(row, asked), tuple(choices), number, subject, place)
