"""`workbench atlas`: a store of many texts with their embeddings and soft prompts; built, searched, looked at."""

import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli import options, say
from workbench.cli.embed import instruction_of
from workbench.errors import UsageError

if TYPE_CHECKING:
    import numpy as np

    from workbench.atlas.search import Hit
    from workbench.atlas.store import Store
    from workbench.atlas.stream import LeftOut

NAMED = 20
"""Rows left out for one reason that get a line of their own; the others are counted."""
SHOWN = 300
"""Characters of a text that are printed; --json gives all of them."""

app = typer.Typer(help="Keep many embedded texts in a store, and search it.", rich_markup_mode=None)

StorePath = Annotated[
    str,
    typer.Option("--store", help="The store: a folder, or any URI that LanceDB takes (s3://, gs:// ...)."),
]
BackbonePath = Annotated[
    str | None, typer.Option("--backbone", help="Instead of the one the embedder names.")
]
PromptName = Annotated[
    str | None,
    typer.Option("--prompt-name", help="An instruction of the embedder's, such as query or document."),
]


@app.command("build")
def build(
    source: Annotated[
        Path, typer.Option("--input", help="A file of texts: .txt, .jsonl, .csv, .tsv or .parquet.")
    ],
    store: StorePath,
    embedder: options.EmbedderPath = None,
    column: options.Column = None,
    id_column: Annotated[
        str | None,
        typer.Option("--id-column", help="The column with the rows' ids; else id, else place and hash."),
    ] = None,
    vector_column: Annotated[
        str | None,
        typer.Option(
            "--vector-column", help="A column with vectors that this embedder made; nothing is embedded."
        ),
    ] = None,
    metadata: Annotated[
        list[str] | None,
        typer.Option("--metadata", help="A column to keep; may stand several times; else all of them."),
    ] = None,
    limit: options.Limit = None,
    prompt_name: PromptName = None,
    batch_size: options.BatchSize = 32,
    backbone: BackbonePath = None,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    trust_remote_code: options.TrustRemoteCode = False,
) -> None:
    """Embed the texts of a file into a store; interrupted, the same command goes on where it stopped.

    Rows that cannot be kept are left out, each with a line that says why, and counted.
    """
    from workbench.atlas import layout
    from workbench.atlas.build import build as build_store
    from workbench.atlas.build import facts_of, make_with
    from workbench.atlas.entries import source_of
    from workbench.embedders.artifact import load_embedder

    if layout.is_local(store):
        if Path(store).is_file():
            raise UsageError(f"the store is a folder, and {store} is a file")
        options.check_parent(Path(store) / "rows")
    found = source_of(
        source,
        column=column,
        id_column=id_column,
        vector_column=vector_column,
        metadata=metadata,
        limit=limit,
    )
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


@app.command("search")
def search(
    store: StorePath,
    text: Annotated[str | None, typer.Option("--text", help="Find what is near a text.")] = None,
    vector: Annotated[
        str | None, typer.Option("--vector", help="Near a vector: a .npy file, or a JSON list of numbers.")
    ] = None,
    row: Annotated[str | None, typer.Option("--row", help="Near a row of the store, by its id.")] = None,
    where: Annotated[
        str | None, typer.Option("--where", help="Only rows like these: SQL over the metadata, id and text.")
    ] = None,
    top: Annotated[int, typer.Option("--top", min=1, help="How many rows.")] = 10,
    decode: Annotated[bool, typer.Option("--decode", help="Also decode what the rows hold.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object for each row.")] = False,
    embedder: options.EmbedderPath = None,
    prompt_name: PromptName = None,
    max_new_tokens: options.MaxNewTokens = 64,
    backbone: BackbonePath = None,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    trust_remote_code: options.TrustRemoteCode = False,
) -> None:
    """Find the rows of a store nearest to a text, a vector or one of its rows, by cosine similarity.

    A text is read behind --prompt-name, or else behind what the store's own texts were read behind. The embedder must
    be the one that built the store; a search by vector or row needs none.
    """
    if [text, vector, row].count(None) != 2:
        raise UsageError("give one of --text, --vector and --row")
    if text is not None and not text.strip():
        raise UsageError("the --text is empty")
    from workbench.atlas.search import Search
    from workbench.atlas.store import open_store
    from workbench.embedders.artifact import load_embedder

    opened, loaded = open_store(store), None
    if text is not None or decode or embedder is not None:
        loaded = load_embedder(
            embedder, backbone=backbone, device=device, dtype=dtype, trust_remote_code=trust_remote_code
        )
        opened.check(loaded)
    if row is not None:
        hits = Search(opened).like(row, top, where=where)
    else:
        query = _vector(vector) if vector is not None else _embedded(opened, loaded, text, prompt_name)
        hits = Search(opened).nearest(query, top, where=where)
    decoded = _decoded(opened, loaded, hits, max_new_tokens) if decode else [None] * len(hits)
    for hit, said in zip(hits, decoded, strict=True):
        print(_line(hit, said) if as_json else _block(hit, said))
    if not hits:
        say.note("no row was found")


@app.command("info")
def info(
    store: StorePath,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object.")] = False,
) -> None:
    """Say what a store holds, which embedder made it, and whether its build came to its end."""
    from workbench.atlas.store import open_store

    found = _facts(open_store(store))
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
        return
    for name, value in found.items():
        print(f"{name.replace('_', ' '):14} {value if isinstance(value, str) else json.dumps(value)}")


def _reporter(source: str) -> Callable[["LeftOut"], None]:
    """A function that says of a row why it is left out: the first ones of every reason, then no more."""
    from tqdm import tqdm

    said = Counter[str]()

    def report(row: "LeftOut") -> None:
        said[row.reason] += 1
        if said[row.reason] <= NAMED:
            tqdm.write(f"workbench: {source}, {' '.join(str(row).split())}", file=sys.stderr)

    return report


def _vector(given: str) -> "np.ndarray":
    import numpy as np

    try:
        if given.endswith(".npy"):
            return np.asarray(np.load(given, allow_pickle=False), dtype=np.float32).squeeze()
        return np.asarray(json.loads(given), dtype=np.float32)
    except FileNotFoundError as error:
        raise UsageError(f"no such file: {given}") from error
    except (ValueError, TypeError) as error:
        raise UsageError(
            f"the --vector is neither a .npy file nor a JSON list of numbers: {given[:60]}"
        ) from error


def _embedded(store: "Store", embedder: Any, text: str | None, prompt_name: str | None) -> "np.ndarray":
    instruction = store.facts.instruction if prompt_name is None else instruction_of(embedder, prompt_name)
    encoding = embedder.represent([text], instruction=instruction)
    say.note_truncated(encoding.truncated, 1)
    return encoding.embedding[0].numpy()


def _decoded(store: "Store", embedder: Any, hits: list["Hit"], max_new_tokens: int) -> list[str]:
    from workbench.decoding.decode import decode

    if not hits:
        return []
    return decode(embedder, store.soft_prompts([hit.id for hit in hits]), max_new_tokens=max_new_tokens)


def _line(hit: "Hit", decoded: str | None) -> str:
    row = {"id": hit.id, "similarity": round(hit.similarity, 4), "text": hit.text, "metadata": hit.metadata}
    return json.dumps(
        row | ({} if decoded is None else {"decoded": decoded}), ensure_ascii=False, default=str
    )


def _block(hit: "Hit", decoded: str | None) -> str:
    known = ", ".join(f"{name} {value}" for name, value in hit.metadata.items() if value is not None)
    text = hit.text if len(hit.text) <= SHOWN else hit.text[:SHOWN] + "..."
    lines = [f"{hit.similarity:.3f}  {text}", f"       {hit.id}" + (f"; {known}" if known else "")]
    return "\n".join([*lines, *([] if decoded is None else [f"       decoded: {decoded}"])])


def _facts(store: "Store") -> dict[str, Any]:
    outcome, coordinates = store.outcome(), store.coordinates()
    indices = [index.index_type for index in store.table.list_indices()]
    return {
        "rows": len(store),
        "complete": outcome is not None,
        "left_out": (outcome or {}).get("left_out", {}),
        "metadata": {name: str(store.table.schema.field(name).type) for name in store.metadata},
        "index": indices[0] if indices else None,
        "coordinates": None if coordinates is None else coordinates.facts,
        **store.facts.to_dict(),
    }
