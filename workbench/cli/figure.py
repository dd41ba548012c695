"""`workbench figure`: the figures of a paper, drawn from results files."""

from pathlib import Path
from typing import Annotated

import typer

from workbench.cli import options, say
from workbench.errors import UsageError


def figure(
    name: Annotated[str | None, typer.Argument(help="The figure's name; --list shows all.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Draw every figure.")] = False,
    listed: Annotated[bool, typer.Option("--list", help="List the figures, and what measures each.")] = False,
    venue: Annotated[str, typer.Option(help="Whose widths: acl, neurips, icml or iclr.")] = "acl",
    width: Annotated[str, typer.Option(help="column or page.")] = "page",
    results: Annotated[
        Path | None, typer.Option(help="A results file of yours; else the shipped one.")
    ] = None,
    output: Annotated[Path, typer.Option(help="The folder to write to.")] = Path("figures"),
    png: Annotated[bool, typer.Option("--png", help="Also write a PNG of 300 dots an inch.")] = False,
) -> None:
    """Draw a figure of the paper as PDF and SVG, with its data beside it; nothing is measured.

    Fonts are inside, text can be selected, and the same results give the same bytes. Where a figure has no results,
    its message says which command measures them.
    """
    from workbench.figures.paper import registry
    from workbench.figures.paper.export import write_figure
    from workbench.figures.paper.style import VENUES

    if listed:
        for one in registry.FIGURES:
            there = "" if one.is_measured() else "  (no results yet)"
            print(f"{one.name:<18} {one.title}{there}\n{'':<18} {one.command}")
        return
    if (name is None) == (not every):
        raise UsageError("name one figure, or give --all or --list")
    if every and results is not None:
        raise UsageError("--results belongs to one figure")
    if venue not in VENUES or width not in ("column", "page"):
        raise UsageError(
            f"no width {width} of {venue}: venues are {', '.join(VENUES)}, widths column and page"
        )
    if output.is_file():
        raise UsageError(f"the output is a file, not a folder: {output}")
    options.check_parent(output / "figure")
    chosen = [registry.figure_named(name)] if name is not None else list(registry.FIGURES)
    read = [(one, one.results(results)) for one in chosen]
    kinds = ("pdf", "svg", "png") if png else ("pdf", "svg")
    for one, found in read:
        written = write_figure(one, found, output, VENUES[venue].inches(width), kinds)  # type: ignore[arg-type]
        say.note(f"{one.name}: {', '.join(path.suffix[1:] for path in written)} in {output}")
        print(one.said(found))
