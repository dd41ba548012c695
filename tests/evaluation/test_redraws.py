"""Statistics of resamples: to the last bit those of scipy and scikit-learn on the drawn rows, ties included."""

import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr
from sklearn.metrics import average_precision_score

from workbench.evaluation.protocol import DRAWS, Score, resampled
from workbench.evaluation.redraws import average_precision, spearman


def slow_spearman(rows):
    ranks = rankdata(rows, axis=0)
    similarity, gold = (ranks - ranks.mean(axis=0)).T
    spread = np.sqrt((similarity @ similarity) * (gold @ gold))
    return similarity @ gold / spread if spread > 0 else np.nan


def slow_precision(rows):
    return average_precision_score(rows[:, 1], rows[:, 0]) if len(set(rows[:, 1])) > 1 else np.nan


@pytest.fixture(params=["no ties", "ties", "few rows"])
def rows(request):
    generator = np.random.default_rng(len(request.param))
    count = 4 if request.param == "few rows" else 301
    similarity = generator.normal(size=count)
    if request.param == "ties":
        similarity = np.round(similarity, 1) + 0.0  # about 50 values, a zero among them
    return np.stack([similarity, (generator.random(count) < 0.3).astype(float)], axis=1)


@pytest.mark.parametrize(("quick", "slow"), [(spearman, slow_spearman), (average_precision, slow_precision)])
def test_every_resample_has_the_bits_of_the_slow_reference(rows, quick, slow):
    generator, redraw = np.random.default_rng(0), quick(rows)
    drawn = [generator.integers(0, len(rows), len(rows)) for _ in range(60)]
    found, wanted = [redraw(one) for one in drawn], [slow(rows[one]) for one in drawn]
    np.testing.assert_array_equal(found, wanted)


def test_rank_correlation_by_hand_and_by_scipy():
    # Ranks 1 2.5 2.5 4 and 1 2 3 4: centred -1.5 0 0 1.5 and -1.5 -.5 .5 1.5, so 4.5 / sqrt(4.5 * 5).
    rows = np.array([[0.1, 1], [0.5, 2], [0.5, 3], [0.9, 4]])
    found = spearman(rows)(np.arange(4))
    assert found == pytest.approx(4.5 / np.sqrt(22.5), abs=1e-12)
    assert found == pytest.approx(spearmanr(rows)[0], abs=1e-12)


def test_average_precision_by_hand():
    # Best first: right, wrong, right. Precision 1 at the first half of the recall, 2/3 at the second: 5/6.
    rows = np.array([[0.2, 1], [0.9, 1], [0.5, 0]])
    assert average_precision(rows)(np.arange(3)) == pytest.approx(5 / 6, abs=1e-12)
    assert np.isnan(average_precision(rows)(np.array([0, 1, 1])))


def test_an_interval_draws_as_many_rows_as_there_are():
    labels = np.arange(40) % 3 == 0
    rows = np.stack([np.sin(np.arange(40)), labels], axis=1)
    metric, main = "max_ap", slow_precision(rows)
    score = Score("t", "p", metric, main, {metric: main}, len(rows), pairs=rows)
    generator = np.random.default_rng(3)
    chosen = [(generator.random(len(rows)) * len(rows)).astype(np.int64) for _ in range(DRAWS)]
    found = resampled(score, seed=3)
    np.testing.assert_array_equal(found[:20], [slow_precision(rows[one]) for one in chosen[:20]])
