"""STS by hand and against mteb's own evaluation of the same vectors."""

import numpy as np
import pytest
from mteb.abstasks import AbsTaskSTS
from planted import Planted, places, scored, split, texts

from workbench.errors import WorkbenchError
from workbench.evaluation.files import Pairs
from workbench.evaluation.protocol import cosines, interval
from workbench.evaluation.sts import evaluate

VECTORS = {"a": [1, 0], "b": [2, 0], "c": [0, 3], "d": [4, 3], "e": [-1, 0]}


def pairs(rows):
    first, second, scores = zip(*rows, strict=True)
    return Pairs(list(first), list(second), np.array(scores, dtype=float), places(len(rows)))


def test_every_figure_by_hand():
    # Cosines 1, 0, 0.8, -1; Manhattan 1, 4, 6, 2; Euclidean 1, sqrt(10), sqrt(18), 2; gold scores 5, 1, 4, 2.
    found = evaluate(
        pairs([("a", "b", 5), ("a", "c", 1), ("a", "d", 4), ("a", "e", 2)]), Planted(VECTORS), task="t"
    )
    # Ranks of the cosines (4, 2, 3, 1) and gold scores (4, 1, 3, 2): 1 - 6 * (0 + 1 + 0 + 1) / (4 * 15) = 0.8.
    assert found.main_score == pytest.approx(0.8)
    # Ranks of the negative distances (4, 2, 1, 3), both of them: 1 - 6 * (0 + 1 + 4 + 1) / 60 = 0.4.
    assert found.metrics["manhattan_spearman"] == pytest.approx(0.4)
    assert found.metrics["euclidean_spearman"] == pytest.approx(0.4)
    # Means 0.2 and 3: products 1.6 + 0.4 + 0.6 + 1.2 = 3.8, squares .64 + .04 + .36 + 1.44 = 2.48 and 10.
    assert found.metrics["cosine_pearson"] == pytest.approx(3.8 / (2.48 * 10) ** 0.5)
    np.testing.assert_allclose(found.pairs, [[1, 5], [0, 1], [0.8, 4], [-1, 2]], atol=1e-7)
    assert (found.protocol, found.main_metric, found.n) == ("sts", "cosine_spearman", 4)


@pytest.mark.parametrize(("low", "high"), [(0, 5), (1, 4), (-10, 1000)])
def test_mteb_finds_the_same(low, high):
    first, second = texts(60)[0], texts(60, ("ant", "cat", "bee"), start=3)[0]
    second[7], second[9] = first[7], first[9]  # equal texts: ties at the top
    gold = np.random.default_rng(0).integers(low, high + 1, size=60).astype(float)
    model = Planted()
    ours = evaluate(Pairs(first, second, gold, places(60)), model, task="t")
    theirs = scored(
        model, AbsTaskSTS, split(sentence1=first, sentence2=second, score=gold.tolist()), "cosine_spearman",
        min_score=low, max_score=high,
    )  # fmt: skip
    for name, value in ours.metrics.items():
        assert theirs[name] == pytest.approx(value, abs=1e-5), name


def test_the_interval_covers_the_score_and_narrows_with_pairs():
    model = Planted()

    def width(count):
        first, second = texts(count)[0], texts(count, start=1000)[0]
        gold = cosines(model(first), model(second)) + np.arange(count) % 3 / 5
        found = evaluate(Pairs(first, second, gold, places(count)), model, task="t")
        low, high = interval(found, draws=200)
        assert low < found.main_score < high
        return high - low

    assert width(400) < 0.6 * width(50)


def test_what_has_no_correlation_is_refused():
    same = pairs([("a", "b", 3), ("a", "c", 3)])
    with pytest.raises(WorkbenchError, match="no correlation, all 2 gold scores are the same"):
        evaluate(same, Planted(VECTORS), task="t")
    with pytest.raises(WorkbenchError, match="all 2 cosine similarities are the same"):
        evaluate(pairs([("a", "b", 3), ("a", "b", 4)]), Planted(VECTORS), task="t")
    with pytest.raises(WorkbenchError, match=r"file.tsv, line 3: the vector of this text is not finite"):
        evaluate(pairs([("a", "b", 3), ("a", "x", 4)]), Planted({**VECTORS, "x": [np.inf, 0]}), task="t")
