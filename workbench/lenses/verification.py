"""Is an attribution map right? Its predictions beside what really happens when one intervenes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from workbench.embedders.base import Embedder
from workbench.errors import UsageError, WorkbenchError
from workbench.files import measured, named_if_damaged
from workbench.lenses.attribution import DRAWS, attribute_tokens
from workbench.lenses.attribution_map import AttributionMap
from workbench.lenses.tables import read_table, write_table
from workbench.lenses.word_attribution import attribute_words

if TYPE_CHECKING:
    import pandas as pd

TIMES = 500
"""Bootstrap samples, and shuffles of the control."""
INTERVAL = (2.5, 97.5)


@dataclass(frozen=True)
class Verification:
    """Predicted and real effects of each row (special token, word) on each decoded token, and how well ranks agree."""

    predicted_by: str
    """How the maps predict, such as "special tokens, ablation, zero"."""
    intervention: str
    """What was really done."""
    texts: list[str]
    text: Int[np.ndarray, " e"]
    """The number of each effect's text."""
    label: list[str]
    """Each effect's special token or word."""
    token: list[str]
    """The decoded token that it is on."""
    predicted: Float[np.ndarray, " e"]
    real: Float[np.ndarray, " e"]
    correlation: float
    """Spearman's rank correlation of predicted and real effects, over all of them."""
    interval: tuple[float, float]
    """95% by bootstrap: texts are drawn again, or effects where there is one text."""
    control: float
    """The mean correlation when predictions change places among the rows of the same decoded token."""
    control_interval: tuple[float, float]
    """95% of such shuffles."""

    def __post_init__(self) -> None:
        lengths = {len(part) for part in (self.text, self.label, self.token, self.predicted, self.real)}
        if len(lengths) != 1:
            raise ValueError(f"the columns differ: {sorted(lengths)} effects")

    def line(self) -> str:
        """The finding in a sentence."""
        low, high = self.interval
        down, up = self.control_interval
        return (
            f"rank correlation {self.correlation:.3f} [{low:.3f}, {high:.3f}] of {len(self.real)} effects in "
            f"{len(self.texts)} texts; shuffled {self.control:.3f} [{down:.3f}, {up:.3f}]"
        )

    def to_frame(self) -> pd.DataFrame:
        """A row for each effect: text, label, token, predicted, real."""
        import pandas as pd

        columns = {name: getattr(self, name) for name in ("text", "label", "token", "predicted", "real")}
        return pd.DataFrame(columns)

    def to_dict(self) -> dict[str, Any]:
        """The finding as plain JSON values, without the single effects."""
        return measured({**self._head(), "effects": len(self.real)})

    def save(self, path: str | Path) -> Path:
        """Write the frame as parquet, the rest into its metadata; the file is whole or absent."""
        return write_table(path, self.to_frame(), "verification", self._head())

    @classmethod
    def load(cls, path: str | Path) -> Verification:
        """What `save` wrote. UsageError where there is no file, WorkbenchError where it holds something else."""
        frame, head = read_table(path, "verification")
        with named_if_damaged(path):
            pairs = {name: tuple(head.pop(name)) for name in ("interval", "control_interval")}
            columns = {name: frame[name].to_numpy() for name in ("text", "predicted", "real")}
            columns |= {name: frame[name].tolist() for name in ("label", "token")}
            return cls(**{**head, **pairs, **columns})

    def _head(self) -> dict[str, Any]:
        names = (
            "predicted_by",
            "intervention",
            "texts",
            "correlation",
            "interval",
            "control",
            "control_interval",
        )
        return {name: getattr(self, name) for name in names}


def verify(
    embedder: Embedder,
    maps: AttributionMap | Sequence[AttributionMap],
    *,
    reference: Sequence[str] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> Verification:
    """Intervene on every row of the maps, and compare what they predict for each decoded token with what happens.

    Special tokens are resampled from `draws` other texts of `reference`; of words, which gradients predict, each is
    replaced by the map's own baseline. The decoded tokens are the maps' own. Raises UsageError for no maps, maps of
    different kinds, or maps that are that intervention; WorkbenchError where nothing varies.
    """
    given = [maps] if isinstance(maps, AttributionMap) else list(maps)
    if len(kinds := {(m.of, m.how, m.baseline) for m in given}) != 1:
        raise UsageError(f"one kind of map is verified at a time, not {len(kinds)}")
    [(of, how, baseline)] = kinds
    if how == "ablation" and (of == "words" or baseline == "resample"):
        raise UsageError(
            f"a map of {of} by ablation ({baseline}) is the intervention itself; verify a predicted one"
        )
    real = [_intervene(embedder, each, reference, draws, seed) for each in given]
    text = np.repeat(np.arange(len(given)), [each.values.size for each in given])
    predicted = np.concatenate([each.values.reshape(-1) for each in given])
    column = np.concatenate([_columns(each, number) for number, each in enumerate(given)])
    happened, draw = np.concatenate([each.reshape(-1) for each in real]), np.random.default_rng(seed)
    control = [spearman(_shuffled(predicted, column, draw), happened) for _ in range(TIMES)]
    again = [spearman(predicted[rows], happened[rows]) for rows in _samples(text, len(given), draw)]
    return Verification(
        predicted_by=f"{of}, {how}, {baseline}",
        intervention=f"resampled from {draws} other texts"
        if of == "special tokens"
        else f"words ablated, {baseline}",
        texts=[each.text for each in given],
        text=text,
        label=[label for each in given for label in each.labels for _ in each.tokens],
        token=[token for each in given for _ in each.labels for token in each.tokens],
        predicted=predicted,
        real=happened,
        correlation=_defined(spearman(predicted, happened)),
        interval=_interval(again),
        control=float(np.nanmean(control)),
        control_interval=_interval(control),
    )


def spearman(a: Float[np.ndarray, " e"], b: Float[np.ndarray, " e"]) -> float:
    """Spearman's rank correlation, ties at their mean rank; not a number where one side is constant."""
    from scipy.stats import rankdata

    ranks = np.stack([rankdata(a), rankdata(b)])
    away = ranks - ranks.mean(1, keepdims=True)
    lengths = float(np.linalg.norm(away[0]) * np.linalg.norm(away[1]))
    return float(away[0] @ away[1] / lengths) if lengths else float("nan")


def _intervene(
    embedder: Embedder, each: AttributionMap, reference: Sequence[str] | None, draws: int, seed: int
) -> Float[np.ndarray, "n t"]:
    """The real effects `[n, t]` on the very tokens that the map explains."""
    if each.of == "words":
        assert each.baseline != "resample"  # words have no such map
        return attribute_words(
            embedder, each.text, how="ablation", baseline=each.baseline, decoded=each.token_ids
        ).values
    return attribute_tokens(
        embedder,
        each.text,
        baseline="resample",
        reference=reference,
        draws=draws,
        seed=seed,
        decoded=each.token_ids,
    ).values


def _columns(each: AttributionMap, number: int) -> Int[np.ndarray, " e"]:
    """A number for each decoded token of each text, the same for all rows."""
    n, t = each.values.shape
    return np.tile(np.arange(t), n) + number * 10**6


def _shuffled(
    values: Float[np.ndarray, " e"], column: Int[np.ndarray, " e"], draw: np.random.Generator
) -> Float[np.ndarray, " e"]:
    """The values in other places of their own column."""
    mixed = np.empty_like(values)
    mixed[np.lexsort((np.arange(len(values)), column))] = values[
        np.lexsort((draw.random(len(values)), column))
    ]
    return mixed


def _samples(text: Int[np.ndarray, " e"], texts: int, draw: np.random.Generator) -> list[np.ndarray]:
    """Rows drawn with replacement: whole texts, or single effects of a single text."""
    if texts == 1:
        return list(draw.integers(len(text), size=(TIMES, len(text))))
    groups = [np.flatnonzero(text == number) for number in range(texts)]
    return [np.concatenate([groups[one] for one in draw.integers(texts, size=texts)]) for _ in range(TIMES)]


def _interval(values: Sequence[float]) -> tuple[float, float]:
    low, high = np.nanpercentile(values, INTERVAL)
    return float(low), float(high)


def _defined(correlation: float) -> float:
    if np.isnan(correlation):
        raise WorkbenchError("all predicted or all real effects are equal: there is nothing to rank")
    return correlation
