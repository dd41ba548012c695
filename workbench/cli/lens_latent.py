"""`workbench lens index | latent`: states of a corpus's tokens, and which of them special tokens are nearest to."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from workbench.cli import lens_options, options, say
from workbench.errors import UsageError
from workbench.texts import read_texts

if TYPE_CHECKING:
    from workbench.lenses.latent import LatentReading

IndexPath = Annotated[Path | None, typer.Option("--index", help="The folder of the index.")]
StorePath = Annotated[
    Path | None, typer.Option("--store", help="Instead: the store in whose folder the index is.")
]


def index(
    source: Annotated[
        str, typer.Option("--input", help="A corpus: .txt, .jsonl, .csv, .tsv, .parquet or a hub dataset id.")
    ],
    folder: IndexPath = None,
    store: StorePath = None,
    backbone: options.BackboneName = "fieldguide",
    column: options.Column = None,
    split: Annotated[str, typer.Option("--split", help="Split of a hub dataset.")] = "train",
    limit: options.Limit = None,
    layers: Annotated[
        str | None, typer.Option("--layers", help="Which, such as 1,2,-1 (-1: the last); else all.")
    ] = None,
    max_length: Annotated[int, typer.Option("--max-length", min=2, help="Most tokens of a text.")] = 512,
    batch_size: options.BatchSize = 32,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    revision: options.Revision = None,
    trust_remote_code: options.TrustRemoteCode = False,
) -> None:
    """Keep what the backbone makes of every token of a corpus, for `workbench lens latent`; resumes."""
    numbers, place = lens_options.layer_numbers(layers), _place(folder, store)
    options.check_parent(place / "config.json")
    table = read_texts(source, column, split=split, limit=limit)
    say.note_left_out(table.left_out, table.source)

    from workbench.backbone import Backbone
    from workbench.lenses.latent_build import build_index

    model = Backbone.load(
        backbone, device=device, dtype=dtype, revision=revision, trust_remote_code=trust_remote_code
    )
    with say.progress("reading", len(table), "texts") as progress:
        built = build_index(
            place,
            model,
            table.texts,
            source=table.source,
            layers=numbers,
            max_length=max_length,
            batch_size=batch_size,
            progress=progress,
        )
    say.note_truncated(built.facts.truncated, built.facts.texts)
    named = ", ".join(map(str, built.facts.layers))
    say.note(
        f"{len(built):,} states of {built.facts.texts:,} different texts in each of the layers {named} in {place}"
    )


@options.with_flags(lens_options.Look)
def latent(
    look: lens_options.Look,
    text: lens_options.Text,
    folder: IndexPath = None,
    store: StorePath = None,
    layers: lens_options.Layers = None,
    k: Annotated[int, typer.Option("--k", min=1, help="Neighbours of each special token.")] = 5,
    match: Annotated[
        Literal["same", "any"],
        typer.Option("--match", help="Look in the state's own layer, or in all of the index's (the paper)."),
    ] = "same",
    duplicates: Annotated[
        Literal["out", "in"],
        typer.Option(
            "--duplicates", help="Near duplicates of the text and of the response: left out, or in."
        ),
    ] = "out",
    near: Annotated[
        float, typer.Option("--near", help="Similarity (Jaccard, of 5-character pieces) of near duplicates.")
    ] = 0.5,
    max_new_tokens: options.MaxNewTokens = 64,
) -> None:
    """Find the tokens of a corpus, in their texts, whose states are nearest to those of the special tokens."""
    numbers, place = lens_options.layer_numbers(layers), _place(folder, store)
    lens_options.checked_text(text)
    if not 0 < near <= 1:
        raise UsageError(f"--near is above 0 and at most 1, not {near}")

    from workbench.lenses.latent import latent_lens
    from workbench.lenses.latent_index import LatentIndex

    opened = LatentIndex.open(place)
    [reading] = latent_lens(
        look.open(),
        [text],
        opened,
        numbers,
        k,
        exclude=duplicates == "out",
        match=match,
        near=near,
        max_new_tokens=max_new_tokens,
    )
    look.give(reading.to_dict(), _table(reading), reading.save)


def _place(folder: Path | None, store: Path | None) -> Path:
    """The index's folder; UsageError unless exactly one of --index and --store is given, or where no store is."""
    if (folder is None) == (store is None):
        raise UsageError("give either --index or --store")
    if store is None:
        assert folder is not None
        return folder
    from workbench.atlas import layout
    from workbench.lenses.latent_index import IN_STORE

    if not layout.is_local(str(store)) or layout.rows_at(str(store)) is None:
        raise UsageError(f"no store in a folder at {store}; `workbench atlas build` makes one")
    return store / IN_STORE


def _table(reading: "LatentReading") -> str:
    """Lines for each layer and special token: its neighbours' tokens, and the text of the nearest one."""
    lines = [f"{reading.excluded:,} of {reading.texts:,} texts are left out as near duplicates"]
    if reading.response:
        lines[0] += f" of the text or of the response {reading.response!r}"
    shown = iter([ranks[0] for layer in reading.snippets or [] for ranks in layer])
    for line in lens_options.table_of(reading).splitlines():
        lines.append(line)
        if line.startswith("  "):
            lines.append(f"{'':7}{next(shown)}")
    return "\n".join(lines)
