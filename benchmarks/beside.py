"""What `benchmarks.official` and `benchmarks.plain` share: a random model of one size, its options, how a run ends."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable

import torch

from benchmarks.official_model import SIZES, Shape
from benchmarks.runner import MemoryReport, Report
from workbench.errors import WorkbenchError


def parser(description: str | None, **defaults: int) -> argparse.ArgumentParser:
    """The options of both; `defaults` are theirs where they differ."""
    found = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cuda = torch.cuda.is_available()
    found.add_argument("--size", choices=list(SIZES), default="large" if cuda else "small")
    found.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    found.add_argument("--device", default="cuda" if cuda else "cpu")
    found.add_argument("--threads", type=int, default=torch.get_num_threads())
    found.add_argument("--repeats", type=int)
    found.add_argument("--texts", type=int)
    found.add_argument("--batch-size", type=int, default=32)
    found.add_argument("--decode-texts", type=int)
    found.add_argument("--tokens", type=int, default=64)
    found.set_defaults(shape={}, **defaults)
    return found


def shape_of(options: argparse.Namespace) -> Shape:
    """The model's shape: the one of its size, or of all its own numbers, as tests give them."""
    return Shape(**options.shape) if options.shape else SIZES[options.size]


def suffix(options: argparse.Namespace) -> str:
    """Behind a report's name where it is not of float32 on a CPU, whose reports stay beside it."""
    place = "" if options.device == "cpu" else "_gpu"
    return place if options.dtype == "float32" else f"{place}_{options.dtype}"


def tolerance(options: argparse.Namespace) -> float:
    """How far apart, of the largest number, both sides' answers may be."""
    return 1e-4 if options.dtype == "float32" else 3e-2


def publish(reports: Iterable[Report | MemoryReport]) -> None:
    """Print and save every report as soon as it is there; what cannot be run is one line, with its exit code."""
    try:
        for report in reports:
            print(report.table())
            print(report.save(), flush=True)
    except WorkbenchError as error:
        print(error, file=sys.stderr)
        raise SystemExit(error.exit_code) from error
