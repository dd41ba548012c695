"""What all protocols share: scores that agree with their items, intervals, and vectors that are refused."""

import json

import numpy as np
import pytest
from planted import Planted

from workbench.errors import WorkbenchError
from workbench.evaluation.protocol import STATISTICS, Score, cosines, embedded, interval, resampled


def of_items(items, task="t"):
    main = float(np.mean(items))
    return Score(task, "retrieval", "ndcg_at_10", main, {"ndcg_at_10": main}, len(items), np.array(items))


def of_pairs(metric, rows):
    rows = np.array(rows, dtype=float)
    main = STATISTICS[metric](rows)
    return Score("t", "p", metric, main, {metric: main}, len(rows), pairs=rows)


def test_a_score_must_agree_with_what_it_keeps():
    with pytest.raises(ValueError, match="not among the metrics"):
        Score("t", "p", "a", 0.5, {"b": 0.5}, 1)
    with pytest.raises(ValueError, match=r"0.5, but that of its items 0.25"):
        Score("t", "p", "a", 0.5, {"a": 0.5}, 2, np.array([0.0, 0.5]))
    with pytest.raises(ValueError, match="3 items are counted"):
        Score("t", "p", "a", 0.5, {"a": 0.5}, 3, np.array([0.0, 1.0]))
    kept = Score(
        "t", "p", "a", 0.5, {"a": 0.5, "b": float("nan")}, 2, np.array([0.0, 1.0]), details={"k": [1]}
    )
    assert json.loads(json.dumps(kept.to_dict()))["metrics"] == {"a": 0.5, "b": None}


def test_the_interval_of_a_mean_is_that_of_the_binomial():
    # 400 coins of which 100 are 1: the mean 0.25 has a standard error of sqrt(.25 * .75 / 400) = 0.02165.
    low, high = interval(of_items([1.0] * 100 + [0.0] * 300), draws=4000)
    assert low == pytest.approx(0.25 - 1.96 * 0.02165, abs=0.004)
    assert high == pytest.approx(0.25 + 1.96 * 0.02165, abs=0.004)


def test_a_seed_draws_the_same_rows_for_every_score():
    items = np.random.default_rng(1).random(50)
    one, other = of_items(items), of_items(items + 0.125)
    np.testing.assert_allclose(resampled(other, 3) - resampled(one, 3), 0.125)
    assert interval(one, 3) == interval(one, 3) != interval(one, 4)


def test_a_macro_average_is_resampled_within_its_subjects():
    # Subject 0: 1 of 1 right, whatever is drawn; subject 1: none of 99. Drawn over all 100, subject 0 would be missing
    # in a third of the draws.
    score = of_pairs("macro_accuracy", [[1, 0]] + [[0, 1]] * 99)
    assert score.main_score == 0.5
    assert set(resampled(score, draws=200)) == {0.5}


def test_pairs_become_scores_by_hand():
    assert STATISTICS["cosine_spearman"](np.array([[1.0, 10], [2, 30], [3, 20]])) == pytest.approx(0.5)
    # Tied similarities share the ranks 1.5: ranks (1.5, 1.5, 3) with (1, 2, 3) correlate by sqrt(3) / 2.
    assert STATISTICS["cosine_spearman"](np.array([[1.0, 1], [1, 2], [3, 3]])) == pytest.approx(3**0.5 / 2)
    assert STATISTICS["max_ap"](np.array([[0.9, 1], [0.8, 0], [0.7, 1]])) == pytest.approx((1 + 2 / 3) / 2)
    assert STATISTICS["macro_accuracy"](np.array([[1.0, 0], [0, 0], [1, 1]])) == pytest.approx(0.75)
    assert STATISTICS["perplexity"](np.array([[np.log(8.0), 1], [np.log(2.0), 1]])) == pytest.approx(4.0)
    assert np.isnan(STATISTICS["cosine_spearman"](np.ones((3, 2))))
    assert np.isnan(STATISTICS["max_ap"](np.array([[0.1, 1], [0.2, 1]])))


def test_fewer_than_two_rows_have_no_interval():
    assert interval(of_items([0.5])) is None
    assert interval(Score("t", "p", "a", 0.5, {"a": 0.5}, 7)) is None
    with pytest.raises(ValueError, match="nothing to resample"):
        resampled(Score("t", "p", "a", 0.5, {"a": 0.5}, 7))


def test_a_text_is_encoded_once_and_a_broken_vector_is_placed():
    model = Planted({"a": [1, 0], "b": [0, 1], "bad": [np.nan, 0]})
    found = embedded(model, ["b", "a", "b"], ["f, line 1", "f, line 2", "f, line 3"])
    assert model.asked == ["b", "a"]
    assert found.tolist() == [[0, 1], [1, 0], [0, 1]]
    with pytest.raises(WorkbenchError, match=r"^f, line 9: the vector of this text is not finite$"):
        embedded(model, ["a", "bad"], ["f, line 8", "f, line 9"])
    with pytest.raises(ValueError, match=r"2 texts were encoded to an array of shape \[1, 2\]"):
        embedded(lambda texts: model(texts[:1]), ["a", "b"], ["", ""])


def test_cosines_by_hand():
    a, b = np.array([[3.0, 4.0], [1, 1], [0, 0], [2, 0]]), np.array([[4.0, 3.0], [1, 1], [1, 0], [-5, 0]])
    np.testing.assert_allclose(cosines(a, b), [0.96, 1.0, 0.0, -1.0])
    rows = np.random.default_rng(0).normal(size=(200, 384)).astype(np.float32)
    assert set(cosines(rows, rows)) == {1.0}, "equal vectors are tied, to the last bit"
