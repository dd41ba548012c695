"""Bootstrap intervals of means, as the figures show them: the items are drawn again."""

import numpy as np

DRAWS = 2000


def interval(rows: np.ndarray, seed: int = 0) -> list[float]:
    """The mean of the items and its 95 % percentile interval: mean, low, high.

    A seed draws the same items of as many, so a difference of two columns is paired.
    """
    drawn = np.random.default_rng(seed).integers(len(rows), size=(DRAWS, len(rows)))
    low, high = np.quantile(rows[drawn].mean(1), [0.025, 0.975])
    return [float(rows.mean()), float(low), float(high)]
