"""`workbench train`: an embedder from queries, responses and a teacher."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from workbench.cli import options, say
from workbench.cli.responses import corpus_of, own_responses
from workbench.cli.train_lifter import lifter as train_lifter
from workbench.cli.train_teacher import teacher as train_teacher
from workbench.embedders.config import GEMConfig, LLM2VecGenConfig
from workbench.errors import UsageError
from workbench.files import cache_folder
from workbench.texts import read_texts
from workbench.training.config import LLM2VecGenTraining, WatchedTraining
from workbench.training.gem_config import GEMTraining

if TYPE_CHECKING:
    from workbench.backbone import Backbone

app = typer.Typer(help="Train an embedder.", rich_markup_mode=None)
DECIDED_BY_TRAINING = ("dimension",)


@app.callback()
def _group() -> None:
    """Train an embedder."""


@app.command("llm2vec-gen")
@options.with_flags(LLM2VecGenTraining, LLM2VecGenConfig, skip=DECIDED_BY_TRAINING)
def llm2vec_gen(
    training: LLM2VecGenTraining,
    shape: LLM2VecGenConfig,
    queries: Annotated[
        str,
        typer.Option(
            "--queries", help="Queries (file or hub dataset id), or a corpus that `workbench respond` wrote."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", help="Folder of the trained embedder.")],
    backbone: options.BackboneName = "fieldguide",
    column: options.Column = None,
    split: Annotated[str, typer.Option("--split", help="Split of a hub dataset.")] = "train",
    limit: options.Limit = None,
    max_new_tokens: options.MaxNewTokens = 512,
    resume: Annotated[bool, typer.Option(help="Go on where an interrupted run stopped.")] = True,
    cache_dir: options.CacheDir = None,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    revision: options.Revision = None,
    trust_remote_code: options.TrustRemoteCode = False,
    load_in_4bit: options.LoadIn4bit = False,
    shard_backbone: options.ShardBackbone = False,
) -> None:
    """Train special tokens and two projections on a frozen backbone (LLM2Vec-Gen).

    Responses and teacher targets are computed first where they are not cached.
    """
    options.check_folder(output)
    table = read_texts(queries, column, split=split, limit=limit)
    say.note_left_out(table.left_out, table.source)

    from workbench.backbone import Backbone
    from workbench.embedders.artifact import Manifest
    from workbench.training.corpus import targets
    from workbench.training.llm2vec_gen import train
    from workbench.training.teachers import load_teacher

    model = Backbone.load(
        backbone, device=device, dtype=dtype, revision=revision, trust_remote_code=trust_remote_code,
        quantization="nf4" if load_in_4bit else None,
    )  # fmt: skip
    teacher = load_teacher(shape.teacher, model)
    cache = cache_folder(cache_dir)
    corpus = corpus_of(model, table, cache, max_new_tokens)
    with say.progress("teacher targets", len(corpus), "responses") as progress:
        vectors = targets(teacher, corpus.responses, cache_dir=cache, progress=progress)
    if shard_backbone:
        shard(model, training)
    embedder = train(model, replace(corpus, targets=vectors), training, shape, output=output, resume=resume)
    counts = Manifest.read(output).training
    say.note_truncated(counts["truncated_queries"], len(corpus), "queries")
    say.note_truncated(counts["truncated_responses"], len(corpus), "responses")
    say.note(f"{embedder.method} of dimension {embedder.dimension} in {output}")


@app.command("align")
def align(
    queries: Annotated[
        str, typer.Option("--queries", help="Queries, or a corpus that `workbench respond` wrote.")
    ],
    output: Annotated[Path, typer.Option("--output", help="Folder of the aligned embedder.")],
    embedder: options.EmbedderPath = None,
    teacher: Annotated[
        str | None, typer.Option("--teacher", help="Instead of the one it was trained with.")
    ] = None,
    column: options.Column = None,
    limit: options.Limit = None,
    bf16: Annotated[
        Literal["on", "off"], typer.Option("--bf16", help="Read the queries in bfloat16 autocast.")
    ] = "off",
    max_new_tokens: options.MaxNewTokens = 512,
    cache_dir: options.CacheDir = None,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    trust_remote_code: options.TrustRemoteCode = False,
) -> None:
    """Fit a trained LLM2Vec-Gen embedder's W_a again, in closed form: to its teacher, or to another one.

    The best linear map from the soft prompts as they are to the teacher's vectors of the responses (ridge regression).
    """
    options.check_folder(output)
    table = read_texts(queries, column, limit=limit)
    say.note_left_out(table.left_out, table.source)

    from workbench.embedders.artifact import Manifest, folder_of, load_embedder
    from workbench.embedders.llm2vec_gen import LLM2VecGen
    from workbench.training.alignment import realign
    from workbench.training.corpus import targets
    from workbench.training.teachers import load_teacher

    folder = folder_of(embedder)
    trained = Manifest.read(folder)
    loaded = load_embedder(folder, device=device, dtype=dtype, trust_remote_code=trust_remote_code)
    if not isinstance(loaded, LLM2VecGen):
        raise UsageError(
            f"only LLM2Vec-Gen embedders are aligned to a teacher, and this one is {loaded.method}"
        )
    name = teacher or loaded.config.teacher
    source = load_teacher(name, loaded.backbone)
    cache = cache_folder(cache_dir)
    corpus = corpus_of(loaded.backbone, table, cache, max_new_tokens)
    with say.progress("teacher targets", len(corpus), "responses") as progress:
        vectors = targets(source, corpus.responses, cache_dir=cache, progress=progress)
    with say.progress("embedding", len(corpus), "queries") as progress:
        made = realign(
            loaded, replace(corpus, targets=vectors), teacher=name, output=output,
            trained=trained, bf16=bf16 == "on", progress=progress,
        )  # fmt: skip
    say.note(f"{made.method} of dimension {made.dimension}, aligned to {name}, in {output}")


@app.command("gem")
@options.with_flags(GEMTraining, GEMConfig)
def gem(
    training: GEMTraining,
    shape: GEMConfig,
    texts: Annotated[
        str,
        typer.Option(
            "--texts",
            help="Texts (file or hub dataset id); rows that also hold a response are queries with responses.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", help="Folder of the trained embedder.")],
    summaries: Annotated[
        str | None,
        typer.Option("--summaries", help="File with columns text and summary, for --share-summary."),
    ] = None,
    backbone: options.BackboneName = "fieldguide",
    column: options.Column = None,
    split: Annotated[str, typer.Option("--split", help="Split of a hub dataset.")] = "train",
    limit: options.Limit = None,
    resume: Annotated[bool, typer.Option(help="Go on where an interrupted run stopped.")] = True,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    revision: options.Revision = None,
    trust_remote_code: options.TrustRemoteCode = False,
    load_in_4bit: options.LoadIn4bit = False,
    shard_backbone: options.ShardBackbone = False,
) -> None:
    """Train special tokens behind a bottleneck mask together with the backbone's update (GEM).

    First the bottleneck is proven on this backbone; where it leaks, nothing is trained.
    """
    options.check_folder(output)
    table = read_texts(texts, column, split=split, limit=limit)
    say.note_left_out(table.left_out, table.source)
    told = _summaries(summaries) if summaries else []

    from workbench.backbone import Backbone
    from workbench.embedders.artifact import Manifest
    from workbench.training.corpus import Corpus
    from workbench.training.gem import train

    model = Backbone.load(
        backbone, device=device, dtype=dtype, revision=revision, trust_remote_code=trust_remote_code,
        quantization="nf4" if load_in_4bit else None,
    )  # fmt: skip
    responses = own_responses(table) or [""] * len(table)
    corpus = Corpus(table.texts, responses, None, {"source": table.source}, table.rows)
    if shard_backbone:
        shard(model, training, full=shape.tuning == "full")
    embedder = train(model, corpus, training, shape, output=output, summaries=told, resume=resume)
    say.note_truncated(Manifest.read(output).training["truncated_texts"], len(corpus), "texts")
    say.note(f"{embedder.method} of dimension {embedder.dimension} in {output}")


def shard(model: "Backbone", training: WatchedTraining, full: bool = False) -> None:
    """Spread the backbone's blocks over the launched processes; UsageError for what cannot be trained so."""
    from workbench.backbone.sharding import shard as spread

    if training.watch_every:
        raise UsageError(
            "a backbone spread over processes cannot be watched: --watch-every 0, or no --shard-backbone"
        )
    if full:
        raise UsageError("--tuning full trains a copy of every weight: with --shard-backbone, train a LoRA")
    spread(model)


app.command("teacher")(train_teacher)
app.command("lifter")(train_lifter)


def _summaries(source: str) -> list[tuple[str, str]]:
    """The pairs of a file with the columns text and summary."""
    table = read_texts(source, "text")
    pairs = [(text, row.get("summary")) for text, row in zip(table.texts, table.rows, strict=True)]
    if not all(isinstance(summary, str) for _, summary in pairs):
        raise UsageError(f"{source}: every row needs a summary beside its text")
    return [(text, str(summary)) for text, summary in pairs]
