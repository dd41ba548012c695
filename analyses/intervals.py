"""Intervals of shares, as the figures show them."""

from math import sqrt
from typing import NamedTuple

Z = 1.959964
"""The 97.5 % quantile of the normal distribution."""


class Bounds(NamedTuple):
    """The ends of an interval."""

    low: float
    high: float


def wilson(right: float, n: int) -> Bounds:
    """The 95 % Wilson score interval of a share of `right` out of `n` (Wilson 1927); ValueError without items."""
    if n < 1 or not 0 <= right <= n:
        raise ValueError(f"{right} of {n} is no share")
    p, z2 = right / n, Z * Z
    middle = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z / (1 + z2 / n) * sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return Bounds(max(0.0, middle - half), min(1.0, middle + half))


def share(value: float | None, n: int) -> dict[str, float | int | None]:
    """A share as results files hold it: its value, its 95 % Wilson interval and how many items it is of.

    Without items there is nothing to say but that.
    """
    if value is None or n == 0:
        return {"value": None, "low": None, "high": None, "n": n}
    low, high = wilson(value * n, n)
    return {"value": value, "low": low, "high": high, "n": n}
