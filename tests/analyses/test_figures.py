"""All figures at once: what is measured anew and why, and that the measured numbers are what they say."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import typer

from analyses import figures, logit_lens, neighbourhoods
from analyses.bootstrap import interval
from analyses.latent_lens import hits, others
from workbench.fieldguide.items import Item
from workbench.figures.paper.registry import FIGURES, figure_named
from workbench.figures.paper.results import write_results


@pytest.fixture
def shipped_data(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    (tmp_path / "corpus.jsonl").write_text("one")
    return tmp_path


def test_a_figure_is_measured_where_it_is_missing_stale_unreadable_or_asked_for(shipped_data):
    whole = figure_named("attribution")
    figure = replace(whole, needs={}, caption="It shows nothing.")
    assert figures.why(figure, fresh=False) == "missing"
    path = write_results("attribution", data={}, numbers={}, artifacts=["corpus.jsonl"])
    assert figures.why(figure, fresh=False) == ""
    assert figures.why(whole, fresh=False) == "unreadable", "its results lack what it needs"
    assert figures.why(figure, fresh=True) == "asked for"
    (shipped_data / "corpus.jsonl").write_text("another")
    assert figures.why(figure, fresh=False) == "stale"
    path.write_text("{")
    assert figures.why(figure, fresh=False) == "unreadable"


def test_a_script_that_fails_ends_the_run_with_its_code():
    with pytest.raises(typer.Exit) as ended:
        figures.measure("python -c 'raise SystemExit(3)'")
    assert ended.value.exit_code == 3
    figures.measure("python -c pass")


def test_scripts_that_keep_rows_are_told_to_measure_anew(monkeypatch):
    called = []
    monkeypatch.setattr(figures.subprocess, "run", lambda command, **_: called.append(command[3:]) or SimpleNamespace(
        returncode=0
    ))  # fmt: skip
    for fresh in (False, True):
        for command in (*figures.KEEPING, "python -m analyses.safety"):
            figures.measure(command, fresh)
    assert called == [[], [], [], ["--fresh"], ["--fresh"], []]
    assert set(figures.KEEPING) <= {figure.command for figure in FIGURES}


def test_an_interval_is_that_of_the_mean():
    assert interval(np.array([2.0, 2.0, 2.0])) == [2.0, 2.0, 2.0]
    mean, low, high = interval(np.arange(100.0))
    assert mean == 49.5
    # The standard error of the mean is 2.89; 1.96 of them on each side.
    assert low == pytest.approx(49.5 - 5.66, abs=0.6)
    assert high == pytest.approx(49.5 + 5.66, abs=0.6)


def test_overlap_is_the_share_of_common_words():
    found = neighbourhoods.overlaps(["What is gold?", "what is iron", "Who sings?"])
    assert found[0, 1] == pytest.approx(2 / 4)
    assert found[0, 2] == 0
    assert np.allclose(np.diag(found), 1)


def test_neighbours_are_counted_by_what_they_share(monkeypatch):
    monkeypatch.setattr(neighbourhoods, "K", 1)
    # Two pairs of neighbours: one of the same answer in other words, one of other answers in the same words.
    vectors = np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]])
    words = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0.9], [0, 0, 0.9, 1]])
    found = neighbourhoods.shared(vectors, words, ["a", "a", "b", "c"], np.ones(4, bool))
    assert found["same answer"].tolist() == [1, 1, 0, 0]
    assert found["worded alike"].tolist() == [0, 0, 1, 1]
    assert found["worded alike, another answer"].tolist() == [0, 0, 1, 1]


def test_contexts_that_name_an_answer_are_counted_without_their_marks():
    class Reading:
        snippets = ([["The capital is Nairob«i»."], ["It is «gold»."]],)

    assert hits([Reading()], [("Nairobi",)], [4]).tolist() == [[0.5]]


def test_the_control_is_another_answer_to_the_same_kind_of_question():
    def item(answer, topic, attribute):
        return Item("one_hop", "q", answer, (answer,), topic, "s", attribute)

    items = [
        item("Asia", "cities", "continent"),
        item("Asia", "cities", "continent"),
        item("fur", "animals", "cover"),
        item("Europe", "cities", "continent"),
    ]
    assert others(items)[:2] == [("Europe",), ("Europe",)]
    assert others(items)[2] == ("Europe",)
    assert others(items)[3] == ("Asia",)


class Letters:
    """A tokenizer that knows few words, and cuts others into their first letter and the rest."""

    all_special_ids = (9,)

    def __init__(self):
        self.known = []

    def __call__(self, texts, add_special_tokens):
        assert not add_special_tokens
        whole = ("is", "the", "capital", "of", "what", "nairobi")
        cuts = [
            [text] if text.strip().lower() in whole else [text[: text.count(" ") + 1], text.strip()[1:]]
            for text in texts
        ]
        start = len(self.known)
        self.known += [piece for cut in cuts for piece in cut]
        places = iter(range(start, len(self.known)))
        return {"input_ids": [[next(places) for _ in cut] for cut in cuts]}

    def decode(self, ids, **_):
        return "".join(self.known[place] for place in ids)

    def convert_ids_to_tokens(self, place):
        return self.known[place]


def read_as(*ranks, ids=None):
    numbers = np.array(ids or range(10, 10 + len(ranks)))[None, None]
    return SimpleNamespace(text="What is the capital of Kenya?", tokens=[[list(ranks)]], token_ids=numbers)


def test_bytes_and_signs_stand_in_no_text_and_control_tokens_are_no_words():
    reading = read_as("␣Kenya", "␣Nairobi", "␣gold", "⟨C3⟩", "␣!", "end", "␣⟨E2⟩", ids=[1, 2, 3, 4, 5, 9, 6])
    assert logit_lens.sorts(Letters(), reading, "The capital is Nairobi.") == [[[0, 1, 2, -1, -1, -1, -1]]]
    assert logit_lens.counts(Letters(), reading, "Paris") == [[1, 0, 2]]


def test_letters_within_a_word_are_no_word_but_pieces_that_it_is_cut_into_are():
    # "It" and "S" stand within "capital" and "is", which are whole; Kenya is cut into K and enya.
    reading = read_as("It", "S", "The", "K", "enya", "␣c", "P", "aris")
    assert logit_lens.sorts(Letters(), reading, "Paris") == [[[2, 2, 0, 0, 0, 2, 1, 1]]]


def test_what_the_response_adds_is_paired_with_another_response():
    own, other = np.array([[1, 2, 1], [1, 1, 2]]), np.array([[1, 0, 3], [1, 1, 2]])
    mean, low, high = logit_lens.gain(own, other)
    assert mean == pytest.approx(3 / 8 - 1 / 8)
    # Only the first query differs, by 2 of 4 words: drawn never, once or twice.
    assert (low, high) == pytest.approx((0, 0.5))
    assert logit_lens.gain(own, own) == [0, 0, 0]
    assert logit_lens.shares_of(own)[1][0] == pytest.approx(3 / 8)
