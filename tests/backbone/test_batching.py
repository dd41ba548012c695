"""Texts of similar length are read together, all of them, as many as fit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.backbone.batching import DEFAULT, by_length
from workbench.errors import UsageError


def test_the_longest_come_first_and_equals_stay_in_order():
    assert by_length([3, 9, 3, 5], 2) == [[1, 3], [0, 2]]
    assert by_length([], 2) == []
    assert [len(batch) for batch in by_length([1] * (DEFAULT + 1), None)] == [DEFAULT, 1]


def test_a_device_s_positions_count_padding():
    lengths = [10, 9, 3, 3, 3, 2]
    assert by_length(lengths, None, 20) == [[0, 1], [2, 3, 4, 5]]  # two of 10, then up to six of 3
    assert by_length(lengths, 3, 20) == [[0, 1], [2, 3, 4], [5]]  # both limits hold
    assert by_length([50, 1], None, 20) == [[0], [1]]  # a text that does not fit is read all the same
    assert by_length([0, 0], None, 20) == [[0, 1]]


@given(st.lists(st.integers(0, 60)), st.none() | st.integers(1, 9), st.none() | st.integers(1, 200))
def test_every_text_is_in_one_batch_and_no_batch_is_too_large(lengths, size, positions):
    batches = by_length(lengths, size, positions)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    longest = [max((lengths[row] for row in batch), default=0) for batch in batches]
    assert longest == sorted(longest, reverse=True)
    for batch, width in zip(batches, longest, strict=True):
        if size is not None or positions is None:
            assert len(batch) <= (size or DEFAULT)
        if positions is not None:
            assert len(batch) == 1 or len(batch) * width <= positions


def test_a_batch_has_at_least_one_text():
    with pytest.raises(UsageError, match="batch_size must be at least 1, not 0"):
        by_length([1], 0)
