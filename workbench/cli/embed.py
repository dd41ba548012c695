"""`workbench embed`: texts become vectors in a file; a long run is kept in parts and resumes."""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli import options, say
from workbench.files import atomic_path, hash_bytes
from workbench.texts import TextTable

if TYPE_CHECKING:
    import numpy as np

    from workbench.embedders.base import Embedder

SUFFIXES = (".npy", ".parquet", ".jsonl")
PART = 2048
"""Texts in a part; what an interruption costs at most."""


def embed(
    output: Annotated[Path, typer.Option("--output", help="The vectors: .npy, .parquet or .jsonl.")],
    embedder: options.EmbedderPath = None,
    text: options.Texts = None,
    source: options.Input = None,
    column: options.Column = None,
    limit: options.Limit = None,
    prompt_name: Annotated[
        str | None,
        typer.Option("--prompt-name", help="An instruction of the embedder's, such as query or document."),
    ] = None,
    normalize: Annotated[bool, typer.Option("--normalize", help="Give every vector length 1.")] = False,
    batch_size: options.BatchSize = 32,
    backbone: Annotated[
        str | None, typer.Option("--backbone", help="Instead of the one the embedder names.")
    ] = None,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    trust_remote_code: options.TrustRemoteCode = False,
) -> None:
    """Embed texts into a file: float32 rows in the order of the texts."""
    options.check_output(output, SUFFIXES)
    table = options.gather_texts(text, source, column, limit)
    say.note_left_out(table.left_out, table.source)

    import numpy as np

    from workbench.embedders.artifact import load_embedder

    loaded = load_embedder(
        embedder, backbone=backbone, device=device, dtype=dtype, trust_remote_code=trust_remote_code
    )
    vectors, truncated = embed_in_parts(
        loaded, table.texts, instruction_of(loaded, prompt_name), output, batch_size
    )
    say.note_truncated(truncated, len(table))
    if normalize:
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    write_vectors(vectors, table, output)
    shutil.rmtree(parts_folder(output), ignore_errors=True)
    say.note(f"{len(vectors)} vectors of dimension {vectors.shape[1]} in {output}")


def instruction_of(embedder: "Embedder", prompt_name: str | None) -> str | None:
    """The embedder's prompt of that name; UsageError that shows which it has where it has none such."""
    return None if prompt_name is None else embedder.prompt_named(prompt_name)


def embed_in_parts(
    embedder: "Embedder", texts: list[str], instruction: str | None, output: Path, batch_size: int
) -> tuple["np.ndarray", int]:
    """Vectors `[b, d_e]` of the texts and how many were truncated.

    Every part of `PART` texts but the last is kept beside the output under a name made of its content, so that the
    same command goes on behind the last finished part.
    """
    import numpy as np

    folder = parts_folder(output)
    key = embedder.fingerprint() if len(texts) > PART else ""
    vectors, truncated = [], 0
    with say.progress("embedding", len(texts), "texts") as progress:
        for start in range(0, len(texts), PART):
            part = texts[start : start + PART]
            kept = folder / f"{hash_bytes(key, instruction or '', *part)[:32]}.npz"
            if len(part) == PART and kept.is_file():
                with np.load(kept) as saved:
                    rows, cut = saved["vectors"], int(saved["truncated"])
            else:
                encoding = embedder.represent(part, instruction=instruction, batch_size=batch_size)
                rows, cut = encoding.embedding.numpy(), encoding.truncated
                if len(texts) > PART:
                    with atomic_path(kept) as temporary:
                        np.savez(temporary, vectors=rows, truncated=cut)
            vectors.append(rows)
            truncated += cut
            progress(start + len(part), len(texts))
    return np.concatenate(vectors), truncated


def parts_folder(output: Path) -> Path:
    """Where the finished parts of a long run lie."""
    return output.with_name(f".{output.name}.parts")


def write_vectors(vectors: "np.ndarray", table: TextTable, output: Path) -> None:
    """The vectors alone as .npy; with their texts, in columns `text` and `embedding`, as .parquet or .jsonl."""
    import numpy as np

    with atomic_path(output) as temporary:
        if output.suffix == ".npy":
            np.save(temporary, vectors)
        elif output.suffix == ".parquet":
            _write_parquet(vectors, table, temporary)
        else:
            with open(temporary, "w", encoding="utf-8") as file:
                for text, vector in zip(table.texts, vectors, strict=True):
                    file.write(
                        json.dumps({"text": text, "embedding": vector.tolist()}, ensure_ascii=False) + "\n"
                    )


def _write_parquet(vectors: "np.ndarray", table: TextTable, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
    pq.write_table(pa.table({"text": table.texts, "embedding": flat}), path)
