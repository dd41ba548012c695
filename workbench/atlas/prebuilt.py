"""The atlas that ships with an embedder: a few hundred texts, read and mapped once, so that the app opens at once."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float

from workbench.atlas import projection
from workbench.atlas.neighbours import preserved
from workbench.disk import atomic_path
from workbench.errors import FingerprintMismatch, UsageError, WorkbenchError
from workbench.files import hash_bytes, named_if_damaged, parquet_errors

if TYPE_CHECKING:
    from workbench.decoding.trust import Readings
    from workbench.embedders.base import Embedder

SCHEMA_VERSION = 1
STEPS = ("reading the texts", "drawing the map", "writing the atlas")
_COLUMNS = ("text", "topic", "kind", "response", "decoded")
_KEY = b"workbench"


@dataclass(frozen=True)
class AtlasFacts:
    """What is known of an atlas as a whole."""

    embedder: str
    """The embedder's fingerprint."""
    method: str
    backbone: str
    projection: str
    seed: int
    preserved: float
    """Share of the 10 nearest neighbours that are nearest on the map too, on average."""
    chance: float
    """The share that a random map would keep."""
    neighbours: int
    shuffled: float
    """Mean cosine between an embedding and the decoded texts of other rows."""
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True)
class Atlas:
    """Texts with their readings, vectors and places on a map; row i of everything belongs to text i."""

    texts: list[str]
    topics: list[str]
    kinds: list[str]
    responses: list[str]
    decoded: list[str]
    embeddings: Float[np.ndarray, "n d_e"]
    decoded_embeddings: Float[np.ndarray, "n d_e"]
    soft_prompts: Float[np.ndarray, "n s d"]
    coords: Float[np.ndarray, "n 2"]
    round_trip: Float[np.ndarray, " n"]
    facts: AtlasFacts

    def __post_init__(self) -> None:
        columns = (self.texts, self.topics, self.kinds, self.responses, self.decoded, self.embeddings)
        columns += (self.decoded_embeddings, self.soft_prompts, self.coords, self.round_trip)
        if len({len(column) for column in columns}) != 1 or self.coords.shape[1:] != (2,):
            raise ValueError(
                f"an atlas needs equally long columns, not {[len(column) for column in columns]}"
            )

    def __len__(self) -> int:
        return len(self.texts)


def fingerprint_of(embedder: "Embedder") -> str:
    """The hash that ties an atlas to its embedder: the weights of the embedder and the identity of its backbone.

    The backbone's name and revision do not count, only what it is made of.
    """
    backbone = {k: v for k, v in embedder.backbone.fingerprint().items() if k not in ("backbone", "revision")}
    parts: list[str | bytes] = [embedder.method, json.dumps(backbone, sort_keys=True)]
    for name, tensor in sorted(embedder.tensors().items()):
        parts += [name, str(tuple(tensor.shape)), tensor.detach().float().cpu().numpy().tobytes()]
    return hash_bytes(*parts)


def build(
    embedder: "Embedder",
    texts: Sequence[str],
    rows: Sequence[dict[str, Any]],
    *,
    output: Path | str,
    seed: int = 0,
    progress: Callable[[str], Any] | None = None,
) -> Atlas:
    """Reads and maps the texts and writes the parquet file `output` (atomically); returns the atlas.

    `rows` gives "topic" and "kind" of every text ("" where missing). A text that occurs twice is kept once.
    `progress` is called with each of `STEPS` as it starts. The same seed gives the same bytes on the same machine.
    Raises WorkbenchError for fewer than three different texts or rows of another length.
    """
    from workbench.decoding.trust import read

    say = progress or (lambda step: None)
    once = _once(texts, rows)
    say(STEPS[0])
    readings = read(embedder, list(once))
    if readings.soft_prompts is None:
        raise UsageError(f"an atlas keeps soft prompts, and {embedder.method} has none")
    say(STEPS[1])
    atlas = _assembled(
        readings, list(once.values()), projection.umap(readings.embeddings, seed), seed, embedder
    )
    say(STEPS[2])
    save(atlas, output)
    return atlas


def _once(texts: Sequence[str], rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Every different text with the row of its first occurrence, in order; blank texts are left out."""
    if len(rows) != len(texts):
        raise WorkbenchError(f"{len(texts)} texts but {len(rows)} rows beside them")
    once: dict[str, dict[str, Any]] = {}
    for text, row in zip(texts, rows, strict=True):
        if text.strip():
            once.setdefault(text, row)
    if len(once) < 3:
        raise WorkbenchError(f"an atlas needs at least three different texts, not {len(once)}")
    return once


def _assembled(
    readings: "Readings", rows: list[dict[str, Any]], coords: np.ndarray, seed: int, embedder: "Embedder"
) -> Atlas:
    from workbench.decoding.trust import shuffled

    assert readings.soft_prompts is not None
    kept = preserved(readings.embeddings, coords)
    return Atlas(
        texts=readings.texts,
        topics=[str(row.get("topic") or "") for row in rows],
        kinds=[str(row.get("kind") or "") for row in rows],
        responses=readings.responses,
        decoded=readings.decoded,
        embeddings=_half(readings.embeddings),
        decoded_embeddings=_half(readings.decoded_embeddings),
        soft_prompts=_half(readings.soft_prompts),
        coords=coords,
        round_trip=readings.round_trip.astype(np.float32),
        facts=AtlasFacts(
            embedder=fingerprint_of(embedder),
            method=embedder.method,
            backbone=embedder.backbone.id,
            projection="UMAP" if len(rows) >= 8 else "PCA",
            seed=seed,
            preserved=kept.mean,
            chance=kept.chance,
            neighbours=kept.k,
            shuffled=shuffled(readings),
        ),
    )


def save(atlas: Atlas, path: Path | str) -> None:
    """Writes the atlas as parquet: texts as strings, vectors as float16 lists, the facts as JSON in the schema."""
    n, s, d = atlas.soft_prompts.shape
    columns: dict[str, Any] = {
        name: pa.array(values, pa.string())
        for name, values in zip(
            _COLUMNS, (atlas.texts, atlas.topics, atlas.kinds, atlas.responses, atlas.decoded), strict=True
        )
    }
    columns["embedding"] = _lists(atlas.embeddings)
    columns["decoded_embedding"] = _lists(atlas.decoded_embeddings)
    columns["soft_prompts"] = _lists(atlas.soft_prompts.reshape(n, s * d))
    columns["x"], columns["y"] = (pa.array(column.astype(np.float32)) for column in atlas.coords.T)
    columns["round_trip"] = pa.array(atlas.round_trip.astype(np.float32))
    header = json.dumps({**asdict(atlas.facts), "soft_prompts": [s, d]}, sort_keys=True)
    table = pa.table(columns).replace_schema_metadata({_KEY: header.encode()})
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(Path(path)) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def load(path: Path | str) -> Atlas:
    """Reads an atlas. Raises UsageError for a missing file, WorkbenchError for one that is no atlas of this version."""
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"no atlas at {path}")
    with parquet_errors(path):
        table = pq.read_table(path)
    try:
        header = json.loads((table.schema.metadata or {})[_KEY])
        s, d = header.pop("soft_prompts")
        facts = AtlasFacts(**header)
        strings = {name: table[name].to_pylist() for name in _COLUMNS}
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise WorkbenchError(f"{path} is not an atlas of this version ({error})") from error
    if facts.schema_version != SCHEMA_VERSION:
        raise WorkbenchError(
            f"{path} has schema version {facts.schema_version}, this program {SCHEMA_VERSION}"
        )
    with named_if_damaged(path):
        return Atlas(
            *(strings[name] for name in _COLUMNS),
            embeddings=_matrix(table["embedding"]),
            decoded_embeddings=_matrix(table["decoded_embedding"]),
            soft_prompts=_matrix(table["soft_prompts"]).reshape(-1, s, d),
            coords=np.stack([table["x"].to_numpy(), table["y"].to_numpy()], axis=1),
            round_trip=table["round_trip"].to_numpy(),
            facts=facts,
        )


def check_fingerprint(atlas: Atlas, embedder: "Embedder") -> None:
    """Raises FingerprintMismatch, naming both sides, where the atlas was made by another embedder."""
    ours = fingerprint_of(embedder)
    if ours != atlas.facts.embedder:
        raise FingerprintMismatch("the atlas", "embedder", atlas.facts.embedder[:12], ours[:12])


def _half(vectors: np.ndarray) -> np.ndarray:
    """Rounded to what the file stores, so that an atlas just built equals the same atlas loaded."""
    return vectors.astype(np.float16).astype(np.float32)


def _lists(matrix: np.ndarray) -> pa.Array:
    flat = pa.array(np.ascontiguousarray(matrix, dtype=np.float16).ravel())
    return pa.FixedSizeListArray.from_arrays(flat, matrix.shape[1])


def _matrix(column: pa.ChunkedArray) -> np.ndarray:
    whole = column.combine_chunks()
    return whole.flatten().to_numpy(zero_copy_only=False).astype(np.float32).reshape(len(whole), -1)
