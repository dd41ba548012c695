"""What the attention of special tokens looks like from outside: the result of `flow`, with its figures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float

from workbench.errors import UsageError
from workbench.files import named_if_damaged
from workbench.lenses.tables import read_table, write_table
from workbench.lenses.words import Words

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class AttentionFlow:
    """One text: what those of its special tokens that are read out attend to. Layers and heads count from 1."""

    text: str
    tokens: list[str]
    """One readable label a column: the text with its template, thought tokens ◇1 ..., special tokens ◆1 ..."""
    labels: list[str]
    """◆1 ... ◆n"""
    words: Words
    """The words of the text, and the word of each column."""
    weights: Float[np.ndarray, "layers heads n t"]
    """Applied attention; every row sums to 1."""
    rolled: Float[np.ndarray, "n t"] | None
    """Attention followed through all layers (see `rollout`); None where it was not asked for."""
    kernel: str
    """The attention that the model itself runs."""
    deviation: float
    """Largest absolute difference of the last hidden states to the embedder's own."""
    truncated: bool
    """Whether the text lost its tail."""

    def __post_init__(self) -> None:
        n, t = len(self.labels), len(self.tokens)
        if self.weights.ndim != 4 or self.weights.shape[2:] != (n, t) or self.words.of.shape != (t,):
            raise ValueError(f"{n} rows and {t} tokens, but weights of shape {self.weights.shape}")
        if self.rolled is not None and self.rolled.shape != (n, t):
            raise ValueError(f"{n} rows and {t} tokens, but a rollout of shape {self.rolled.shape}")

    @property
    def recomputed(self) -> bool:
        """Whether the weights come from another kernel than the one that embeds."""
        return self.kernel != "eager"

    @property
    def note(self) -> str:
        """Where the weights come from, as a sentence."""
        if not self.recomputed:
            return "The weights are those that the model applies."
        return (
            f"The model runs {self.kernel} attention; the weights were recomputed in eager attention, "
            f"{self.deviation:.1e} away from the embedder's own states."
        )

    @property
    def entropy(self) -> Float[np.ndarray, "layers heads n"]:
        """How widely each special token looks, in bits: 0 for a single token, log2 t for all of them alike."""
        return entropy(self.weights)

    def fed_by(
        self,
        what: Literal["attention", "rollout"] = "attention",
        layer: int | None = None,
        head: int | None = None,
    ) -> Float[np.ndarray, "n words"]:
        """How much of each special token's attention each word of the text gets; the template's share is left out.

        "attention" is the mean over heads and layers, or one of them (from 1). Raises UsageError for one that is not
        there, or a rollout that was not asked for.
        """
        if what == "rollout":
            if self.rolled is None:
                raise UsageError("there is no rollout of this text: it was not asked for")
            if layer is not None or head is not None:
                raise UsageError("a rollout goes through all layers and heads: it has none to choose")
            return self.words.summed(self.rolled)
        layers, heads = self.weights.shape[:2]
        for name, number, count in (("layer", layer, layers), ("head", head, heads)):
            if number is not None and not 1 <= number <= count:
                raise UsageError(f"no {name} {number}: they are numbered 1 to {count}")
        chosen = self.weights if layer is None else self.weights[layer - 1 : layer]
        chosen = chosen if head is None else chosen[:, head - 1 : head]
        return self.words.summed(chosen.mean((0, 1)))

    def to_frame(self) -> pd.DataFrame:
        """A row for each layer, head and special token: kind, layer, head, special, entropy, weights `[t]`.

        Where there is a rollout, a row more for each special token, its kind "rollout", its layer and head 0.
        """
        import pandas as pd

        layers, heads, n, _ = self.weights.shape
        at = list(np.ndindex(layers, heads, n))
        found = [("attention", a + 1, b + 1, self.labels[c]) for a, b, c in at]
        rows = self.weights.reshape(len(at), -1)
        if self.rolled is not None:
            found += [("rollout", 0, 0, label) for label in self.labels]
            rows = np.concatenate([rows, self.rolled])
        frame = pd.DataFrame(found, columns=["kind", "layer", "head", "special"])
        return frame.assign(entropy=entropy(rows), weights=list(rows))

    def to_dict(self) -> dict[str, Any]:
        """The summary as plain JSON values: words with attention and rollout `[n][words]`, entropy, on which kernel."""
        return {
            "text": self.text,
            "words": self.words.labels,
            "special": self.labels,
            "attention": self.fed_by().tolist(),
            "rollout": None if self.rolled is None else self.fed_by("rollout").tolist(),
            "entropy": self.entropy.tolist(),
            "recomputed": self.recomputed,
            "note": self.note,
            "truncated": self.truncated,
        }

    def save(self, path: str | Path) -> Path:
        """Write the frame as parquet, the rest into its metadata; the file is whole or absent."""
        head = {
            name: getattr(self, name)
            for name in ("text", "tokens", "labels", "kernel", "deviation", "truncated")
        }
        shape = list(self.weights.shape)
        words = {"words": self.words.labels, "word_of": self.words.of.tolist()}
        return write_table(path, self.to_frame(), "attention flow", {**head, **words, "shape": shape})

    @classmethod
    def load(cls, path: str | Path) -> AttentionFlow:
        """What `save` wrote. UsageError where there is no file, WorkbenchError where it holds something else."""
        frame, head = read_table(path, "attention flow")
        with named_if_damaged(path):
            shape, words = head.pop("shape"), Words(head.pop("words"), np.array(head.pop("word_of")))
            rows = np.stack(frame["weights"].tolist())
            kept = int(np.prod(shape[:3]))
            rolled = rows[kept:] if len(rows) > kept else None
            return cls(**head, words=words, weights=rows[:kept].reshape(shape), rolled=rolled)


def entropy(weights: Float[np.ndarray, "... t"]) -> Float[np.ndarray, "..."]:
    """The entropy of each row of weights, in bits; weights of 0 add nothing."""
    logs = np.log2(weights, out=np.zeros_like(weights), where=weights > 0)
    return np.maximum(-(weights * logs).sum(-1), 0)
