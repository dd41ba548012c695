"""`workbench train lifter`: from an embedder's pooled vectors back to soft prompts."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from workbench.cli import options, say
from workbench.cli.responses import corpus_of
from workbench.embedders.config import LifterConfig
from workbench.files import cache_folder
from workbench.texts import read_texts
from workbench.training.lifter_config import LifterTraining

DECIDED_BY_TRAINING = ("dimension", "size")


@options.with_flags(LifterTraining, LifterConfig, skip=DECIDED_BY_TRAINING)
def lifter(
    training: LifterTraining,
    shape: LifterConfig,
    queries: Annotated[
        str, typer.Option("--queries", help="Queries, or a corpus that `workbench respond` wrote.")
    ],
    output: Annotated[Path, typer.Option("--output", help="Folder of the trained lifter.")],
    embedder: options.EmbedderPath = None,
    column: options.Column = None,
    split: Annotated[str, typer.Option("--split", help="Split of a hub dataset.")] = "train",
    limit: options.Limit = None,
    max_new_tokens: options.MaxNewTokens = 512,
    resume: Annotated[bool, typer.Option(help="Go on where an interrupted run stopped.")] = True,
    cache_dir: options.CacheDir = None,
    backbone: options.BackbonePath = None,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    trust_remote_code: options.TrustRemoteCode = False,
) -> None:
    """Train a lifter: what decodes an embedder's pooled vector alone, and other vectors of its space.

    LLM2Vec-Gen: also the vectors that its teacher makes of any text. GEM: the plain backbone reads the soft prompts.
    """
    options.check_folder(output)
    table = read_texts(queries, column, split=split, limit=limit)
    say.note_left_out(table.left_out, table.source)

    from workbench.embedders.artifact import Manifest, load_embedder
    from workbench.training.corpus import targets
    from workbench.training.lifter import shares_teachers_space, train
    from workbench.training.teachers import load_teacher

    loaded = load_embedder(
        embedder, backbone=backbone, device=device, dtype=dtype, trust_remote_code=trust_remote_code
    )
    cache = cache_folder(cache_dir)
    corpus = corpus_of(loaded.backbone, table, cache, max_new_tokens)
    if training.teacher_every and shares_teachers_space(loaded):
        teacher = load_teacher(loaded.config.to_dict()["teacher"], loaded.backbone)
        with say.progress("teacher targets", len(corpus), "responses") as progress:
            vectors = targets(teacher, corpus.responses, cache_dir=cache, progress=progress)
        corpus = replace(corpus, targets=vectors)
    made = train(loaded, corpus, training, shape, output=output, resume=resume)
    counts = Manifest.read(output).training
    say.note_truncated(counts["truncated_queries"], len(corpus), "queries")
    say.note_truncated(counts["truncated_responses"], len(corpus), "responses")
    say.note(f"a lifter to {made.config.n_prompts} soft prompts, for a {loaded.method} embedder, in {output}")
