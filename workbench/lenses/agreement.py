"""How far lenses agree: the overlap of what they read at the same special token in the same layer."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Float

from workbench.errors import UsageError
from workbench.lenses.reading import LensReading

SHUFFLES = 20
"""Times that special tokens are paired with others for the control."""


@dataclass(frozen=True)
class Agreement:
    """The mean overlap of the top-k tokens of every two lenses, layer by layer.

    Overlap is Jaccard's: tokens that both read, as a share of the tokens that either reads. 0 to 1.
    """

    lenses: tuple[str, ...]
    layers: tuple[int, ...]
    """Those that every lens has read."""
    k: int
    cells: int
    """Texts times special tokens: what a layer's mean is over, and what is drawn again for the interval."""
    score: Float[np.ndarray, " layers"]
    low: Float[np.ndarray, " layers"]
    high: Float[np.ndarray, " layers"]
    """Bounds of the bootstrap 95 % interval."""
    control: Float[np.ndarray, " layers"]
    """The same of one lens at a special token and another lens at another one; NaN where there is only one."""
    pairs: dict[tuple[str, str], Float[np.ndarray, " layers"]]
    """The mean overlap of each two lenses."""

    def __post_init__(self) -> None:
        for name in ("score", "low", "high", "control"):
            if getattr(self, name).shape != (len(self.layers),):
                raise ValueError(f"{name} of shape {getattr(self, name).shape} for {len(self.layers)} layers")

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values; None where there is no control."""
        from workbench.files import measured

        plain = asdict(self) | {"pairs": {f"{a} {b}": part.tolist() for (a, b), part in self.pairs.items()}}
        return measured(
            {name: part.tolist() if isinstance(part, np.ndarray) else part for name, part in plain.items()}
        )


def agreement(
    readings: Sequence[Sequence[LensReading]], k: int = 5, *, resamples: int = 2000, seed: int = 0
) -> Agreement:
    """How far lenses agree on the same texts; `readings[l][t]` is text t through lens l.

    The interval is a percentile bootstrap over texts x special tokens, the control pairs each of them with others
    (`SHUFFLES` random ones). Tokens are compared by their ids; a reading without one (-1) agrees with nothing.
    Raises UsageError for fewer than two lenses, readings of different texts, or no common layer.
    """
    layers = _common_layers(readings)
    names = tuple(reading[0].lens for reading in readings)
    sets = [_sets(lens, layers, k) for lens in readings]
    draw = np.random.default_rng(seed)
    cells = len(sets[0][0])
    places = list(combinations(range(len(sets)), 2))
    overlaps = np.array(
        [[_overlaps(sets[a][at], sets[b][at]) for at in range(len(layers))] for a, b in places]
    )
    found = overlaps.mean(0)  # [layers, cells]
    drawn = draw.integers(cells, size=(resamples, cells))
    means = found[:, drawn].mean(-1)
    low, high = np.percentile(means, [2.5, 97.5], axis=-1)
    return Agreement(
        lenses=names,
        layers=layers,
        k=k,
        cells=cells,
        score=found.mean(-1),
        low=low,
        high=high,
        control=_control(sets, places, draw),
        pairs={(names[a], names[b]): part.mean(-1) for (a, b), part in zip(places, overlaps, strict=True)},
    )


def _common_layers(readings: Sequence[Sequence[LensReading]]) -> tuple[int, ...]:
    if len(readings) < 2 or not all(readings):
        raise UsageError("agreement needs the readings of at least two lenses")
    first = [(reading.text, reading.labels) for reading in readings[0]]
    if any([(reading.text, reading.labels) for reading in lens] != first for lens in readings):
        raise UsageError("lenses can be compared on the same texts and special tokens alone")
    every = [set(reading.layers) for lens in readings for reading in lens]
    layers = tuple(sorted(set.intersection(*every)))
    if not layers:
        raise UsageError("the lenses have read no layer in common")
    return layers


def _sets(lens: Sequence[LensReading], layers: tuple[int, ...], k: int) -> list[list[set[int]]]:
    """The top-k token ids of every cell (text by text, special token by special token), for each layer."""
    return [
        [set(row[:k]) - {-1} for reading in lens for row in reading.token_ids[reading.layers.index(layer)].tolist()]
        for layer in layers
    ]  # fmt: skip


def _overlaps(left: Sequence[set[int]], right: Sequence[set[int]]) -> list[float]:
    return [len(a & b) / len(a | b) if a | b else 0.0 for a, b in zip(left, right, strict=True)]


def _control(
    sets: list[list[list[set[int]]]], places: list[tuple[int, int]], draw: np.random.Generator
) -> Float[np.ndarray, " layers"]:
    """The mean overlap of cells with other cells: every cell meets `SHUFFLES` others, never itself."""
    layers, cells = len(sets[0]), len(sets[0][0])
    if cells < 2:
        return np.full(layers, np.nan)
    sums = np.zeros(layers)
    for _ in range(SHUFFLES):
        order = draw.permutation(cells)
        other = np.empty(cells, int)
        other[order] = np.roll(order, 1)  # a cycle through all of them: nobody meets itself
        for at in range(layers):
            for a, b in places:
                sums[at] += np.mean(_overlaps(sets[a][at], [sets[b][at][cell] for cell in other]))
    return sums / (SHUFFLES * len(places))
