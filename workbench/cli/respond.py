"""`workbench respond`: queries become a corpus of the backbone's own responses."""

from pathlib import Path
from typing import Annotated

import typer

from workbench.cli import options, say
from workbench.files import cache_folder
from workbench.texts import read_texts

SUFFIXES = (".jsonl", ".parquet")


def respond(
    queries: Annotated[str, typer.Option("--queries", help="A file of queries or a hub dataset id.")],
    output: Annotated[Path, typer.Option("--output", help="The corpus: .jsonl or .parquet.")],
    backbone: options.BackboneName = "fieldguide",
    column: options.Column = None,
    split: Annotated[str, typer.Option("--split", help="Split of a hub dataset.")] = "train",
    limit: options.Limit = None,
    instruction: Annotated[str | None, typer.Option("--instruction", help="Put before every query.")] = None,
    max_new_tokens: options.MaxNewTokens = 512,
    temperature: Annotated[float, typer.Option("--temperature", min=0.0, help="0 is greedy.")] = 0.0,
    seed: Annotated[int, typer.Option("--seed", help="Seeds sampling; greedy needs none.")] = 0,
    batch_size: options.BatchSize = 64,
    cache_dir: options.CacheDir = None,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    revision: options.Revision = None,
    trust_remote_code: options.TrustRemoteCode = False,
    load_in_4bit: options.LoadIn4bit = False,
) -> None:
    """Let the backbone answer unlabelled queries; resumes where it was interrupted."""
    options.check_output(output, SUFFIXES)
    table = read_texts(queries, column, split=split, limit=limit)
    say.note_left_out(table.left_out, table.source)

    from workbench.backbone import Backbone
    from workbench.training.corpus import respond as respond_to
    from workbench.training.corpus import write_corpus

    model = Backbone.load(
        backbone, device=device, dtype=dtype, revision=revision, trust_remote_code=trust_remote_code,
        quantization="nf4" if load_in_4bit else None,
    )  # fmt: skip
    with say.progress("responding", len(table), "queries") as progress:
        corpus = respond_to(
            model,
            table.texts,
            cache_dir=cache_folder(cache_dir),
            max_new_tokens=max_new_tokens,
            temperature=temperature,
            seed=seed,
            batch_size=batch_size,
            instruction=instruction,
            progress=progress,
        )
    say.note_responses(corpus.meta, len(corpus))
    write_corpus(corpus, output)
    say.note(f"{len(corpus)} responses in {output}")
