"""What a column of values becomes as colours: a few groups, or a scale of numbers."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

MOST = 8
"""Groups that have a colour of their own, and different numbers from which on there is a scale instead."""
OTHER, NONE = "other", "none"


@dataclass(frozen=True)
class Colouring:
    """How points are coloured; row i is point i's."""

    name: str
    """The column's name."""
    groups: list[str]
    """The group of each point: at most MOST, `OTHER` and `NONE`."""
    numbers: Float[np.ndarray, " n"] | None = None
    """The number of each point where the column is of numbers, NaN where it has none."""


def colouring(name: str, values: Sequence[Any]) -> Colouring:
    """Numbers get a scale where more than MOST of them differ; of anything else the most frequent values get a colour.

    The others are `OTHER`; a value that is not there, or empty, is `NONE`.
    """
    if _are_numbers(values) and len({value for value in values if value is not None}) > MOST:
        numbers = [math.nan if value is None else float(value) for value in values]
        return Colouring(name, [name] * len(values), np.array(numbers))
    labels = [_label(value) for value in values]
    counts = Counter(labels)
    counts.pop(NONE, None)
    best = [label for label, _ in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))]
    kept = {NONE, *(best if len(best) <= MOST else best[:MOST])}
    return Colouring(name, [label if label in kept else OTHER for label in labels])


def _are_numbers(values: Sequence[Any]) -> bool:
    return all(
        value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values
    )


def _label(value: Any) -> str:
    return NONE if value is None or value == "" else str(value)
