"""Every figure of the paper: measures what is missing or stale, draws all, and writes the gallery.

    python -m analyses.figures                  # data/figures/*.{pdf,svg,json}, docs/figures.md
    python -m analyses.figures --fresh          # measures everything anew; what was trained stays
    python -m analyses.figures gem_mask         # one of them, and the gallery

Each figure's own script measures it in a process of its own. Results are stale where the artifacts that they were
measured on are no longer the shipped ones.
"""

import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

ROOT = Path(__file__).parents[1]
KEEPING = ("python -m analyses.main_table", "python -m analyses.size_quality")
"""Scripts that keep the rows of their tables, and measure them again with --fresh only."""


def main(
    names: Annotated[list[str] | None, typer.Argument(help="Figures; all without.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Measure anew in any case.")] = False,
    gallery: Annotated[Path, typer.Option(help="The page of all figures.")] = ROOT / "docs" / "figures.md",
) -> None:
    """Measure, draw, and say how long each took."""
    from workbench.figures.paper.export import write_figure
    from workbench.figures.paper.gallery import write_gallery
    from workbench.figures.paper.registry import FIGURES, figure_named
    from workbench.figures.paper.results import results_path
    from workbench.figures.paper.style import VENUES

    begin, done = time.monotonic(), set()
    for figure in map(figure_named, names) if names else FIGURES:
        started = time.monotonic()
        reason = why(figure, fresh and figure.command not in done)
        if reason:
            measure(figure.command, fresh)
            done.add(figure.command)
        results = figure.results()
        width = VENUES["acl"].page
        write_figure(figure, results, results_path(figure.name).parent, width)
        how = f"measured ({reason})" if reason else "results reused"
        print(f"{figure.name:<18} {how}, {time.monotonic() - started:.1f} s", flush=True)
    write_gallery(gallery, [(figure, figure.results()) for figure in FIGURES if figure.is_measured()])
    print(f"{gallery}: all in {time.monotonic() - begin:.0f} s")


def why(figure: Any, fresh: bool) -> str:
    """Why a figure must be measured; empty where its results can be used."""
    from workbench.errors import WorkbenchError
    from workbench.figures.paper.results import is_stale

    if fresh:
        return "asked for"
    if not figure.is_measured():
        return "missing"
    try:
        return "stale" if is_stale(figure.results()) else ""
    except WorkbenchError:
        return "unreadable"


def measure(command: str, fresh: bool = False) -> None:
    """Runs a figure's script with this Python; ends with its exit code where it fails."""
    program, *rest = shlex.split(command + " --fresh" * (fresh and command in KEEPING))
    assert program == "python"
    code = subprocess.run([sys.executable, *rest], cwd=ROOT, check=False).returncode
    if code:
        print(f"{command} failed", file=sys.stderr)
        raise typer.Exit(code)


if __name__ == "__main__":
    typer.run(main)
