"""The result of an attribution: rows (special tokens, or words) by decoded tokens."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float

from workbench.files import measured, named_if_damaged
from workbench.lenses.tables import read_table, write_table

if TYPE_CHECKING:
    import pandas as pd

Baseline = Literal["zero", "mean", "resample"]
How = Literal["ablation", "gradient"]


@dataclass(frozen=True)
class AttributionMap:
    """How much each special token, or each word of the text, made each decoded token likelier."""

    text: str
    decoded: str
    of: Literal["special tokens", "words"]
    labels: list[str]
    """◆1 ... ◆n, or the words."""
    tokens: list[str]
    """The decoded tokens, readable; the EOS ends them where the answer ended by itself."""
    token_ids: list[int]
    values: Float[np.ndarray, "n t"]
    """Log-probability of a decoded token as it is, less the same without this row: positive where the row helps.

    By gradient: its first-order estimate, the gradient times the difference from the baseline.
    """
    log_probs: Float[np.ndarray, " t"]
    """Of each decoded token, with everything in its place."""
    jointly: Float[np.ndarray, " t"]
    """The same loss when all rows are replaced at once: what the values of a complete method add up to."""
    how: How
    baseline: Baseline
    """What stood in a row's place."""

    def __post_init__(self) -> None:
        n, t = len(self.labels), len(self.tokens)
        if (
            self.values.shape != (n, t)
            or not len(self.token_ids) == len(self.log_probs) == len(self.jointly) == t
        ):
            raise ValueError(f"{n} rows and {t} tokens, but values of shape {self.values.shape}")

    @property
    def completeness_error(self) -> float:
        """How far the values of each token add up to something else than `jointly`: 0 is complete, 1 as bad as nothing.

        The sum of absolute differences over the sum of absolute `jointly`; not a number where that is 0.
        """
        whole = float(np.abs(self.jointly).sum())
        return float(np.abs(self.values.sum(0) - self.jointly).sum()) / whole if whole else float("nan")

    def to_frame(self) -> pd.DataFrame:
        """A row for each label and decoded token: row, label, position, token, token_id, value, log_prob, jointly."""
        import pandas as pd

        n, t = self.values.shape
        return pd.DataFrame(
            {
                "row": np.repeat(np.arange(1, n + 1), t),
                "label": np.repeat(np.array(self.labels, dtype=object), t),
                "position": np.tile(np.arange(1, t + 1), n),
                "token": self.tokens * n,
                "token_id": self.token_ids * n,
                "value": self.values.reshape(-1),
                "log_prob": np.tile(self.log_probs, n),
                "jointly": np.tile(self.jointly, n),
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        arrays = {name: getattr(self, name).tolist() for name in ("values", "log_probs", "jointly")}
        error = {"completeness_error": self.completeness_error}
        return {**self._head(), "token_ids": self.token_ids, **arrays, **measured(error)}

    def save(self, path: str | Path) -> Path:
        """Write the frame as parquet, the rest into its metadata; the file is whole or absent."""
        return write_table(path, self.to_frame(), "attribution map", self._head())

    @classmethod
    def load(cls, path: str | Path) -> AttributionMap:
        """What `save` wrote. UsageError where there is no file, WorkbenchError where it holds something else."""
        frame, head = read_table(path, "attribution map")
        with named_if_damaged(path):
            values = frame["value"].to_numpy().reshape(len(head["labels"]), len(head["tokens"]))
            first = frame.iloc[: len(head["tokens"])]
            columns = {"log_probs": first["log_prob"].to_numpy(), "jointly": first["jointly"].to_numpy()}
            return cls(**head, token_ids=first["token_id"].tolist(), values=values, **columns)

    def _head(self) -> dict[str, Any]:
        names = ("text", "decoded", "of", "labels", "tokens", "how", "baseline")
        return {name: getattr(self, name) for name in names}
