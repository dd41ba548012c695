"""Texts on a map with what is known of each: the rows of an atlas or of a store, as many as can be looked at."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from workbench.atlas import sample
from workbench.atlas.layout import quoted
from workbench.atlas.neighbours import nearest
from workbench.atlas.search import Hit
from workbench.decoding.trust import Readings
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from workbench.atlas.maps import MapFacts
    from workbench.atlas.prebuilt import Atlas, AtlasFacts
    from workbench.atlas.store import Store
    from workbench.embedders.base import Embedder

MOST = 50_000
"""Points that a map shows; of a larger store, a sample."""


@dataclass(frozen=True)
class Points:
    """What a map shows; row i of everything belongs to point i."""

    ids: list[str]
    texts: list[str]
    metadata: dict[str, list[Any]]
    """The other columns, by name."""
    embeddings: Float[np.ndarray, "n d_e"]
    coords: Float[np.ndarray, "n 2"]
    says: str
    """What to say beside the map: how it was drawn, how many neighbours it keeps."""
    total: int
    """How many rows there are to draw from."""
    decoded: list[str] | None = None
    """What each embedding decodes to, where that is known already."""

    def __post_init__(self) -> None:
        columns = [self.ids, self.texts, self.embeddings, self.coords, *self.metadata.values()]
        lengths = {len(column) for column in [*columns, *([] if self.decoded is None else [self.decoded])]}
        if len(lengths) != 1 or self.total < len(self.ids):
            raise ValueError(f"points need equally long columns, not {sorted(lengths)} of {self.total} rows")

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def rows(self) -> dict[str, int]:
        """Each id's row."""
        return {name: row for row, name in enumerate(self.ids)}

    def near(self, vector: Float[np.ndarray, " d_e"], k: int) -> list[Hit]:
        """The `k` points most similar to a vector, by comparing it with every one. Raises what `nearest` raises."""
        found = nearest(self.embeddings, vector, k)
        return [
            Hit(self.ids[row], float(similarity), self.texts[row], row, self.of(row))
            for row, similarity in zip(found.indices.tolist(), found.similarities, strict=True)
        ]

    def of(self, row: int) -> dict[str, Any]:
        """One row's metadata."""
        return {name: values[row] for name, values in self.metadata.items()}

    def table(self, rows: Sequence[int]) -> dict[str, list[Any]]:
        """Those rows as columns: id, text, metadata, what is decoded of them, and their places."""
        columns: dict[str, Sequence[Any]] = {"id": self.ids, "text": self.texts, **self.metadata}
        if self.decoded is not None:
            columns["decoded"] = self.decoded
        picked = {name: [values[row] for row in rows] for name, values in columns.items()}
        x, y = self.coords[list(rows)].T.astype(float).round(6).tolist() if len(rows) else ([], [])
        return {**picked, "x": x, "y": y}


def of_atlas(atlas: "Atlas") -> Points:
    """The points of the prebuilt atlas; a row's id is its number."""
    return Points(
        ids=[str(row) for row in range(len(atlas))],
        texts=atlas.texts,
        metadata={"topic": atlas.topics, "kind": atlas.kinds},
        embeddings=atlas.embeddings,
        coords=atlas.coords,
        says=_keeps(atlas.facts, len(atlas)),
        total=len(atlas),
        decoded=atlas.decoded,
    )


def of_store(store: "Store", most: int = MOST) -> Points:
    """The points of a store, on the map that it keeps or on a PCA; nothing is written. Raises what `seen` raises."""
    from workbench.atlas.maps import seen

    drawn = seen(store, most)
    rows = drawn.shown.rows
    known = sample.columns(store, ["id", "text", *store.metadata])
    picked = {name: [values[row] for row in rows.tolist()] for name, values in known.items()}
    return Points(
        ids=picked.pop("id"),
        texts=picked.pop("text"),
        metadata=picked,
        embeddings=store.vectors().embeddings[rows],
        coords=drawn.points[rows],
        says=_keeps(drawn.facts, drawn.facts.total),
        total=len(drawn.ids),
    )


def _keeps(facts: "AtlasFacts | MapFacts", total: int) -> str:
    chance = f"{facts.chance:.0%}" if facts.chance >= 0.01 else "less than 1%"
    return (
        f"This {facts.projection} map of {total:,} texts keeps {facts.preserved:.0%} of each text’s "
        f"{facts.neighbours} nearest neighbours; a random map would keep {chance}."
    )


def atlas_reading(atlas: "Atlas", row: int) -> Readings:
    """What the atlas knows of one of its rows."""
    only = slice(row, row + 1)
    return Readings(
        texts=atlas.texts[only],
        responses=atlas.responses[only],
        decoded=atlas.decoded[only],
        embeddings=atlas.embeddings[only],
        decoded_embeddings=atlas.decoded_embeddings[only],
        soft_prompts=atlas.soft_prompts[only],
        special_tokens=atlas.soft_prompts.shape[1],
        truncated=0,
    )


def store_readings(embedder: "Embedder", store: "Store", ids: Sequence[str]) -> Readings:
    """What rows of a store decode to, beside the language model's own answers to their texts (greedy).

    Raises what `Store.soft_prompts` raises, and WorkbenchError for no rows.
    """
    if not ids:
        raise WorkbenchError("no rows have no readings")
    prompts = store.soft_prompts(ids)
    wanted = ", ".join(map(quoted, ids))
    texts = {
        name: text
        for batch in store.scan(["id", "text"], f"id IN ({wanted})")
        for name, text in zip(batch["id"].to_pylist(), batch["text"].to_pylist(), strict=True)
    }
    return _readings(embedder, [texts[name] for name in ids], store.embeddings(ids), prompts)


def own_reading(embedder: "Embedder", text: str, instruction: str | None = None) -> Readings:
    """One text's reading, embedded behind the `instruction` that a store's texts were read behind."""
    from workbench.decoding.trust import read

    if instruction is None:
        return read(embedder, [text])
    encoding = embedder.represent([text], instruction=instruction)
    if encoding.soft_prompts is None:
        raise WorkbenchError(f"{embedder.method} has no soft prompts: it reads texts without an instruction")
    return _readings(
        embedder, [text], encoding.embedding.numpy(), encoding.soft_prompts.numpy(), encoding.truncated
    )


def _readings(
    embedder: "Embedder", texts: list[str], embeddings: np.ndarray, prompts: np.ndarray, truncated: int = 0
) -> Readings:
    from workbench.decoding.decode import decode  # torch comes with it

    decoded = decode(embedder, prompts)
    with embedder.language_model() as backbone:
        responses = backbone.respond(texts, max_new_tokens=64)
    again = np.asarray(embedder.encode_document(decoded), dtype=np.float32)
    return Readings(texts, responses, decoded, embeddings, again, prompts, prompts.shape[1], truncated)
