"""The latent lens: of what tokens, in what texts, does a special token's state remind the model (arXiv 2602.00462)?

A state is compared by cosine with the states of ordinary tokens in a corpus. What the corpus holds of the analysed
query and of the response to it is left out: found again, it would prove nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Int

from workbench.embedders.base import Embedder
from workbench.errors import UsageError
from workbench.files import named_if_damaged
from workbench.lenses.contexts import places
from workbench.lenses.duplicates import NEAR
from workbench.lenses.latent_index import LatentIndex
from workbench.lenses.latent_search import Barred, nearest
from workbench.lenses.reading import LensReading, reading_of
from workbench.lenses.states import SpecialStates, checked_layers, special_states

Match = Literal["any", "same"]
AROUND = 60
"""Characters of a text that a snippet shows on each side of the token."""


@dataclass(frozen=True)
class LatentReading(LensReading):
    """A text through the latent lens, and what was left out of the index for it."""

    neighbour_layers: Int[np.ndarray, "layers n k"] | None = None
    """The layer in which each neighbour stands."""
    neighbour_rows: Int[np.ndarray, "layers n k"] | None = None
    """Where the neighbour's text stands in the corpus, from 0."""
    response: str = ""
    """The model's response, whose duplicates are left out too; empty where nothing was."""
    excluded: int = 0
    """How many of the index's texts are left out."""
    texts: int = 0
    """How many texts the index has."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("neighbour_layers", "neighbour_rows"):
            column = getattr(self, name)
            if column is not None and column.shape != self.token_ids.shape:
                raise ValueError(f"{name} of shape {column.shape}, but {self.token_ids.shape} is read")

    def to_frame(self) -> Any:
        """`LensReading.to_frame` with the layer and the row of every neighbour."""
        frame = super().to_frame()
        for name in ("neighbour_layers", "neighbour_rows"):
            if (column := getattr(self, name)) is not None:
                frame[name.removesuffix("s")] = column.reshape(-1)
        return frame

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        columns = {name: getattr(self, name) for name in ("neighbour_layers", "neighbour_rows")}
        plain = {name: None if column is None else column.tolist() for name, column in columns.items()}
        return {**super().to_dict(), **plain}

    @classmethod
    def load(cls, path: str | Path) -> LatentReading:
        """What `save` wrote; raises what `LensReading.load` raises."""
        import pyarrow.parquet as pq

        reading = super().load(path)
        assert isinstance(reading, LatentReading)  # made by `cls`
        with named_if_damaged(path):
            table = pq.read_table(path)
            head = json.loads(table.schema.metadata[b"workbench.lens"])
            columns = {
                name: table[name.removesuffix("s")].to_numpy().reshape(reading.token_ids.shape)
                for name in ("neighbour_layers", "neighbour_rows")
                if name.removesuffix("s") in table.column_names
            }
            return replace(
                reading,
                **columns,
                **{name: head[name] for name in ("response", "excluded", "texts") if name in head},
            )

    def _head(self) -> dict[str, Any]:
        return {
            **super()._head(), "response": self.response, "excluded": self.excluded, "texts": self.texts
        }  # fmt: skip


class _Allowed(NamedTuple):
    """What one text's special tokens may find."""

    response: str
    excluded: int
    barred: Int[np.ndarray, " contexts"]
    following: Int[np.ndarray, " texts"]


def latent_lens(
    embedder: Embedder,
    texts: str | Sequence[str],
    index: LatentIndex,
    layers: Sequence[int] | None = None,
    k: int = 5,
    *,
    exclude: bool = True,
    match: Match = "same",
    near: float = NEAR,
    max_new_tokens: int = 64,
    batch_size: int = 32,
) -> list[LatentReading]:
    """The `k` states of the index nearest to every special token's state, in the layers asked for (else the index's).

    `match` "same" looks in the state's own layer, "any" in all layers of the index, as the paper does.
    With `exclude`, texts that are near duplicates (see `NearDuplicates`, `near` is its threshold) of a text or of the
    language model's response to it, `max_new_tokens` long, are not found for it. A reading does not depend on others.
    Raises FingerprintMismatch for another backbone's index, UsageError for a method without special tokens, an
    unknown layer or match, WorkbenchError where fewer than `k` states remain.
    """
    if match not in ("any", "same"):
        raise UsageError(f"match must be any or same, not {match!r}")
    index.check(embedder.backbone)
    rows = [texts] if isinstance(texts, str) else list(texts)
    count = len(embedder.backbone.layers)
    asked = checked_layers(layers, count) if layers is not None else index.facts.layers
    for layer in asked if match == "same" else ():
        index.states(layer)
    states = special_states(embedder, rows, batch_size)
    responses = [""] * len(rows)
    if exclude:
        with embedder.language_model() as model:
            responses = model.respond(rows, max_new_tokens=max_new_tokens, batch_size=batch_size)
    allowed = [
        _allowed(index, [text, response] if exclude else [], response, near)
        for text, response in zip(rows, responses, strict=True)
    ]
    if not rows:
        return []
    found = _searched(index, states, asked, k, match, [one.barred for one in allowed])
    tokenizer = embedder.backbone.tokenizer
    return [
        _reading(tokenizer, index, state, asked, one, _Found(*(column[at] for column in found)))
        for at, (state, one) in enumerate(zip(states, allowed, strict=True))
    ]


def _allowed(index: LatentIndex, leaks: list[str], response: str, near: float) -> _Allowed:
    excluded = index.duplicates_of([leak for leak in leaks if leak.strip()], near)
    kept, following = index.left(excluded)
    return _Allowed(response, int(excluded.sum()), np.flatnonzero(~kept), following)


class _Found(NamedTuple):
    """Neighbours `[texts, layers, n, k]`, or those of one text: their row in the index, their cosine, their layer."""

    rows: np.ndarray
    cosines: np.ndarray
    layers: np.ndarray


def _searched(
    index: LatentIndex,
    states: list[SpecialStates],
    asked: Sequence[int],
    k: int,
    match: Match,
    barred: list[Int[np.ndarray, "..."]],
) -> _Found:
    """One pass over every layer of the index that is looked at, for all texts and special tokens at once."""
    queries = np.stack([np.stack([state.at(layer).numpy() for layer in asked]) for state in states])
    parts = []
    for at, layer in enumerate(index.facts.layers if match == "any" else asked):
        part = queries if match == "any" else queries[:, at : at + 1]
        owners = np.repeat(np.arange(len(states)), part.shape[1] * part.shape[2])
        hits = nearest(index.states(layer), part.reshape(-1, part.shape[-1]), k, _pairs(barred, owners))
        columns = (hits.rows, hits.cosines, np.full_like(hits.rows, layer))
        parts.append(_Found(*(column.reshape(*part.shape[:3], k) for column in columns)))
    axis = 3 if match == "any" else 1
    whole = _Found(*(np.concatenate(columns, axis=axis) for columns in zip(*parts, strict=True)))
    order = np.argsort(-whole.cosines, axis=-1, kind="stable")[..., :k]
    return _Found(*(np.take_along_axis(column, order, axis=-1) for column in whole))


def _pairs(barred: list[Int[np.ndarray, "..."]], owners: Int[np.ndarray, " m"]) -> Barred:
    """What each query, by the text that it belongs to, must not find; sorted by state."""
    queries = np.concatenate([np.full(len(barred[owner]), at) for at, owner in enumerate(owners)])
    rows = np.concatenate([barred[owner] for owner in owners])
    order = np.argsort(rows, kind="stable")
    return Barred(rows[order], queries[order])


def _reading(
    tokenizer: Any,
    index: LatentIndex,
    state: SpecialStates,
    asked: Sequence[int],
    allowed: _Allowed,
    found: _Found,
) -> LatentReading:
    """One text's neighbours, each shown in the first of its texts that is not left out."""
    texts = allowed.following[index.contexts["first"][found.rows]]
    tokens = index.contexts["token"][found.rows]
    pairs = list(zip(texts.reshape(-1).tolist(), tokens.reshape(-1).tolist(), strict=True))
    shown = {pair: snippet(tokenizer, index.texts[pair[0]], pair[1]) for pair in dict.fromkeys(pairs)}
    snippets = np.array([shown[pair] for pair in pairs], dtype=object).reshape(found.rows.shape).tolist()
    ids = index.contexts["token_id"][found.rows].astype(np.int64)
    plain = reading_of(
        "latent", tokenizer, state.text, tuple(asked), state.labels, ids, found.cosines, "cosine", snippets
    )
    return LatentReading(
        **vars(plain),
        neighbour_layers=found.layers,
        neighbour_rows=index.rows[texts],
        response=allowed.response,
        excluded=allowed.excluded,
        texts=index.facts.texts,
    )


def snippet(tokenizer: Any, text: str, token: int, around: int = AROUND) -> str:
    """The text around one of its own tokens, which stands between « and »; white space is single."""
    start, end = places(tokenizer, text)[token]
    start += len(text[start:end]) - len(text[start:end].lstrip())
    before, behind = text[max(0, start - around) : start], text[end : end + around]
    opening, closing = "…" if start > around else "", "…" if end + around < len(text) else ""
    return opening + " ".join(f"{before}«{text[start:end]}»{behind}".split()) + closing
