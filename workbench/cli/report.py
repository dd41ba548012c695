"""`workbench report`: runs of `workbench evaluate` side by side."""

from pathlib import Path
from typing import Annotated, Any

import typer

from workbench.cli import options, say
from workbench.errors import UsageError

FIGURES = (".pdf", ".svg", ".png")
SUFFIXES = (".md", ".csv", ".tex", *FIGURES)


def report(
    runs: Annotated[list[Path], typer.Argument(help="Runs: the .parquet files of `workbench evaluate`.")],
    reference: Annotated[
        str | None, typer.Option("--reference", help="Also show differences to this embedder, by its name.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", help="Also write the table as .md, .csv or .tex, or draw it as .pdf, .svg or .png."
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Draws the differences' resamples.")] = 0,
) -> None:
    """Lay runs side by side: a row for each embedder, a column for each task, the best in bold.

    In brackets stand 95 % bootstrap intervals over the task's own units (its queries, pairs or texts). Differences
    are resampled in pairs, so they need the same data; in bold, their interval leaves 0 out. With a reference, a
    figure is of the differences to it.
    """
    if output is not None:
        options.check_output(output, SUFFIXES)

    from workbench.disk import atomic_path
    from workbench.evaluation import report as tables
    from workbench.evaluation.results import read_run

    comparison = tables.compare([read_run(path) for path in runs], seed=seed)
    shown = [tables.scores(comparison)]
    if reference is not None:
        shown.append(tables.differences(comparison, reference))
    print("\n\n".join(map(tables.markdown, shown)))
    if output is None:
        return
    if output.suffix in FIGURES:
        _draw(tables.records(comparison, reference), reference, output)
        return
    texts = {
        ".md": lambda: "\n\n".join(map(tables.markdown, shown)) + "\n",
        ".csv": lambda: tables.as_csv(comparison, reference),
        ".tex": lambda: "\n\n".join(map(tables.latex, shown)) + "\n",
    }
    with atomic_path(output) as temporary:
        temporary.write_text(texts[output.suffix](), encoding="utf-8")
    say.note(f"the table is in {output}")


def _draw(rows: list[dict[str, Any]], reference: str | None, output: Path) -> None:
    """The scores, or the differences to the reference; UsageError where there are none."""
    from workbench.cli.lens_options import write_print
    from workbench.figures.prints.evaluation import difference_print, score_print

    if reference is not None and all(row["difference"] is None for row in rows):
        raise UsageError(f"no task of {reference!r} can be resampled together with another embedder's")
    write_print(output, lambda: score_print(rows) if reference is None else difference_print(rows))
