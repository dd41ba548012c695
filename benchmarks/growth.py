"""How the cost of encoding, decoding, lenses, search and maps grows with the size of the work.

python -m benchmarks.growth                   # the shipped field guide and random vectors; about three minutes

Every point is the median of some turns, after a warm-up. The results go to docs/benchmarks_growth.json, and
`python -m benchmarks.growth --draw` draws docs/benchmarks_growth.svg from them without measuring.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.growth_figure import draw
from benchmarks.runner import command, machine
from benchmarks.wire import ROOT
from workbench import files
from workbench.disk import atomic_path

RESULTS = ROOT / "docs" / "benchmarks_growth.json"
SENTENCE = "the capital of a country is a city where its people work and its river flows to the sea"
DIMENSION = 384
"""The default embedder's."""


@dataclass(frozen=True)
class Curve:
    """The cost of one kind of work: seconds of every turn at each size."""

    work: str
    size: str
    """What the sizes count."""
    sizes: list[int]
    seconds: list[list[float]]

    def __post_init__(self) -> None:
        if len(self.sizes) != len(self.seconds) or not all(self.seconds):
            raise ValueError(f"{len(self.sizes)} sizes but times of {len(self.seconds)}")

    def medians(self) -> list[float]:
        """Seconds at each size."""
        return [statistics.median(turns) for turns in self.seconds]

    def exponent(self) -> float:
        """The power of the size that the cost grows with, over the upper half of the sizes: 1 is in proportion."""
        half = len(self.sizes) // 2
        return float(np.polyfit(np.log(self.sizes[half:]), np.log(self.medians()[half:]), 1)[0])


def run(options: argparse.Namespace) -> dict[str, Any]:
    """All curves, with where they were measured."""
    curves = [*of_the_model(options), *of_vectors(options)]
    rows = [asdict(curve) | {"exponent": curve.exponent()} for curve in curves]
    return {"benchmark": "growth", "curves": rows, "setting": machine(), "command": command()}


def of_the_model(options: argparse.Namespace) -> Iterator[Curve]:
    """Encoding, decoding and the logit lens on the shipped embedder."""
    from workbench.decoding.decode import decode
    from workbench.embedders.artifact import load_embedder
    from workbench.lenses.logit import logit_lens

    embedder = load_embedder(options.embedder)
    texts = [f"{SENTENCE} {number}" for number in range(max(options.texts))]
    prompts = embedder.represent(texts[: max(options.decoded)]).soft_prompts
    assert prompts is not None
    words = SENTENCE.split() * max(options.words)
    works: list[tuple[str, str, list[int], Callable[[int], Any]]] = [
        ("encode", "texts", options.texts, lambda size: embedder.encode(texts[:size])),
        (
            "encode, 16 texts",
            "words of a text",
            options.words,
            lambda size: embedder.encode([" ".join(words[:size])] * 16),
        ),
        (
            "decode, 32 tokens",
            "texts",
            options.decoded,
            lambda size: decode(embedder, prompts[:size], max_new_tokens=32),
        ),
        ("logit lens", "texts", options.decoded, lambda size: logit_lens(embedder, texts[:size])),
    ]
    for work in works:
        yield curve(*work, options.repeats)


def of_vectors(options: argparse.Namespace) -> Iterator[Curve]:
    """Search in a store and maps, on random vectors around 1,000 centres."""
    from benchmarks.store import built, clustered
    from workbench.atlas.projection import pca, umap
    from workbench.atlas.search import Search

    vectors = clustered(max(options.rows), DIMENSION, seed=0)
    query = clustered(1, DIMENSION, seed=1)[0]
    with tempfile.TemporaryDirectory() as folder:
        searches = {
            size: Search(built(_folder(Path(folder) / str(size)), vectors[:size], 0)) for size in options.rows
        }

        def search(size: int) -> Any:
            return searches[size].nearest(query, 10)

        yield curve("search", "rows of the store", options.rows, search, 5 * options.repeats)
    yield curve("map, PCA", "vectors", options.mapped, lambda size: pca(vectors[:size]), options.repeats)
    yield curve("map, UMAP", "vectors", options.mapped, lambda size: umap(vectors[:size]), 1)


def curve(work: str, size: str, sizes: list[int], do: Callable[[int], Any], repeats: int) -> Curve:
    """Time the work at every size in turns; the smallest size is run once before."""
    do(sizes[0])
    seconds: list[list[float]] = [[] for _ in sizes]
    for _ in range(repeats):
        for place, count in enumerate(sizes):
            started = time.perf_counter()
            do(count)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            seconds[place].append(time.perf_counter() - started)
    return Curve(work, size, sizes, seconds)


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def table(results: dict[str, Any]) -> str:
    """The curves as text."""
    rows = []
    for found in results["curves"]:
        medians = [statistics.median(turns) for turns in found["seconds"]]
        points = ", ".join(
            f"{size}: {second:.3g} s" for size, second in zip(found["sizes"], medians, strict=True)
        )
        rows.append(f"{found['work']:20} {found['size']:18} ~ size^{found['exponent']:.2f}   {points}")
    return "\n".join(rows)


def write_figure(path: Path, results: dict[str, Any]) -> None:
    """Draw what was measured."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(draw(results["curves"]))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes: dict[str, Any] = {"type": int, "nargs": "+"}
    found.add_argument("--draw", action="store_true", help="draw the results that are there, measure nothing")
    found.add_argument(
        "--embedder", default=None, help="an artifact's folder; the shipped one where it is not given"
    )
    found.add_argument("--output", type=Path, default=RESULTS)
    found.add_argument("--texts", **sizes, default=[16, 64, 256, 1024, 2048])
    found.add_argument("--words", **sizes, default=[8, 32, 64, 128, 256, 480])
    found.add_argument("--decoded", **sizes, default=[1, 4, 16, 64, 256])
    found.add_argument("--rows", **sizes, default=[1000, 4000, 16_000, 64_000])
    found.add_argument("--mapped", **sizes, default=[250, 500, 1000, 2000, 4000])
    found.add_argument("--repeats", type=int, default=3)
    return found


def main() -> None:
    """Measure (unless only drawn), write results and figure."""
    options = parser().parse_args()
    if options.embedder is None:
        options.embedder = files.shipped("embedders", "llm2vec-gen")
    if options.draw:
        results = json.loads(options.output.read_text())
    else:
        results = run(options)
        files.write_json(options.output, results)
    print(table(results))
    write_figure(options.output.with_suffix(".svg"), results)
    print(options.output, options.output.with_suffix(".svg"))


if __name__ == "__main__":
    main()
