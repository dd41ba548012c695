"""docs/benchmarks.md: every benchmark that was run, as a table with its ratios, their spread and the command.

python -m benchmarks.report                   # benchmarks/results/*.json -> docs/benchmarks.json -> docs/benchmarks.md

docs/benchmarks.json keeps the results of all benchmarks; those that were run anew take the place of their old ones, and
a checkout without results draws the same page from it.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from benchmarks.runner import RESULTS
from benchmarks.wire import ROOT
from workbench import files
from workbench.disk import atomic_path
from workbench.errors import UsageError

KEPT = ROOT / "docs" / "benchmarks.json"
GROWTH = "benchmarks_growth.json"
TITLES = {
    "official_encode": "Encoding, beside the official package",
    "official_decode": "Decoding, beside the official package",
    "official_train_32_64": "Training step, query 32 and response 64 tokens, beside the official package",
    "official_train_256_64": "Training step, query 256 and response 64 tokens, beside the official package",
    "official_train_64_256": "Training step, query 64 and response 256 tokens, beside the official package",
    "official_memory_32_64": "Memory of a training step, query 32 and response 64 tokens",
    "official_memory_256_64": "Memory of a training step, query 256 and response 64 tokens",
    "official_memory_64_256": "Memory of a training step, query 64 and response 256 tokens",
    "plain_encode": "Encoding, beside a bare forward pass",
    "plain_decode": "Decoding, beside a bare generate",
    "plain_floor": "Decoding one text, beside the memory bandwidth",
    "training": "Training, beside a plain reading of the paper",
    "packing": "Training with a LoRA, packed and padded",
    "generation": "Responses, beside Hugging Face",
    "store": "Search in a store",
    "latent": "The latent lens's search",
    "pages": "The app's pages, in a browser",
}
"""What the benchmarks are called, in the order of the page; others follow by name."""
MACHINE = ("device", "cores", "threads", "torch", "load")
OPENING = """# Benchmarks

Contenders of a table do the same work on the same inputs and take turns in one run; what they answer is compared before
anything is timed. A time is the median of the turns with the fastest and the slowest; a ratio is that of the medians,
and its range that of the single turns. `benchmarks/` has the code; `python -m benchmarks.report` wrote this page from
`docs/benchmarks.json`.
"""


def gather(folder: Path, kept: Path) -> dict[str, Any]:
    """The kept results, with those in `folder` in place of their older ones; UsageError where there are none at all."""
    found = json.loads(kept.read_text()) if kept.is_file() else {}
    for path in sorted(folder.glob("*.json")):
        found[path.stem] = json.loads(path.read_text())
    if not found:
        raise UsageError(f"no results in {folder}: run python -m benchmarks first")
    return found


def page(results: dict[str, Any], growth: dict[str, Any] | None = None) -> str:
    """The whole page."""
    order = [name for title in TITLES for name in results if _plain(name) == title]
    order += sorted(set(results) - set(order))
    judged = [(name, bar) for name in order for bar in results[name].get("judged", [])]
    parts = [OPENING]
    if judged:
        parts.append("## What was asked for\n\n" + bars(judged))
    parts += [section(name, results[name]) for name in order]
    if growth:
        parts.append(growing(growth))
    return "\n".join(parts)


def bars(judged: list[tuple[str, dict[str, Any]]]) -> str:
    """Every bar with its ratio."""
    rows = ["| benchmark | of | to | ratio | asked | |", "|---|---|---|--:|--:|---|"]
    for name, bar in judged:
        asked = f"≥ {bar['least']:g}" if bar["least"] is not None else f"≤ {bar['most']:g}"
        verdict = "met" if bar["met"] else "**missed**"
        ratio = f"{bar['ratio']:.2f} ({bar['lowest']:.2f} to {bar['highest']:.2f})"
        rows.append(
            f"| {_title(name)} | {bar['line']} | {bar['reference']} | {ratio} | {asked} | {verdict} |"
        )
    return "\n".join(rows) + "\n"


def section(name: str, result: dict[str, Any]) -> str:
    """One benchmark: its table, what was measured where, and the command."""
    body = _memory_table(result) if "megabytes" in result else _time_table(result)
    own = {key: value for key, value in result["setting"].items() if key not in MACHINE}
    lines = [f"## {_title(name)}\n", body, "", _listed(own) + "."]
    return "\n".join([*lines, "", _foot(result), ""])


def growing(growth: dict[str, Any]) -> str:
    """The curves: cost at the smallest and the largest size, and the power that it grows with."""
    rows = ["| work | size | from | to | power |", "|---|---|--:|--:|--:|"]
    for curve in growth["curves"]:
        ends = [f"{curve['sizes'][at]:,}: {_time(statistics.median(curve['seconds'][at]))}" for at in (0, -1)]
        rows.append(
            f"| {curve['work']} | {curve['size']} | {ends[0]} | {ends[1]} | {curve['exponent']:.2f} |"
        )
    text = (
        "The power of the size that the cost grows with, over the upper half of the sizes: 1 is in proportion "
        "(the dashed lines). Bands go from the fastest turn to the slowest; a store's first search also opens it."
    )
    picture = "![Cost over size, on logarithmic axes](benchmarks_growth.svg)"
    return "\n".join(["## How cost grows\n", picture, "", text, "", *rows, "", _foot(growth), ""])


def _time_table(result: dict[str, Any]) -> str:
    unit = result["unit"]
    rows = [
        f"| | {unit} a second | ratio | median | fastest | slowest | turns |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for line in sorted(result["lines"], key=lambda line: -line["rate"]):
        times = " | ".join(_time(line[key]) for key in ("seconds", "fastest", "slowest"))
        turns, ratio = len(line.get("times", [])) or "", result["ratios"][line["name"]]
        rows.append(f"| {line['name']} | {line['rate']:,.3g} | {ratio:.2f} | {times} | {turns} |")
    return "\n".join(rows)


def _memory_table(result: dict[str, Any]) -> str:
    """MB above what was held before, and, where that is known, with it."""
    above = {name: statistics.median(values) for name, values in result["megabytes"].items()}
    held = {name: result["setting"].get(f"held before, {name}, MB") for name in above}
    reference, known = result["reference"], None not in held.values()
    rows = [
        "| | MB above the loaded model | ratio | least | most | processes |"
        + " with the loaded model |" * known,
        "|---|--:|--:|--:|--:|--:|" + "--:|" * known,
    ]
    for name, values in result["megabytes"].items():
        ends = f"{min(values):,.0f} | {max(values):,.0f}"
        row = (
            f"| {name} | {above[name]:,.0f} | {above[name] / above[reference]:.2f} | {ends} | {len(values)} |"
        )
        if known:
            whole = {one: above[one] + held[one] for one in (name, reference)}
            row += f" {whole[name]:,.0f} ({whole[name] / whole[reference]:.2f}) |"
        rows.append(row)
    return "\n".join(rows)


def _foot(result: dict[str, Any]) -> str:
    where = {key: result["setting"][key] for key in MACHINE if key in result["setting"]}
    about = f"`{result['command']}`" if "command" in result else "(an older result: its command was not kept)"
    return f"{about} on {_listed(where)}"


def _listed(values: dict[str, Any]) -> str:
    return "; ".join(f"{key} {value}" for key, value in values.items())


def _time(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"


def _plain(name: str) -> str:
    return name.removesuffix("_bfloat16").removesuffix("_gpu")


def _title(name: str) -> str:
    """The benchmark's, with what it was measured in where that is not float32 on a CPU."""
    plain = _plain(name)
    variant = name.removeprefix(plain).strip("_").replace("_", ", ").replace("gpu", "GPU")
    return TITLES.get(plain, plain) + (f" ({variant})" if variant else "")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--results", type=Path, default=RESULTS)
    found.add_argument("--output", type=Path, default=KEPT, help="the kept results; the page is beside them")
    return found


def main() -> None:
    """Gather, keep, and write the page."""
    options = parser().parse_args()
    try:
        results = gather(options.results, options.output)
    except UsageError as error:
        raise SystemExit(str(error)) from error
    grown = options.output.with_name(GROWTH)
    files.write_json(options.output, results)
    written = page(results, json.loads(grown.read_text()) if grown.is_file() else None)
    with atomic_path(options.output.with_suffix(".md")) as temporary:
        temporary.write_text(written)
    print(options.output.with_suffix(".md"))


if __name__ == "__main__":
    main()
