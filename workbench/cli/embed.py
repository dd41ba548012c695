"""`workbench embed`: texts become vectors in a file; long runs are kept in parts, resume, and can be shared."""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from workbench.cli import options, say
from workbench.disk import atomic_path
from workbench.errors import WorkbenchError
from workbench.files import hash_bytes
from workbench.processes import here, wait
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
    batch_size: options.ReadAtOnce = None,
    backbone: options.BackbonePath = None,
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
    whole = embed_in_parts(loaded, table.texts, instruction_of(loaded, prompt_name), output, batch_size)
    if whole is None:  # the first process has it, and writes it
        return
    vectors = whole.vectors
    say.note_truncated(whole.truncated, len(table))
    if normalize:
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    write_vectors(vectors, table, output)
    shutil.rmtree(parts_folder(output), ignore_errors=True)
    count = "1 vector" if len(vectors) == 1 else f"{len(vectors)} vectors"
    say.note(f"{count} of dimension {vectors.shape[1]} in {output}")


def instruction_of(embedder: "Embedder", prompt_name: str | None) -> str | None:
    """The embedder's prompt of that name; UsageError that shows which it has where it has none such."""
    return None if prompt_name is None else embedder.prompt_named(prompt_name)


class Part(NamedTuple):
    """Vectors `[b, d_e]` of some texts that follow each other, and how many of these were truncated."""

    vectors: "np.ndarray"
    truncated: int


def embed_in_parts(
    embedder: "Embedder", texts: list[str], instruction: str | None, output: Path, batch_size: int | None
) -> Part | None:
    """All texts as one part; None in every process but the first.

    Where there are several parts, each is kept beside the output under a name made of its content, so that the same
    command goes on behind the finished ones. Of several processes, each makes every so manieth part, and the first
    puts them together once all are there. Raises WorkbenchError where one is missing or has not as many rows as texts.
    """
    processes = here()
    size = part_size(len(texts), processes.count)
    parts = [texts[start : start + size] for start in range(0, len(texts), size)]
    keep = len(parts) > 1 or processes.count > 1
    key = embedder.fingerprint() if keep else ""
    names = [f"{hash_bytes(key, instruction or '', *part)[:32]}.npz" for part in parts]
    kept, made = [parts_folder(output) / name for name in names], {}
    own = processes.own(range(len(parts)))
    done, total = 0, sum(len(parts[number]) for number in own)
    with say.progress("embedding", total, "texts") as progress:
        for number in own:
            part = parts[number]
            if keep and kept[number].is_file():
                made[number] = read_part(kept[number], len(part))
            else:
                encoding = embedder.represent(
                    part, instruction=instruction, batch_size=batch_size, embedding_alone=True
                )
                made[number] = Part(encoding.embedding.numpy(), encoding.truncated)
                if keep:
                    write_part(made[number], kept[number])
            done += len(part)
            progress(done, total)
    wait()
    if not processes.first:
        return None
    return merge_parts(
        [made.get(number) or read_part(kept[number], len(part)) for number, part in enumerate(parts)],
        len(texts),
    )


def part_size(texts: int, processes: int) -> int:
    """Texts in a part: `PART`, or less where some of the processes would have none."""
    return max(1, min(PART, -(-texts // processes)))


def write_part(part: Part, path: Path) -> None:
    """Keep a part, whole or not at all."""
    import numpy as np

    with atomic_path(path) as temporary:
        np.savez(temporary, vectors=part.vectors, truncated=part.truncated)


def read_part(path: Path, rows: int) -> Part:
    """A kept part of so many rows; WorkbenchError where it is not there, damaged, or has more or fewer of them."""
    import numpy as np

    try:
        with np.load(path) as saved:
            part = Part(saved["vectors"], int(saved["truncated"]))
        if part.vectors.ndim != 2 or part.vectors.dtype.kind != "f":
            raise ValueError(f"no vectors: {part.vectors.dtype} of shape {list(part.vectors.shape)}")
    except FileNotFoundError as error:
        raise WorkbenchError(
            f"the part {path} is missing: all processes must write to the same folder; run the same command again"
        ) from error
    except Exception as error:  # numpy's, zipfile's, and what a torn header leads to
        raise WorkbenchError(
            f"the part {path} is damaged: delete it and run the same command again"
        ) from error
    if len(part.vectors) != rows:
        raise WorkbenchError(
            f"the part {path} has {len(part.vectors)} rows for {rows} texts: delete it and run the same command again"
        )
    return part


def merge_parts(parts: list[Part], texts: int) -> Part:
    """The parts behind each other; WorkbenchError unless there is one row for each text."""
    import numpy as np

    vectors = np.concatenate([part.vectors for part in parts])
    if len(vectors) != texts:
        raise WorkbenchError(f"the parts have {len(vectors)} rows for {texts} texts")
    return Part(vectors, sum(part.truncated for part in parts))


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
