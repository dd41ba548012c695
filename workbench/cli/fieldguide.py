"""`workbench fieldguide`: builds the default backbone again, and measures the shipped embedder on what was held out."""

from pathlib import Path
from typing import Annotated

import typer

from workbench.cli import options, say
from workbench.errors import UsageError

app = typer.Typer(
    help="The default backbone: build it again, measure it.", no_args_is_help=True, rich_markup_mode=None
)


@app.command("build")
def build(
    output: Annotated[Path, typer.Option("--output", help="The folder to build into.")],
    seed: Annotated[int, typer.Option("--seed", help="Seeds corpus, order and weights.")] = 0,
    steps: Annotated[
        int | None, typer.Option("--steps", min=1, help="Training steps; else the shipped number.")
    ] = None,
) -> None:
    """Make corpus, tokenizer, weights and exam again from the fact tables and a seed; resumes."""
    if output.exists() and not output.is_dir():
        raise UsageError(f"the output is a file: {output}")
    options.check_parent(output / "model")

    from workbench.fieldguide.build import build as build_fieldguide
    from workbench.fieldguide.build import table_of

    print(table_of(build_fieldguide(output, seed=seed, steps=steps)))


@app.command("evaluate")
def evaluate(
    embedder: options.EmbedderPath = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Folder with eval.jsonl and passages.jsonl; else the shipped one."),
    ] = None,
    teacher: Annotated[
        str, typer.Option("--teacher", help="The embedder to compare with.")
    ] = "sentence-transformers/all-MiniLM-L6-v2",
    output: Annotated[Path | None, typer.Option("--output", help="Also write the report as .json.")] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="At most so many queries of each kind.")
    ] = None,
    backbone: Annotated[
        str | None, typer.Option("--backbone", help="Instead of the one the embedder names.")
    ] = None,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
) -> None:
    """Measure an embedder on the field guide's held-out questions: decoded facts, refusals, retrieval."""
    if output is not None:
        options.check_output(output, (".json",))
    for name in ("eval.jsonl", "passages.jsonl"):
        if data is not None and not (data / name).is_file():
            raise UsageError(f"no such file: {data / name}")

    from workbench import load_embedder
    from workbench.evaluation.fieldguide import evaluate as measure
    from workbench.files import write_json
    from workbench.training.teachers import load_teacher

    loaded = load_embedder(embedder, backbone=backbone, device=device, dtype=dtype)
    report = measure(loaded, load_teacher(teacher, loaded.backbone), data=data, limit=limit)
    print(report.table())
    if output is not None:
        write_json(output, report.to_dict())
        say.note(f"report in {output}")
