"""What `workbench decode --vectors` does: pooled vectors from a file, read through a lifter, with their badges."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.cli.judge import judge_of, lifter_before_loading
from workbench.errors import UsageError, WorkbenchError
from workbench.texts import READERS

if TYPE_CHECKING:
    import numpy as np

LINES = ".jsonl"


def read_file(path: Path, limit: int | None, embedder: str | None, lifter: str | None) -> np.ndarray:
    """The first `limit` vectors `[b, d_e]` of a file, checked before any model is loaded.

    .npy `[b, d_e]` or `[d_e]`, .parquet and .jsonl with a column `embedding`, .csv one vector a line. Raises UsageError
    for a file that holds no vectors or a lifter that is not there, WorkbenchError for vectors that are 0, not finite,
    or of another size than the lifter reads.
    """
    from workbench.decoding.vector_files import SUFFIXES, read_vectors_file

    if path.is_dir():
        raise UsageError(f"a directory, not a file: {path}")
    if path.suffix.lower() not in (*SUFFIXES, LINES):
        raise UsageError(f"{path}: vectors are read from {', '.join((*SUFFIXES, LINES))}")
    if not path.is_file():
        raise UsageError(f"no such file: {path}")
    about = lifter_before_loading(embedder, lifter)
    lines = path.suffix.lower() == LINES
    found = _of_lines(path) if lines else read_vectors_file(path.name, path.read_bytes())
    vectors = found[:limit]
    if about is not None and vectors.shape[1] != about.dimension:
        raise WorkbenchError(
            f"{path} holds vectors of shape {list(vectors.shape)}, but the lifter reads [b, {about.dimension}]"
        )
    _check_finite(path, vectors)
    return vectors


def read_lifted(
    vectors: np.ndarray,
    embedder: str | None,
    lifter: str | None,
    reference: str | None,
    max_new_tokens: int,
    batch_size: int,
    opening: dict[str, Any],
    rounds: int = 0,
) -> list[dict[str, Any]]:
    """One row for each vector: its number, what it decodes to, and the figures of its badge.

    `opening` holds the options of `load_embedder`; with `rounds` a reading is searched for in so many.
    """
    from workbench.decoding.media import ThroughLifter
    from workbench.decoding.search import Search
    from workbench.embedders.artifact import load_embedder
    from workbench.embedders.lifter_artifact import load_lifter

    loaded = load_embedder(embedder, **opening)
    search = Search(rounds) if rounds else None
    medium = ThroughLifter(loaded, load_lifter(loaded, lifter), search)
    kept = medium.given(vectors)
    decoded = medium.decode(kept, max_new_tokens=max_new_tokens, batch_size=batch_size)
    badges = judge_of(medium, reference).badges(kept, decoded, batch_size=batch_size)
    return [
        {"vector": number, "decoded": said, **badge.to_dict()}
        for number, (said, badge) in enumerate(zip(decoded, badges, strict=True))
    ]


def _of_lines(path: Path) -> np.ndarray:
    """The vectors of a .jsonl file."""
    import numpy as np

    rows = READERS[LINES](path)
    if not rows:
        raise WorkbenchError(f"{path} is empty")
    vectors: list[list[float]] = []
    for where, values in rows:
        if "embedding" not in values:
            raise UsageError(f"{path}, {where}: no column 'embedding'; it has {', '.join(values)}")
        row = values["embedding"]
        if not isinstance(row, list) or not all(type(number) in (int, float) for number in row):
            raise WorkbenchError(f"{path}, {where}: the embedding is no list of numbers")
        if not row or len(row) != len(vectors[0] if vectors else row):
            wanted = len(vectors[0]) if vectors else "at least 1"
            raise WorkbenchError(f"{path}, {where}: an embedding of {len(row)} numbers, not {wanted}")
        vectors.append(row)
    return np.asarray(vectors, dtype=np.float32)


def _check_finite(path: Path, vectors: np.ndarray) -> None:
    import numpy as np

    bad = ~np.isfinite(vectors).all(axis=1) | ~vectors.any(axis=1)
    if bad.any():
        raise WorkbenchError(
            f"{path}: {int(bad.sum())} of {len(vectors)} vectors are 0 or not finite, the first is number "
            f"{int(np.flatnonzero(bad)[0])}"
        )
