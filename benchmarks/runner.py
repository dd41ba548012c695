"""How every benchmark measures and reports: contenders in turns, medians, ratios to a named one, a JSON file.

A benchmark is a module with `run(options) -> Report`; its contenders do the same work on the same inputs. Contenders
take turns, so that a slow minute of the machine hits all of them, and each is warmed up once before it is timed.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from workbench import files

RESULTS = Path(__file__).resolve().parent / "results"


@dataclass(frozen=True)
class Contender:
    """One way to do the work: `work()` does `units` of it; `warm_up` False where a second run would cost too much."""

    name: str
    work: Callable[[], Any]
    units: float
    warm_up: bool = True


@dataclass(frozen=True)
class Line:
    """What one contender reached: the median of its times, the fastest and the slowest, and units a second."""

    name: str
    seconds: float
    fastest: float
    slowest: float
    rate: float


@dataclass(frozen=True)
class Report:
    """A benchmark's lines, the contender that ratios refer to, and what was measured on which machine."""

    benchmark: str
    unit: str
    reference: str
    lines: list[Line]
    setting: dict[str, Any]

    def ratio(self, line: Line) -> float:
        """How many times the reference's rate a line reaches."""
        return line.rate / next(other.rate for other in self.lines if other.name == self.reference)

    def table(self) -> str:
        """The lines as text, the fastest first."""
        rows = [f"{self.benchmark} ({', '.join(f'{key} {value}' for key, value in self.setting.items())})"]
        rows.append(f"{'':44} {self.unit + '/s':>14} {'ratio':>8} {'fastest':>9} {'slowest':>9}")
        for line in sorted(self.lines, key=lambda line: -line.rate):
            times = f"{line.fastest:8.3f}s {line.slowest:8.3f}s"
            rows.append(f"{line.name:44} {line.rate:14.1f} {self.ratio(line):7.2f}x {times}")
        return "\n".join(rows)

    def save(self) -> Path:
        """Write the report to benchmarks/results/<benchmark>.json."""
        path = RESULTS / f"{self.benchmark}.json"
        files.write_json(
            path, asdict(self) | {"ratios": {line.name: self.ratio(line) for line in self.lines}}
        )
        return path


def measure(benchmark: str, unit: str, contenders: list[Contender], repeats: int, **setting: Any) -> Report:
    """Time all contenders in turns; ratios refer to the last one."""
    for contender in contenders:
        if contender.warm_up:
            contender.work()
    times: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for _ in range(repeats):
        for contender in contenders:
            times[contender.name].append(_timed(contender.work))
    lines = []
    for contender in contenders:
        seconds = statistics.median(times[contender.name])
        spread = (min(times[contender.name]), max(times[contender.name]))
        lines.append(Line(contender.name, seconds, *spread, contender.units / seconds))
    return Report(benchmark, unit, contenders[-1].name, lines, setting | _machine())


def _timed(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def _machine() -> dict[str, Any]:
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor() or "cpu"
    return {
        "device": device,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
