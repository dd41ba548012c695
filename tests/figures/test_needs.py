"""What a figure declares that it needs, against values that have it or do not."""

import pytest

from workbench.figures.paper.needs import Like, Many, Maybe, Named, OneOf, misfit

LINES = Many({"name": str, "points": Many(float, "p"), "ends": Many(Many(float, 2), "p")})
CROSSED = Many({"a": str, "b": int}, every=("a", "b"))


def row(points=(1, 2.5), ends=((0, 1), (2, 3))):
    return {"name": "n", "points": list(points), "ends": [list(end) for end in ends], "more": None}


@pytest.mark.parametrize(
    ("need", "value"),
    [
        (float, 3),
        (Maybe(float), None),
        (OneOf(("high", 1)), "high"),
        (Like("[0-9]$"), "compression 10"),
        (object, [None]),
        (LINES, [row(), row([1], [[0, 1]])]),
        (Named(Named(float, "sorts"), 2), {"x": {"a": 1, "b": 2}, "y": {"b": 3, "a": 4}}),
        (CROSSED, [{"a": a, "b": b} for a in "xy" for b in (1, 2)]),
    ],
)
def test_what_fits(need, value):
    assert misfit(need, value, "data") is None


@pytest.mark.parametrize(
    ("need", "value", "says"),
    [
        (float, True, "do not fit (data is True, not a number)"),
        (float, float("nan"), "do not fit (data is nan, not a number)"),
        (float, 10**400, "do not fit (data is 1000000000000000000000000000000000000000, not a number)"),
        (int, 1.0, "do not fit (data is 1.0, not a whole number)"),
        (bool, 1, "do not fit (data is 1, not true or false)"),
        (OneOf(("high", 1)), ["high"], "do not fit (data is ['high'], not one of high, 1)"),
        (Like("[0-9]$"), "compression", "do not fit (data is 'compression', not a text like [0-9]$)"),
        (Many(str), [], "do not fit (data is [], not a list with something in it)"),
        (Many(float, 3), [1, 2], "do not fit (data has 2 values, not 3 values)"),
        ({"a": str, "b": str, "c": str}, {"b": "x"}, "lack data.a, data.c"),
        ({"a": str}, ["a"], "do not fit (data is ['a'], not values by name)"),
        (LINES, [row(), row([1])], "do not fit (data[1].ends has 2 values, not 1 values)"),
        (LINES, [row(ends=[[0, 1], [2]])], "do not fit (data[0].ends[1] has 1 values, not 2 values)"),
        (Named(float, 2), {"a": 1}, "do not fit (data has 1 values, not 2 values)"),
        (Named(Named(float, "s")), {"x": {"a": 1}, "y": {"b": 1}}, "do not fit (data.y has b, not a)"),
        (CROSSED, [{"a": "x", "b": 1}, {"a": "y", "b": 2}], "lack a row of data for x, 2"),
    ],
)
def test_what_does_not_fit_is_said_with_its_place(need, value, says):
    assert misfit(need, value, "data") == says
