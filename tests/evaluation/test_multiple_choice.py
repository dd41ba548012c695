"""Multiple choice against a slow reference, letter by letter, and its files and prompts by hand."""

import json

import numpy as np
import pytest
import torch

from workbench.errors import UsageError, WorkbenchError
from workbench.evaluation import multiple_choice
from workbench.evaluation.multiple_choice import evaluate, letter_likelihoods
from workbench.evaluation.questions import Question, prompt, read_questions

QUESTIONS = [
    Question("Which is a metal?", ("gold", "a lion", "a river"), 0, "things", "f, line 1"),
    Question("Where is Paris?", ("Japan", "France"), 1, "world_places", "f, line 2"),
    Question("What does a lion eat?", ("meat", "gold", "strings", "a guitar"), 0, "things", "f, line 3"),
]
SOLVED = [
    Question("Is tea hot?", ("yes", "no"), 0, "things", "s, line 1"),
    Question("Where is Tokyo?", ("France", "Japan"), 1, "world_places", "s, line 2"),
    Question("Who paints?", ("a wall", "a painter"), 1, "things", "s, line 3"),
]


def slow(backbone, text, letter):
    """The log-likelihood of the letter behind the text, from the model itself, without batch or padding."""
    ids = backbone.tokenizer(f"{text} {letter}", add_special_tokens=False)["input_ids"]
    known = backbone.tokenizer(text, add_special_tokens=False)["input_ids"]
    assert ids[: len(known)] == known
    with torch.no_grad():
        logits = backbone.model(torch.tensor([ids])).logits[0].float().log_softmax(dim=-1)
    return sum(float(logits[place - 1, ids[place]]) for place in range(len(known), len(ids)))


def test_the_prompt_is_that_of_mmlu():
    assert prompt(QUESTIONS[1], SOLVED[1:2]) == (
        "The following are multiple choice questions (with answers) about world places.\n\n"
        "Where is Tokyo?\nA. France\nB. Japan\nAnswer: B\n\n"
        "Where is Paris?\nA. Japan\nB. France\nAnswer:"
    )
    nothing = Question("Why?", ("a", "b"), 0, "", "")
    assert prompt(nothing).startswith(
        "The following are multiple choice questions (with answers).\n\nWhy?\nA. a\n"
    )


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize("batch_size", [1, 2, 16])
def test_letters_are_as_likely_as_the_model_says(make_tiny, family, batch_size):
    backbone = make_tiny(family)
    prompts = [prompt(QUESTIONS[0], SOLVED[:1]), prompt(QUESTIONS[1]), prompt(QUESTIONS[2])]
    found = letter_likelihoods(QUESTIONS, prompts, backbone, batch_size=batch_size)
    # " A" is two tokens here, a space and the letter: the letters share the space, and it is not counted.
    shared = [slow(backbone, text, "") for text in prompts]
    for question, text, each, space in zip(QUESTIONS, prompts, found, shared, strict=True):
        expected = [slow(backbone, text, letter) - space for letter in "ABCD"[: len(question.choices)]]
        np.testing.assert_allclose(each, expected, atol=2e-4)


def test_letters_whose_tokens_differ_in_number_are_compared_whole(make_tiny, monkeypatch):
    backbone = make_tiny("llama")
    tokenize = backbone.tokenize

    def merged(texts, **options):
        """The backbone's tokens, but " A" is one token (that of "z"), where " B" stays two."""
        made = tokenize(texts, **options)
        for row, text in zip(made.ids, texts, strict=True):
            if text.endswith(" A"):
                row[-2:] = backbone.tokenizer("z", add_special_tokens=False)["input_ids"]
        return made

    monkeypatch.setattr(backbone, "tokenize", merged)
    text, question = prompt(QUESTIONS[1]), QUESTIONS[1]
    (found,) = letter_likelihoods([question], [text], backbone)
    known = backbone.tokenizer(text, add_special_tokens=False)["input_ids"]
    (token,) = backbone.tokenizer("z", add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        logits = backbone.model(torch.tensor([known])).logits[0, -1].float().log_softmax(dim=-1)
    np.testing.assert_allclose(found, [float(logits[token]), slow(backbone, text, "B")], atol=2e-4)


def test_accuracy_is_averaged_over_subjects(make_tiny, monkeypatch):
    likeliest = [np.array([-1.0, -2, -3]), np.array([-1.0, -2]), np.array([-1.0, -1, -3, -4])]
    monkeypatch.setattr(multiple_choice, "letter_likelihoods", lambda *_, **__: likeliest)
    found = evaluate(QUESTIONS, make_tiny("llama"), task="t")
    # Right: the first alone. The second is wrong, and in the third two letters are equally likely.
    assert found.details["subjects"] == {"things": 0.5, "world_places": 0.0}
    assert found.main_score == found.metrics["macro_accuracy"] == 0.25
    assert found.metrics["accuracy"] == pytest.approx(1 / 3)
    assert found.pairs.tolist() == [[1, 0], [0, 1], [0, 0]]
    assert found.details["chance"] == pytest.approx((1 / 3 + 1 / 2 + 1 / 4) / 3)


def test_shots_are_of_the_same_subject_and_never_the_question_itself(make_tiny, monkeypatch):
    asked = []

    def record(questions, prompts, backbone, batch_size):
        asked.extend(prompts)
        return [np.arange(len(question.choices), dtype=float) for question in questions]

    monkeypatch.setattr(multiple_choice, "letter_likelihoods", record)
    backbone = make_tiny("llama")
    evaluate(QUESTIONS, backbone, task="t", solved=[QUESTIONS[0], *SOLVED], shots=1)
    assert "Is tea hot?" in asked[0]  # not the question itself, which stands first
    assert asked[0].count("Which is a metal?") == 1
    assert "Where is Tokyo?" in asked[1]
    assert "Which is a metal?" in asked[2]
    with pytest.raises(
        UsageError, match=r"f, line 2: 2 solved examples were asked for, but 1 are about world_places"
    ):
        evaluate(QUESTIONS, backbone, task="t", solved=SOLVED, shots=2)


def test_a_prompt_beyond_the_window_is_refused(make_tiny):
    long = Question("word " * 600, ("a", "b"), 0, "", "f, line 7")
    with pytest.raises(WorkbenchError, match=r"^f, line 7: .* exceeds the 512 tokens"):
        evaluate([QUESTIONS[0], long], make_tiny("llama"), task="t")
    with pytest.raises(UsageError, match="there is no question"):
        evaluate([], make_tiny("llama"), task="t")


def test_questions_are_read_from_what_there_is(tmp_path):
    lists = tmp_path / "q.jsonl"
    rows = [
        {"question": "Q", "choices": ["x", "y"], "answer": 1, "subject": "s"},
        {"question": "R", "choices": ["x", "y", "z"], "answer": "C", "subject": "t"},
    ]
    lists.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (first, second) = read_questions(lists)
    assert first == Question("Q", ("x", "y"), 1, "s", f"{lists}, line 1")
    assert (second.answer, second.subject) == (2, "t")
    folder = tmp_path / "mmlu"
    folder.mkdir()
    (folder / "world_history_test.csv").write_text('"Who, then?",a,"b ""c""",d,e,B\nWhy?,1,2,3,4,D\n')
    (folder / "physics_test.csv").write_text("How?,a,b,c,d,A\n")
    read = read_questions(folder)
    assert [(q.question, q.subject, q.answer) for q in read] == [
        ("How?", "physics", 0), ("Who, then?", "world_history", 1), ("Why?", "world_history", 3),
    ]  # fmt: skip
    assert read[1].choices == ("a", 'b "c"', "d", "e")
    columns = tmp_path / "c.csv"
    columns.write_text("question,A,B,C,answer\nQ,x,y,,1\n")
    assert read_questions(columns)[0].choices == ("x", "y")
    assert read_questions(columns)[0].subject == ""


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            {"question": "Q", "choices": ["x", "y"], "answer": "C"},
            "line 1: the answer 'C' is none of the 2 choices",
        ),
        ({"question": "Q", "choices": ["x", "y"], "answer": -1}, "line 1: the answer '-1' is none of the 2"),
        ({"question": "Q", "choices": ["x"], "answer": 0}, "line 1: a question has 2 to 26 choices, not 1"),
        ({"question": "Q", "choices": "xy", "answer": 0}, "line 1: choices is not a list of texts"),
        ({"question": None, "choices": ["x", "y"], "answer": 0}, "line 1: question is missing"),
        ({"question": "Q", "choices": ["x", "y"]}, "line 1: no column holds the answer"),
        ({"question": "Q", "answer": 1}, "line 1: no column holds the choices"),
    ],
)
def test_a_wrong_question_is_refused_with_its_line(tmp_path, row, message):
    path = tmp_path / "q.jsonl"
    path.write_text(json.dumps(row) + "\n")
    with pytest.raises(WorkbenchError, match=message):
        read_questions(path)
