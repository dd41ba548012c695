"""The search in states on the disk against brute force, and near duplicates by hand and by planted leaks."""

import numpy as np
import pytest
import torch

from workbench.errors import UsageError, WorkbenchError
from workbench.lenses import latent_search
from workbench.lenses.duplicates import NearDuplicates, plain
from workbench.lenses.latent_search import Barred, nearest


@pytest.fixture
def states(tmp_path):
    rows = np.random.default_rng(0).standard_normal((1000, 16)).astype(np.float32)
    np.save(tmp_path / "states.npy", (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16))
    return np.lib.format.open_memmap(tmp_path / "states.npy", mode="r")


@pytest.mark.parametrize("chunk", [16, 160, 1 << 20])
def test_the_search_is_brute_force(states, monkeypatch, chunk):
    monkeypatch.setattr(latent_search, "CHUNK", chunk)
    queries = np.random.default_rng(1).standard_normal((7, 16)).astype(np.float32) * 9
    cosines = np.array(states, np.float32) @ (queries / np.linalg.norm(queries, axis=1, keepdims=True)).T
    threads = torch.get_num_threads()
    found = nearest(states, queries, 5)
    assert torch.get_num_threads() == threads
    np.testing.assert_array_equal(found.rows, np.argsort(-cosines, axis=0)[:5].T)
    np.testing.assert_allclose(found.cosines, -np.sort(-cosines, axis=0)[:5].T, atol=1e-6)
    barred = Barred(np.sort(found.rows[2]), np.full(5, 2))  # the best of query 2, for query 2 alone
    again = nearest(states, queries, 5, barred)
    np.testing.assert_array_equal(again.rows[2], np.argsort(-cosines[:, 2])[5:10])
    np.testing.assert_array_equal(np.delete(again.rows, 2, 0), np.delete(found.rows, 2, 0))


def test_length_plays_no_part_and_a_state_finds_itself(states):
    query = np.array(states[[417]], np.float32)
    for scale in (1e-3, 1.0, 1e4):
        found = nearest(states, query * scale, 2)
        assert found.rows[0, 0] == 417
        assert found.cosines[0, 0] == pytest.approx(1, abs=1e-3)
        assert found.cosines[0, 0] <= 1


def test_what_cannot_be_searched_is_refused(states):
    query = np.ones((1, 16), np.float32)
    with pytest.raises(UsageError, match="at least one neighbour"):
        nearest(states, query, 0)
    with pytest.raises(WorkbenchError, match="has no direction"):
        nearest(states, query * 0, 3)
    with pytest.raises(WorkbenchError, match="3 neighbours are asked for, but the index has 2"):
        nearest(states, query, 3, Barred(np.arange(998), np.zeros(998, np.int64)))
    assert set(nearest(states, query, 2, Barred(np.arange(998), np.zeros(998, np.int64))).rows[0]) == {
        998,
        999,
    }


def test_texts_are_compared_by_their_words():
    assert plain(["  What's\n NEW?", "ＡＢ_c", "¡Straße!", "🎉 🎉", ""]) == [
        "what s new",
        "ab c",
        "strasse",
        "🎉 🎉",
        "",
    ]
    assert plain([]) == []


def test_similarity_by_hand():
    """ " abcdefg " and " abcdefh " have 5 shingles each and share 3 (" abcd", "abcde", "bcdef"): 3 of 7 = 0.4286."""
    texts = NearDuplicates(["abcdefh", "gold", "gold"])
    assert texts.of("ABCDEFG!", 0.42).tolist() == [True, False, False]
    assert texts.of("ABCDEFG!", 0.43).tolist() == [False, False, False]
    assert texts.of("Gold.").tolist() == [False, True, True]
    for wrong in (0.0, 1.1):
        with pytest.raises(UsageError, match="above 0 and at most 1"):
            texts.of("a", wrong)


def test_what_stands_inside_is_a_duplicate_if_it_is_long_enough():
    long = "Many people ask what is the capital of Peru, and nearly all of them get told about the river instead."
    texts = NearDuplicates([long, "Lima", "Lima is where the river meets the sea, and it never rains."])
    assert texts.of("What is the capital of Peru?").tolist() == [True, False, False]
    assert texts.of("the river of Lima").tolist() == [False, False, False]
    assert NearDuplicates(["is the capital of"]).of(long).tolist() == [True]
    assert texts.of("Lima").tolist() == [False, True, False]
    assert NearDuplicates(["apital of Per"]).of(long).tolist() == [False]  # whole words only


def planted(text, place, word):
    words = text.split(" ")
    return " ".join([*words[:place], word, *words[place:]])


def test_planted_leaks_are_found_in_100_of_100():
    """Fifty questions and fifty answers, long and short, in six disguises each, among a thousand other texts."""
    draw = np.random.default_rng(0)
    nouns = [
        "river",
        "lion",
        "guitar",
        "mountain",
        "castle",
        "bridge",
        "painter",
        "metal",
        "planet",
        "island",
    ]
    names = ["Lima", "Oslo", "Quito", "Accra", "Hanoi"]
    questions = [f"Which {noun} near {name} is the oldest one?" for noun in nouns for name in names]
    answers = [f"{name} has the {noun}." for noun in nouns for name in names[:3]]
    answers += [f"The {noun}" for noun in nouns] + [f"It is {name} then." for name in names] + names
    leaks = questions + answers
    assert len(leaks) == 100
    others = [" ".join(draw.choice(nouns, 6)) + f" number {n}" for n in range(1000)]
    for number, leak in enumerate(leaks):
        copies = [
            leak,
            leak.upper(),
            leak.rstrip(".?") + "!!",
            "  " + leak.replace(" ", "  ") + "\n",
            planted(leak, int(draw.integers(len(leak.split(" ")) + 1)), "extraordinarily"),
            planted(leak, 1, "so"),
        ]
        found = NearDuplicates([*others, *copies]).of(leak)
        assert found[len(others) :].all(), (number, leak, found[len(others) :])
        assert not found[: len(others)].any()
