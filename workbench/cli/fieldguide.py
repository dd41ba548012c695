"""`workbench fieldguide`: builds the default backbone again, and measures the shipped embedder on what was held out."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from workbench.cli import options, say
from workbench.errors import UsageError

app = typer.Typer(help="The default backbone: build it again, measure it.", rich_markup_mode=None)

Exam = Annotated[Path | None, typer.Option("--data", help="Folder with eval.jsonl; else the shipped one.")]
ReportFile = Annotated[Path | None, typer.Option("--output", help="Also write the report as .json.")]
OfEachKind = Annotated[
    int | None, typer.Option("--limit", min=1, help="At most so many queries of each kind.")
]


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
    output: ReportFile = None,
    limit: OfEachKind = None,
    backbone: options.BackbonePath = None,
    control: Annotated[
        Path | None,
        typer.Option("--control", help="For GEM: an embedder trained as long on the same texts with --p 1."),
    ] = None,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
) -> None:
    """Measure an embedder on the field guide's held-out questions.

    LLM2Vec-Gen: decoded facts, refusals, retrieval. GEM: answers through the bottleneck, neighbours, language kept.
    """
    check(data, output, needed=("eval.jsonl", "passages.jsonl"))

    from workbench import load_embedder
    from workbench.embedders.gem import GEM
    from workbench.evaluation import fieldguide, gem
    from workbench.training.teachers import load_teacher

    loaded = load_embedder(embedder, backbone=backbone, device=device, dtype=dtype)
    yardstick = load_teacher(teacher, loaded.backbone)
    if isinstance(loaded, GEM):
        other = load_embedder(control, backbone=loaded.backbone) if control else None
        if other is not None and not isinstance(other, GEM):
            raise UsageError(f"the control {control} is a {other.method} embedder, not GEM")
        report = gem.evaluate(loaded, yardstick, control=other, data=data, limit=limit)
    elif control is not None:
        raise UsageError(f"--control belongs to GEM, and this embedder is {loaded.method}")
    else:
        report = fieldguide.evaluate(loaded, yardstick, data=data, limit=limit)
    give(report, output)


@app.command("lifter")
def lifter(
    embedder: options.EmbedderPath = None,
    lifter: Annotated[
        Path | None, typer.Option("--lifter", help="Folder of its lifter; else the shipped one.")
    ] = None,
    data: Exam = None,
    output: ReportFile = None,
    limit: OfEachKind = None,
    search: Annotated[
        int,
        typer.Option("--search", min=0, max=20, help="Also read every vector by a search of so many rounds."),
    ] = 0,
    backbone: options.BackbonePath = None,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
) -> None:
    """Measure a lifter: facts read from the pooled vector alone, and from the teacher's vectors of answers."""
    check(data, output)

    from workbench import load_embedder
    from workbench.decoding.search import Search
    from workbench.embedders.lifter_artifact import load_lifter
    from workbench.evaluation.lifter import evaluate as measure
    from workbench.training.lifter import shares_teachers_space
    from workbench.training.teachers import load_teacher

    loaded = load_embedder(embedder, backbone=backbone, device=device, dtype=dtype)
    reader = load_lifter(loaded, lifter)
    teacher = None
    if shares_teachers_space(loaded):
        teacher = load_teacher(loaded.config.to_dict()["teacher"], loaded.backbone)
    how = Search(search) if search else None
    report = measure(loaded, reader, teacher, data=data, limit=limit, search=how)
    give(report, output)


@app.command("trust")
def trust(
    embedder: options.EmbedderPath = None,
    data: Exam = None,
    reference: Annotated[
        str | None,
        typer.Option("--reference", help="A file of texts to measure trust against; else training queries."),
    ] = None,
    read: Annotated[
        Literal["own", "lifter"],
        typer.Option(
            "--read", help="What encodings keep (soft prompts, special tokens), or vectors, lifted."
        ),
    ] = "own",
    lifter: Annotated[
        str | None, typer.Option("--lifter", help="With --read lifter: its folder; else the shipped one.")
    ] = None,
    search: Annotated[
        int,
        typer.Option(
            "--search", min=0, max=20, help="With --read lifter: read by a search of so many rounds."
        ),
    ] = 0,
    items: Annotated[int, typer.Option("--items", min=2, help="How many held-out queries.")] = 200,
    seed: Annotated[int, typer.Option("--seed", help="Draws the queries and the random vectors.")] = 0,
    output: ReportFile = None,
    keep: Annotated[
        Path | None, typer.Option("--keep", help="Also write the reference as .json, as it ships.")
    ] = None,
    backbone: options.BackbonePath = None,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
) -> None:
    """Measure the badges: true against shuffled pairs, and vectors that no text encodes to.

    The reference that badges are measured against is made of queries that are not in the exam.
    """
    check(data, output, keep)
    if (lifter is not None or search) and read != "lifter":
        raise UsageError("--lifter and --search belong to --read lifter")

    from workbench import load_embedder
    from workbench.cli.judge import lifter_before_loading, reference_of
    from workbench.decoding.media import medium_of
    from workbench.decoding.search import Search
    from workbench.embedders.lifter_artifact import load_lifter
    from workbench.evaluation.trust import evaluate as measure
    from workbench.files import write_json

    if read == "lifter":
        lifter_before_loading(embedder, lifter)
    loaded = load_embedder(embedder, backbone=backbone, device=device, dtype=dtype)
    reader = load_lifter(loaded, lifter) if read == "lifter" else None
    standard = reference_of(medium_of(loaded, reader), reference)
    medium = medium_of(loaded, reader, Search(search) if search else None)
    if keep is not None:
        write_json(keep, standard.to_dict())
        say.note(f"reference in {keep}")
    report = measure(medium, standard, data=data, items=items, seed=seed)
    give(report, output)


def check(data: Path | None, *outputs: Path | None, needed: tuple[str, ...] = ("eval.jsonl",)) -> None:
    """Raises UsageError for a .json output that cannot be written, and for an exam's folder that lacks a file."""
    for file in filter(None, outputs):
        options.check_output(file, (".json",))
    for name in needed:
        if data is not None and not (data / name).is_file():
            raise UsageError(f"no such file: {data / name}")


def give(report: Any, output: Path | None) -> None:
    """A report's table, printed, and its file."""
    from workbench.files import write_json

    print(report.table())
    if output is not None:
        write_json(output, report.to_dict())
        say.note(f"report in {output}")


@app.command("atlas")
def atlas(
    output: Annotated[Path, typer.Option("--output", help="The atlas: a .parquet file.")],
    embedder: options.EmbedderPath = None,
    data: Exam = None,
    seed: Annotated[int, typer.Option("--seed", help="Seeds the map.")] = 0,
) -> None:
    """Read and map a few hundred held-out texts: the atlas that the app opens on."""
    options.check_output(output, (".parquet",))

    from workbench import load_embedder
    from workbench.atlas.prebuilt import build as build_atlas
    from workbench.fieldguide.exam import read_exam
    from workbench.fieldguide.shipping import atlas_texts
    from workbench.files import shipped

    texts, rows = atlas_texts(read_exam((data or shipped("fieldguide")) / "eval.jsonl"))
    made = build_atlas(load_embedder(embedder), texts, rows, output=output, seed=seed, progress=say.note)
    say.note(f"{len(made)} texts in {output}; {made.facts.preserved:.2f} of the neighbours kept on the map")


@app.command("manifest")
def manifest(
    data: Annotated[Path, typer.Option("--data", help="The folder of the shipped default.")] = Path("data"),
) -> None:
    """List every shipped file with its hash and the command that makes it again, in its README.md."""
    from workbench.fieldguide.shipping import write_manifest

    if not data.is_dir():
        raise UsageError(f"no such folder: {data}")
    write_manifest(data)
    say.note(f"list of files in {data / 'README.md'}")
