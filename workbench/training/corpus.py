"""From queries to training pairs: the backbone's own responses and the teacher's targets, cached and resumable."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float

from workbench import files
from workbench.backbone import Backbone
from workbench.disk import atomic_path
from workbench.errors import UsageError, WorkbenchError
from workbench.processes import Processes, agreed, here, wait
from workbench.texts import read_texts
from workbench.training.shards import Shards
from workbench.training.teachers import Teacher

Progress = Callable[[int, int], None]
RESPONSES = pa.schema(
    {"query": pa.string(), "response": pa.string(), "cut": pa.bool_(), "finished": pa.bool_()}
)
BATCHES_A_SHARD = 8  # what a kill can cost


@dataclass(frozen=True)
class Corpus:
    """Queries with the backbone's responses, and the teacher's vector of each response once it is computed."""

    queries: list[str]
    responses: list[str]
    targets: Float[np.ndarray, "n d_e"] | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    """The queries' other columns, a row for each of them, or nothing; they are shown where a run is watched."""

    def __post_init__(self) -> None:
        if len(self.queries) != len(self.responses):
            raise WorkbenchError(f"{len(self.queries)} queries, but {len(self.responses)} responses")
        if self.targets is not None and len(self.targets) != len(self.queries):
            raise WorkbenchError(f"{len(self.queries)} queries, but {len(self.targets)} targets")
        if self.rows and len(self.rows) != len(self.queries):
            raise WorkbenchError(f"{len(self.queries)} queries, but {len(self.rows)} rows of other columns")

    def __len__(self) -> int:
        return len(self.queries)

    def hash(self) -> str:
        """Hash of the content: queries, responses and targets in their order."""
        texts = json.dumps([self.queries, self.responses], ensure_ascii=True)
        vectors = b"" if self.targets is None else np.ascontiguousarray(self.targets).tobytes()
        return files.hash_bytes(texts, vectors)


def respond(
    backbone: Backbone,
    queries: list[str],
    *,
    cache_dir: Path | str,
    max_new_tokens: int = 512,
    temperature: float = 0.0,
    seed: int = 0,
    batch_size: int = 64,
    instruction: str | None = None,
    max_length: int = 512,
    progress: Progress | None = None,
) -> Corpus:
    """The backbone's own response to every query (arXiv 2603.10913, section 3: greedy, at most 512 tokens).

    Responses are cached under `cache_dir` by backbone, options and query, shard by shard; after a kill the same call
    continues and returns what an uninterrupted run returns. A query that stands twice is asked once. Of several
    processes each asks its own part, and all return the whole; `cache_dir` must be the same folder. `meta` counts the
    queries that lost their tail (`truncated`) and the responses that hit a limit (`unfinished`) or are `empty`.
    """
    options: dict[str, Any] = {"max_new_tokens": max_new_tokens, "temperature": temperature, "seed": seed}
    options |= {"instruction": instruction, "max_length": max_length}
    about = _identity(backbone) | options | ({} if temperature else {"seed": 0})  # greedy has no seed
    shards = Shards(_folder(cache_dir, "responses", about), RESPONSES)
    known = _answered(shards)
    unique, processes = list(dict.fromkeys(queries)), here()
    own = processes.own(unique)
    pending = [query for query in own if query not in known]
    done = len(own) - len(pending)
    for chunk in _chunks(pending, batch_size * BATCHES_A_SHARD):
        shift = _shifted(progress, done, len(own))
        answers = backbone.answers(chunk, **options, batch_size=batch_size, progress=shift)
        columns = dict(
            zip(RESPONSES.names, (chunk, answers.texts, answers.cut, answers.finished), strict=True)
        )
        shards.append(columns)
        known |= {row["query"]: row for row in pa.table(columns).to_pylist()}
        done += len(chunk)
    if processes.count > 1:
        wait()
        known = _answered(shards)
        check_merged(unique, known, "responses", shards.folder, processes)
    rows = [known[query] for query in queries]
    counts = {
        "truncated": sum(row["cut"] for row in rows),
        "unfinished": sum(not row["finished"] for row in rows),
        "empty": sum(not row["response"].strip() for row in rows),
    }
    return Corpus(list(queries), [row["response"] for row in rows], None, {**about, **counts})


def targets(
    teacher: Teacher,
    responses: list[str],
    *,
    cache_dir: Path | str,
    batch_size: int = 64,
    progress: Progress | None = None,
) -> Float[np.ndarray, "n d_e"]:
    """The teacher's vector of every response, float32; cached by teacher and text, resumable and shared like `respond`.

    The teacher of each process embeds its own part of the texts.
    """
    vector = pa.list_(pa.float32(), teacher.dimension)
    schema = pa.schema({"text": pa.string(), "vector": vector})
    shards = Shards(_folder(cache_dir, "targets", {"teacher": teacher.fingerprint()}), schema)
    unique = list(dict.fromkeys(responses))
    hashes = {text: files.hash_bytes(text) for text in unique}
    known, processes = set(shards.read().column("text").to_pylist()), here()
    own = processes.own(unique)
    pending = [text for text in own if hashes[text] not in known]
    done = len(own) - len(pending)
    for chunk in _chunks(pending, batch_size * BATCHES_A_SHARD):
        vectors = _checked(teacher, teacher.embed(chunk, batch_size=batch_size), len(chunk))
        flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), teacher.dimension)
        shards.append({"text": [hashes[text] for text in chunk], "vector": flat})
        done += len(chunk)
        if progress:
            progress(done, len(own))
    wait()
    table = shards.read().combine_chunks()
    place = {key: row for row, key in enumerate(table.column("text").to_pylist())}
    check_merged(list(hashes.values()), place, "targets", shards.folder, processes)
    stored = _flat(table).reshape(-1, teacher.dimension)
    return stored[[place[hashes[text]] for text in responses]] if responses else stored[:0]


def write_corpus(corpus: Corpus, path: Path | str) -> None:
    """Write query and response as .jsonl or .parquet, atomically; targets stay in their own cache.

    Of several processes, the first writes.
    """
    path = Path(path)
    rows = {"query": corpus.queries, "response": corpus.responses}
    if path.suffix not in (".jsonl", ".parquet"):
        raise UsageError(f"cannot write a corpus to {path}: the name must end in .jsonl or .parquet")
    agreed(lambda: _write(rows, path))


def _write(rows: dict[str, list[str]], path: Path) -> None:
    with atomic_path(path) as partial:
        if path.suffix == ".parquet":
            pq.write_table(pa.table(rows), partial)
        else:
            pairs = zip(*rows.values(), strict=True)
            lines = (json.dumps({"query": q, "response": r}, ensure_ascii=False) + "\n" for q, r in pairs)
            partial.write_text("".join(lines), encoding="utf-8", newline="\n")


def read_corpus(path: Path | str) -> Corpus:
    """Read what `write_corpus` wrote, or any table with the columns query and response (an empty response stays)."""
    table = read_texts(str(path), "query")
    if "response" not in (table.rows[0] if table.rows else {}):
        columns = ", ".join(sorted({"query", *(table.rows[0] if table.rows else {})}))
        raise UsageError(f"{path} has no column 'response', only {columns}: `workbench respond` writes it")
    responses = [row.get("response") for row in table.rows]
    if (
        row := next((n for n, text in enumerate(responses, 1) if not isinstance(text, str)), None)
    ) is not None:
        raise WorkbenchError(f"{path}: the response of query {row} is not a text")
    return Corpus(
        table.texts,
        [str(text) for text in responses],
        None,
        {"source": str(path), "left_out": table.left_out},
    )


def _answered(shards: Shards) -> dict[str, dict[str, Any]]:
    """The cached rows by their query."""
    return {row["query"]: row for row in shards.read().to_pylist()}


def check_merged(
    wanted: list[str], found: Collection[str], what: str, folder: Path, processes: Processes
) -> None:
    """Raises WorkbenchError where what several processes made is not all there; each key counts once."""
    if missing := sum(key not in found for key in wanted):
        raise WorkbenchError(
            f"{missing} of {len(wanted)} {what} of {processes.count} processes are missing in {folder}: all processes "
            "need the same cache folder; what is there is kept, run the same command again"
        )


def _identity(backbone: Backbone) -> dict[str, Any]:
    """What decides a response; the name does not, so a backbone that moved keeps its cache."""
    parts = backbone.fingerprint()
    return {key: parts[key] for key in ("config", "weights", "tokenizer", "template")} | {
        "dtype": str(backbone.dtype)
    }


def _folder(cache_dir: Path | str, kind: str, about: dict[str, Any]) -> Path:
    folder = Path(cache_dir) / kind / files.hash_bytes(json.dumps(about, sort_keys=True))[:24]
    if here().first and not (folder / "about.json").exists():
        files.write_json(folder / "about.json", about)
    return folder


def _chunks(items: list[str], size: int) -> list[list[str]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _shifted(progress: Progress | None, done: int, total: int) -> Progress | None:
    return progress and (lambda step, _: progress(done + step, total))


def _checked(teacher: Teacher, vectors: np.ndarray, count: int) -> Float[np.ndarray, "n d_e"]:
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    if vectors.shape != (count, teacher.dimension) or not np.isfinite(vectors).all():
        wanted = (count, teacher.dimension)
        raise WorkbenchError(
            f"teacher {teacher.id} gave {vectors.shape}, wanted finite vectors of shape {wanted}"
        )
    return vectors


def _flat(table: pa.Table) -> np.ndarray:
    chunks = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in table.column("vector").chunks]
    return np.concatenate(chunks) if chunks else np.zeros(0, dtype=np.float32)
