"""The store: search in it against brute force and LanceDB's own scan, with what building it took and what it found.

python -m benchmarks.store                        # 10,000 synthetic rows
python -m benchmarks.store --rows 100000          # as many as are searched exactly: p50 under 50 ms, within 8 GB
python -m benchmarks.store --rows 1000000 --soft-prompts 0   # above that, by the index
"""

from __future__ import annotations

import argparse
import itertools
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.runner import Contender, Report, measure
from workbench.atlas.build import build
from workbench.atlas.entries import source_of
from workbench.atlas.layout import StoreFacts
from workbench.atlas.neighbours import unit
from workbench.atlas.search import EXACT_ROWS, Search
from workbench.atlas.store import Made, Store, open_store
from workbench.files import hash_file

TOPICS, NOISE, K = 1000, 0.7, 10
WHERE = "year > 1990"
"""A filter that one row in eleven passes."""


def run(options: argparse.Namespace) -> Report:
    """Searches a second; a store is built first, through everything but a model, and its hits are checked."""
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        vectors = clustered(options.rows, options.dimension, seed=0)
        queries = clustered(options.queries, options.dimension, seed=1)
        started = time.perf_counter()
        store = built(Path(folder), vectors, options.soft_prompts)
        setting = {"rows": options.rows, "dimension": options.dimension, "soft prompts": options.soft_prompts}
        setting |= {"build s": round(time.perf_counter() - started, 1)}
        setting |= {"on disk MB": sum(f.stat().st_size for f in Path(folder).rglob("*.lance")) // 2**20}
        search, normal = Search(store), unit(vectors)
        plain = lambda query: search.nearest(query, K)  # noqa: E731
        filtered = lambda query: search.nearest(query, K, where=WHERE)  # noqa: E731
        setting |= {
            "recall@10": recall(plain, queries, normal),
            "searched": "exactly" if options.rows <= EXACT_ROWS else "by index",
        }
        setting |= {"p50 ms": p50(plain, queries), "a filter's first search ms": p50(filtered, queries[:1])}
        setting |= {"filtered p50 ms": p50(filtered, queries)}
        years = np.arange(options.rows) % 100 + 1900
        setting |= {"filtered recall@10": recall(filtered, queries, normal, years > 1990)}
        contenders = [
            contender("ours, one in eleven rows by a filter", filtered, queries),
            contender("ours", plain, queries),
            contender("LanceDB's scan of all vectors", lambda query: scanned(store, query), queries),
            contender("brute force in numpy, vectors in memory", lambda query: brute(normal, query), queries),
        ]
        report = measure("store", "searches", contenders, options.repeats, **setting)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    report.setting["peak memory MB"] = peak
    return report


def clustered(rows: int, dimension: int, seed: int) -> np.ndarray:
    """Vectors around 1000 centres that are the same for every seed, as texts gather around topics."""
    centres = np.random.default_rng(99).standard_normal((TOPICS, dimension), dtype=np.float32)
    draw = np.random.default_rng(seed)
    vectors = NOISE * draw.standard_normal((rows, dimension), dtype=np.float32)
    vectors += centres[draw.integers(0, TOPICS, rows)]
    return vectors


def built(folder: Path, vectors: np.ndarray, soft_prompts: int) -> Store:
    """A store of `vectors`, built as `workbench atlas build` builds it: from a file, batch by batch."""
    path = folder / "corpus.jsonl"
    with open(path, "w") as file:
        for row in range(len(vectors)):
            file.write(f'{{"text": "text number {row} of many", "year": {1900 + row % 100}}}\n')
    source, at = source_of(path), itertools.count()
    noise = np.random.default_rng(2).standard_normal((4096, max(soft_prompts, 1))).astype(np.float32)

    def make(texts: list[str]) -> Made:
        rows = [next(at) for _ in texts]
        prompts = (
            noise[[row % len(noise) for row in rows]].reshape(len(rows), 1, -1) if soft_prompts else None
        )
        return Made(vectors[rows], prompts)

    facts = StoreFacts(
        method="synthetic", embedder="", backbone={}, dimension=vectors.shape[1],
        soft_prompts=[1, soft_prompts] if soft_prompts else None, instruction=None, source=path.name,
        source_hash=hash_file(path), reading=source.reading.to_dict(),
    )  # fmt: skip
    build(str(folder / "store"), source, facts, make)
    return open_store(str(folder / "store"))


def contender(name: str, search: Callable[[np.ndarray], Any], queries: np.ndarray) -> Contender:
    """All queries, one after the other."""
    return Contender(name, lambda: [search(query) for query in queries], len(queries))


def scanned(store: Store, query: np.ndarray) -> list[dict[str, Any]]:
    """What LanceDB does without an index."""
    search = store.table.search(query, vector_column_name="embedding").distance_type("cosine")
    return search.bypass_vector_index().limit(K).select(["id", "text", "year", "_distance"]).to_list()


def brute(normal: np.ndarray, query: np.ndarray) -> np.ndarray:
    """The nearest rows of unit vectors."""
    return np.argpartition(-(normal @ unit(query)), K)[:K]


def recall(
    search: Callable[[np.ndarray], Any],
    queries: np.ndarray,
    normal: np.ndarray,
    let: np.ndarray | None = None,
) -> float:
    """The share of the ten nearest rows, by brute force, that the search finds."""
    found = 0
    for query in queries:
        similarities = normal @ unit(query)
        if let is not None:
            similarities[~let] = -2
        found += len(
            set(np.argpartition(-similarities, K)[:K].tolist()) & {hit.position for hit in search(query)}
        )
    return round(found / (K * len(queries)), 4)


def p50(search: Callable[[np.ndarray], Any], queries: np.ndarray) -> float:
    """The median time of a search, in milliseconds."""
    times = []
    for query in queries:
        started = time.perf_counter()
        search(query)
        times.append(time.perf_counter() - started)
    return round(1000 * statistics.median(times), 1)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--rows", type=int, default=10_000)
    found.add_argument("--dimension", type=int, default=384, help="the default embedder's")
    found.add_argument(
        "--soft-prompts", type=int, default=5120, help="numbers of a row's soft prompts; 0 for none"
    )
    found.add_argument("--queries", type=int, default=50)
    found.add_argument("--repeats", type=int, default=3)
    found.add_argument(
        "--folder", type=Path, default=None, help="where the store is built; else a temporary folder"
    )
    return found


if __name__ == "__main__":
    report = run(parser().parse_args())
    print(report.table())
    print(report.save())
