"""Attention figures show the numbers that they are given, in the rows that they are asked for."""

import numpy as np
import pytest

from workbench.figures.attention import LABELLED, head_map, mask_map, weight_map

TOKENS = ["<|user|>", "␣of", "␣of", "◆1"]
SPECIAL = np.array([False, False, False, True])
WEIGHTS = np.array(
    [[1, 0, 0, 0], [0.5, 0.5, 0, 0], [0.2, 0.3, 0.5, 0], [0.1, 0.2, 0.3, 0.4]], dtype=np.float32
)


def test_rows_are_shown_in_the_order_asked_for():
    figure = weight_map(TOKENS, WEIGHTS, [3, 0], special=SPECIAL)
    np.testing.assert_array_equal(figure.data[0].z, WEIGHTS[[3, 0]])
    assert figure.data[0].zmax == 1
    assert list(figure.layout.yaxis.ticktext) == ["◆1", "&lt;|user|&gt;"]


def test_equal_tokens_keep_their_own_columns():
    figure = weight_map(TOKENS, WEIGHTS, [3], special=SPECIAL)
    assert list(figure.data[0].x) == [0, 1, 2, 3]
    assert list(figure.layout.xaxis.ticktext) == ["&lt;|user|&gt;", "␣of", "␣of", "◆1"]


def test_the_scale_can_leave_the_first_token_out():
    figure = weight_map(TOKENS, WEIGHTS, [3, 0], special=SPECIAL, top=0.4)
    assert figure.data[0].zmax == pytest.approx(0.4)


def test_the_mask_says_what_may_be_looked_at():
    figure = mask_map(TOKENS, np.tril(np.ones((4, 4), bool)), [3, 1], special=SPECIAL)
    assert (np.asarray(figure.data[0].z) > 0).tolist() == [[True] * 4, [True, True, False, False]]
    assert figure.data[0].customdata.tolist()[1] == ["may look at"] * 2 + ["may not look at"] * 2


def test_a_line_stands_between_text_and_special_tokens():
    shapes = mask_map(TOKENS, np.ones((4, 4), bool), [3, 0, 1], special=SPECIAL).layout.shapes
    assert [(shape.x0, shape.y0) for shape in shapes if shape.x0 == shape.x1] == [(2.5, 0)]
    assert [shape.y0 for shape in shapes if shape.y0 == shape.y1] == [0.5]


def test_many_tokens_lose_their_column_labels():
    n = LABELLED + 1
    figure = weight_map(["x"] * n, np.eye(n, dtype=np.float32), [n - 1], special=np.arange(n) == n - 1)
    assert list(figure.layout.xaxis.ticktext) == []


def test_many_tokens_have_no_gaps_that_would_eat_their_cells():
    for count, gap in ((LABELLED, 1), (LABELLED + 1, 0)):
        figure = mask_map(
            ["a"] * count, np.ones((count, count), dtype=bool), [0], special=np.zeros(count, dtype=bool)
        )
        assert figure.data[0].xgap == gap


def test_heads_are_counted_from_one_and_outlined():
    shares = np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]], dtype=np.float32)
    figure = head_map(shares, focus=(2, None))
    assert list(figure.data[0].y) == ["layer 1", "layer 2", "layer 3"]
    assert list(figure.data[1].text) == ["10%", "20%", "30%", "40%", "50%", "60%"]
    box = figure.layout.shapes[0]
    assert (box.x0, box.x1, box.y0, box.y1) == (-0.5, 1.5, 1.5, 2.5)
    assert len(head_map(shares).layout.shapes) == 0
