"""`workbench atlas`: a store of many texts with their embeddings and soft prompts; searched, mapped, looked at."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli import options, say
from workbench.cli.atlas_build import build
from workbench.cli.atlas_clusters import clusters
from workbench.cli.atlas_map import store_map
from workbench.cli.atlas_options import AsJson, PromptName, StorePath, cut
from workbench.cli.embed import instruction_of
from workbench.errors import UsageError

if TYPE_CHECKING:
    import numpy as np

    from workbench.atlas.search import Hit
    from workbench.atlas.store import Store

app = typer.Typer(
    help="Keep many embedded texts in a store; search, map and cluster it.", rich_markup_mode=None
)

app.command("build")(build)
app.command("map")(store_map)
app.command("clusters")(clusters)


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
    as_json: AsJson = False,
    embedder: options.EmbedderPath = None,
    prompt_name: PromptName = None,
    max_new_tokens: options.MaxNewTokens = 64,
    backbone: options.BackbonePath = None,
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


def _vector(given: str) -> "np.ndarray":
    import numpy as np

    try:
        if given.endswith(".npy"):
            return np.asarray(np.load(given, allow_pickle=False), dtype=np.float32).squeeze()
        return np.asarray(json.loads(given), dtype=np.float32)
    except FileNotFoundError as error:
        raise UsageError(f"no such file: {given}") from error
    except (ValueError, TypeError, RecursionError) as error:
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
    lines = [f"{hit.similarity:.3f}  {cut(hit.text)}", f"       {hit.id}" + (f"; {known}" if known else "")]
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
