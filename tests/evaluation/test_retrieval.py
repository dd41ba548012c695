"""Retrieval figures against a hand-worked example."""

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.evaluation.retrieval import ranks, score


def test_ranks_by_hand():
    passages = np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]])
    queries = np.array([[2.0, 0.1], [1.0, 0.9], [0.0, -1.0]])
    # cosines: q0 -> p0 .999, p2 .741, p1 .050; q1 -> p2 .999, p0 .743, p1 .669; q2 -> p0 0, p2 -.707, p1 -1
    assert ranks(queries, passages, np.array([0, 1, 1])).tolist() == [1, 3, 3]
    figures = score(queries, passages, np.array([0, 1, 1]))
    assert figures.recall_at_1 == pytest.approx(1 / 3)
    assert figures.recall_at_10 == 1.0
    assert figures.mrr == pytest.approx((1 + 1 / 3 + 1 / 3) / 3)


def test_a_constant_embedder_gets_no_credit():
    constant = np.ones((5, 4))
    assert ranks(constant[:2], constant, np.array([0, 3])).tolist() == [5, 5]


def test_a_vector_that_is_not_finite_is_refused():
    with pytest.raises(WorkbenchError, match="not finite"):
        ranks(np.array([[np.nan, 1.0]]), np.ones((2, 2)), np.array([0]))
