"""How every benchmark measures and reports: contenders in turns, medians, ratios to a named one, a JSON file.

A benchmark is a module with `run(options) -> Report`; its contenders do the same work on the same inputs. Contenders
take turns, so that a slow minute of the machine hits all of them, and each is warmed up once before it is timed.
"""

from __future__ import annotations

import os
import re
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
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
    times: list[float] = field(default_factory=list)
    """The time of every turn, in seconds; the same turn of two lines was measured next to each other."""


@dataclass(frozen=True)
class Bar:
    """What is asked of a ratio: so many times the reference's rate at least, or so much of its memory at most."""

    line: str
    reference: str
    least: float | None = None
    most: float | None = None

    def __post_init__(self) -> None:
        if (self.least is None) == (self.most is None):
            raise ValueError("a bar has either a least or a most")

    def met(self, ratio: float) -> bool:
        """Whether a ratio clears it."""
        return ratio >= self.least if self.least is not None else ratio <= (self.most or 0.0)


@dataclass(frozen=True)
class Report:
    """A benchmark's lines, the contender that ratios refer to, and what was measured on which machine."""

    benchmark: str
    unit: str
    reference: str
    lines: list[Line]
    setting: dict[str, Any]
    bars: list[Bar] = field(default_factory=list)

    def ratio(self, line: Line) -> float:
        """How many times the reference's rate a line reaches."""
        return line.rate / self.named(self.reference).rate

    def named(self, name: str) -> Line:
        """The line of that name."""
        return next(line for line in self.lines if line.name == name)

    def judged(self) -> list[dict[str, Any]]:
        """Every bar with the ratio of the medians, the lowest and highest ratio of a turn, and whether it is met."""
        found = []
        for bar in self.bars:
            line, other = self.named(bar.line), self.named(bar.reference)
            ratio, work = line.rate / other.rate, (line.rate * line.seconds) / (other.rate * other.seconds)
            turns = [work * theirs / ours for ours, theirs in zip(line.times, other.times, strict=True)]
            found.append(asdict(bar) | spread(ratio, turns) | {"met": bar.met(ratio)})
        return found

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
        ratios = {line.name: self.ratio(line) for line in self.lines}
        files.write_json(
            path, asdict(self) | {"ratios": ratios, "judged": self.judged(), "command": command()}
        )
        return path


@dataclass(frozen=True)
class MemoryReport:
    """How much memory each contender needed: MB by name, one number a fresh process; ratios to a named one."""

    benchmark: str
    reference: str
    megabytes: dict[str, list[float]]
    setting: dict[str, Any]
    bars: list[Bar] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        benchmark: str,
        reference: str,
        megabytes: dict[str, list[float]],
        bars: list[Bar] | None = None,
        **setting: Any,
    ) -> MemoryReport:
        """The report, with where it was measured."""
        return cls(benchmark, reference, megabytes, setting | machine(), bars or [])

    def judged(self) -> list[dict[str, Any]]:
        """Every bar with the ratio of the medians, the lowest and highest ratio of a turn, and whether it is met."""
        found = []
        for bar in self.bars:
            ours, theirs = self.megabytes[bar.line], self.megabytes[bar.reference]
            ratio = statistics.median(ours) / statistics.median(theirs)
            turns = [mine / other for mine, other in zip(ours, theirs, strict=True)]
            found.append(asdict(bar) | spread(ratio, turns) | {"met": bar.met(ratio)})
        return found

    def table(self) -> str:
        """The contenders as text."""
        rows = [f"{self.benchmark} ({', '.join(f'{key} {value}' for key, value in self.setting.items())})"]
        whole = statistics.median(self.megabytes[self.reference])
        for name, values in self.megabytes.items():
            middle = statistics.median(values)
            rows.append(
                f"{name:44} {middle:11.0f} MB {middle / whole:7.2f}x {min(values):8.0f} {max(values):8.0f}"
            )
        return "\n".join(rows)

    def save(self) -> Path:
        """Write the report to benchmarks/results/<benchmark>.json."""
        path = RESULTS / f"{self.benchmark}.json"
        files.write_json(path, asdict(self) | {"judged": self.judged(), "command": command()})
        return path


def spread(ratio: float, turns: list[float]) -> dict[str, float]:
    """A ratio with the lowest and highest one of a turn."""
    return {"ratio": ratio, "lowest": min(turns), "highest": max(turns)}


def command() -> str:
    """The command line of this process, as it can be typed."""
    main = getattr(sys.modules["__main__"], "__spec__", None)
    return " ".join(["python -m", main.name, *sys.argv[1:]]) if main else " ".join(sys.argv)


def measure(
    benchmark: str,
    unit: str,
    contenders: list[Contender],
    repeats: int,
    bars: list[Bar] | None = None,
    **setting: Any,
) -> Report:
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
        own = times[contender.name]
        lines.append(Line(contender.name, seconds, min(own), max(own), contender.units / seconds, own))
    return Report(benchmark, unit, contenders[-1].name, lines, setting | machine(), bars or [])


def _timed(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def machine() -> dict[str, Any]:
    """Where this runs, and how busy it is."""
    about = Path("/proc/cpuinfo")
    name = re.search(r"model name\s*: (.+)", about.read_text()) if about.is_file() else None
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else name[1] if name else "cpu"
    return {
        "device": device,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "load": round(os.getloadavg()[0], 1),
    }
