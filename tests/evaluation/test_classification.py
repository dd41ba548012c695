"""Classification by hand and against mteb's own evaluation of the same vectors."""

import numpy as np
import pytest
from datasets import Dataset, DatasetDict
from mteb.abstasks import AbsTaskClassification
from planted import Planted, places, scored, texts

from workbench.errors import UsageError, WorkbenchError
from workbench.evaluation.classification import evaluate, undersample
from workbench.evaluation.files import Labelled


def labelled(rows, labels):
    rows = list(rows)
    return Labelled(rows, list(labels), places(len(rows)))


def test_each_experiment_shuffles_on_what_the_last_one_left():
    labels = ["x", "y", "z"] * 20
    draws = undersample(labels, 4)
    assert [len(rows) for rows in draws] == [12] * 10
    for rows in draws:
        assert sorted(labels[row] for row in rows) == ["x"] * 4 + ["y"] * 4 + ["z"] * 4
    # A permutation applied on and on: the order of experiment n is P composed n times, from a reference of lists.
    first = list(range(60))
    np.random.RandomState(42).shuffle(first)
    order = list(range(60))
    for rows in draws:
        order = [order[place] for place in first]
        expected = []
        for row in order:
            if [labels[other] for other in expected].count(labels[row]) < 4:
                expected.append(row)
        assert rows == expected
    assert draws[0] != draws[1]


def test_a_label_with_fewer_texts_gives_all_of_them():
    assert all(sorted(rows) == [0, 1, 2] for rows in undersample(["x", "y", "x"], 5))


def test_every_figure_by_hand():
    table = {
        "l1": [-1, 0],
        "l2": [-2, 0],
        "r1": [1, 0],
        "r2": [2, 0],
        "t1": [-3, 0],
        "t2": [-1, 0],
        "t3": [2, 0],
    }
    train = labelled(["l1", "l2", "r1", "r2"], ["l", "l", "r", "r"])
    # t1 and t2 are called left, t3 right, in all ten experiments; t2 is labelled right.
    found = evaluate(
        train, labelled(["t1", "t2", "t3"], "lrr"), Planted(table), task="t", samples_per_label=2
    )
    assert found.main_score == pytest.approx(2 / 3)
    assert found.items.tolist() == [1, 0, 1]
    # F1 of l: precision 1/2, recall 1 -> 2/3; of r: precision 1, recall 1/2 -> 2/3; weighted the same.
    assert found.metrics["f1"] == pytest.approx(2 / 3)
    assert found.metrics["f1_weighted"] == pytest.approx(2 / 3)
    assert found.details["experiments"] == pytest.approx([2 / 3] * 10)


@pytest.mark.parametrize(("words", "samples"), [(("ant", "bee", "cat", "dog"), 3), (("ant", "bee"), 16)])
def test_mteb_finds_the_same(words, samples):
    (train, trained), (test, tested) = texts(90, words), texts(40, words, start=500)
    trained[5], tested[3] = words[0], words[1]
    names = {"ant": 1, "bee": 0, "cat": 2, "dog": 3}
    learnt, gold = [names[word] for word in trained], [names[word] for word in tested]
    model = Planted()
    ours = evaluate(
        labelled(train, map(str, learnt)), labelled(test, map(str, gold)),
        model, task="t", samples_per_label=samples,
    )  # fmt: skip
    data = DatasetDict(
        train=Dataset.from_dict({"text": train, "label": learnt}),
        test=Dataset.from_dict({"text": test, "label": gold}),
    )
    theirs = scored(model, AbsTaskClassification, data, "accuracy", samples_per_label=samples)
    assert 0.5 < ours.main_score < 1
    for name, value in ours.metrics.items():
        assert theirs[name] == pytest.approx(value, abs=1e-9), name
    assert ("ap" in ours.metrics) == (len(words) == 2)
    assert [each["accuracy"] for each in theirs["scores_per_experiment"]] == pytest.approx(
        ours.details["experiments"]
    )


def test_what_cannot_be_classified_is_refused_with_its_line():
    train = labelled(["a", "b"], ["x", "y"])
    with pytest.raises(WorkbenchError, match=r"^file.tsv, line 3: no training text has the label 'z'$"):
        evaluate(train, labelled(["c", "d"], ["x", "z"]), Planted(), task="t")
    with pytest.raises(UsageError, match="samples_per_label must be at least 1, not 0"):
        evaluate(train, train, Planted(), task="t", samples_per_label=0)
    with pytest.raises(UsageError, match="a single label"):
        evaluate(labelled("ab", "xx"), labelled("c", "x"), Planted(), task="t")
