"""The latent lens: its search through the memory map against numpy with all states in memory, and what it needs.

python -m benchmarks.latent                       # 100,000 random states, checked against brute force
python -m benchmarks.latent --states 1000000      # a search in under a second on 2 cores, within 2 GB
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.runner import Contender, Report, measure
from workbench.lenses.latent_search import nearest

PART = 50_000
ALONE = """
import json, re, sys, time
from pathlib import Path
import numpy as np
from workbench.lenses.latent_search import nearest
path, queries, k = sys.argv[1], np.load(sys.argv[2]), int(sys.argv[3])
times, loaded = [], time.process_time()
for _ in range(5):
    started = time.perf_counter()
    nearest(np.lib.format.open_memmap(path, mode="r"), queries, k)
    times.append(time.perf_counter() - started)
used = time.process_time() / 5 - loaded / 5
peak = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())  # ru_maxrss is also the parent's
print(json.dumps([sorted(times)[2], used, int(peak[1]) // 1024]))
"""
"""What a process does that only searches: its memory is its own, not this benchmark's."""


def run(options: argparse.Namespace) -> Report:
    """Searches a second; each is for all special tokens of a text at once."""
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path, ask = Path(folder) / "states.npy", Path(folder) / "queries.npy"
        write_states(path, options.states, options.dimension)
        queries = np.random.default_rng(1).standard_normal((options.queries, options.dimension), np.float32)
        np.save(ask, queries)
        states = np.lib.format.open_memmap(path, mode="r")
        setting = {
            "states": options.states,
            "dimension": options.dimension,
            "queries at once": options.queries,
        }
        ours = Contender("ours, through the memory map", lambda: nearest(states, queries, options.k), 1)
        contenders = [ours]
        if options.states <= options.brute:
            memory = np.array(states, dtype=np.float32)
            setting["recall"] = recall(nearest(states, queries, options.k).rows, memory, queries)
            contenders.append(
                Contender("numpy, float32 in memory", lambda: brute(memory, queries, options.k), 1)
            )
        report = measure("latent", "searches", contenders, options.repeats, **setting)
        alone = subprocess.run(
            [sys.executable, "-c", ALONE, str(path), str(ask), str(options.k)],
            capture_output=True,
            check=True,
        )
        seconds, processor, memory_mb = json.loads(alone.stdout)
        report.setting.update({"alone, s": round(seconds, 3), "alone, processor s": round(processor, 3)})
        report.setting.update({"alone, peak memory MB": memory_mb})
    return report


def write_states(path: Path, count: int, size: int) -> None:
    """Random unit vectors, float16, as an index keeps them."""
    file = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(count, size))
    draw = np.random.default_rng(0)
    for start in range(0, count, PART):
        rows = draw.standard_normal((min(PART, count - start), size), np.float32)
        file[start : start + len(rows)] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    file.flush()


def brute(states: np.ndarray, queries: np.ndarray, k: int) -> np.ndarray:
    """The nearest rows by one product."""
    cosines = states @ (queries / np.linalg.norm(queries, axis=1, keepdims=True)).T
    return np.argpartition(-cosines, k, axis=0)[:k].T


def recall(found: np.ndarray, states: np.ndarray, queries: np.ndarray) -> float:
    """The share of the nearest rows, by brute force, that were found."""
    k = found.shape[1]
    pairs = zip(found.tolist(), brute(states, queries, k).tolist(), strict=True)
    return sum(len(set(a) & set(b)) for a, b in pairs) / found.size


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--states", type=int, default=100_000)
    found.add_argument("--dimension", type=int, default=512, help="the field guide's")
    found.add_argument("--queries", type=int, default=10, help="special tokens of a text")
    found.add_argument("--k", type=int, default=5)
    found.add_argument("--repeats", type=int, default=5)
    found.add_argument("--brute", type=int, default=200_000, help="up to so many states brute force runs too")
    found.add_argument(
        "--folder", type=Path, default=None, help="where the states are written; else temporary"
    )
    return found


if __name__ == "__main__":
    report = run(parser().parse_args())
    print(report.table())
    print(report.save())
