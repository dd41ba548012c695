"""`workbench atlas build`: a file of texts becomes a store."""

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli import options, say
from workbench.cli.atlas_options import PromptName, StorePath
from workbench.cli.embed import instruction_of
from workbench.errors import UsageError

if TYPE_CHECKING:
    from workbench.atlas.stream import LeftOut

NAMED = 20
"""Rows left out for one reason that get a line of their own; the others are counted."""

TextFile = Annotated[
    Path, typer.Option("--input", help="A file of texts: .txt, .jsonl, .csv, .tsv or .parquet.")
]
IdColumn = Annotated[
    str | None,
    typer.Option("--id-column", help="The column with the rows' ids; else id, else place and hash."),
]
VectorColumn = Annotated[
    str | None,
    typer.Option(
        "--vector-column", help="A column with vectors that this embedder made; nothing is embedded."
    ),
]
Metadata = Annotated[
    list[str] | None,
    typer.Option("--metadata", help="A column to keep; may stand several times; else all of them."),
]


def build(
    source: TextFile,
    store: StorePath,
    embedder: options.EmbedderPath = None,
    column: options.Column = None,
    id_column: IdColumn = None,
    vector_column: VectorColumn = None,
    metadata: Metadata = None,
    limit: options.Limit = None,
    prompt_name: PromptName = None,
    batch_size: options.ReadAtOnce = None,
    backbone: options.BackbonePath = None,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    trust_remote_code: options.TrustRemoteCode = False,
) -> None:
    """Embed the texts of a file into a store; interrupted, the same command goes on where it stopped.

    Rows that cannot be kept are left out, each with a line that says why, and counted.
    """
    from workbench.atlas.build import build as build_store
    from workbench.atlas.build import facts_of, make_with
    from workbench.atlas.entries import source_of
    from workbench.embedders.artifact import load_embedder

    _check_place(store)
    columns = {"column": column, "id_column": id_column, "vector_column": vector_column}
    found = source_of(source, **columns, metadata=metadata, limit=limit)
    loaded = load_embedder(
        embedder, backbone=backbone, device=device, dtype=dtype, trust_remote_code=trust_remote_code
    )
    instruction = instruction_of(loaded, prompt_name)
    facts = facts_of(loaded, found, instruction)
    if facts.soft_prompts is None and vector_column is None:
        say.note(f"{loaded.method} has no soft prompts: the rows of this store can be searched, not decoded")
    with say.progress("building", found.survey.rows, "rows") as progress:
        built = build_store(
            store,
            found,
            facts,
            make_with(loaded, instruction, batch_size),
            progress=progress,
            report=_reporter(str(source)),
        )
    say.note_left_out(built.left_out, str(source))
    say.note_truncated(built.truncated, built.added)
    there = f", {built.rows - built.added} of them were there" if built.added < built.rows else ""
    say.note(f"{built.rows} rows of dimension {facts.dimension} in {store}{there}")


def _check_place(store: str) -> None:
    """Raises UsageError for a local store that could not be written, before any work is done."""
    from workbench.atlas import layout

    if layout.is_local(store):
        if Path(store).is_file():
            raise UsageError(f"the store is a folder, and {store} is a file")
        options.check_parent(Path(store) / "rows")


def _reporter(source: str) -> Callable[["LeftOut"], None]:
    """A function that says of a row why it is left out: the first ones of every reason, then no more."""
    from tqdm import tqdm

    said = Counter[str]()

    def report(row: "LeftOut") -> None:
        said[row.reason] += 1
        if said[row.reason] <= NAMED:
            tqdm.write(f"workbench: {source}, {' '.join(str(row).split())}", file=sys.stderr)

    return report
