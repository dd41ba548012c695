"""`workbench decode`: what embeddings say when the backbone reads them again."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli import options, say
from workbench.cli.vectors import read_file, read_lifted
from workbench.disk import atomic_path
from workbench.errors import UsageError

if TYPE_CHECKING:
    from workbench.decoding.badge import Badge
    from workbench.decoding.trust import Readings


def decode(
    embedder: options.EmbedderPath = None,
    text: options.Texts = None,
    source: options.Input = None,
    column: options.Column = None,
    limit: options.Limit = None,
    vectors: Annotated[
        Path | None,
        typer.Option("--vectors", help="Instead of texts: pooled vectors, .npy, .csv, .parquet or .jsonl."),
    ] = None,
    lifter: Annotated[
        str | None, typer.Option("--lifter", help="With --vectors: what reads them; else the shipped one.")
    ] = None,
    search: Annotated[
        int,
        typer.Option(
            "--search",
            min=0,
            max=20,
            help="With --vectors: rounds of a search for a reading that leads back (2, say).",
        ),
    ] = 0,
    reference: Annotated[
        str | None,
        typer.Option("--reference", help="A file of texts to measure trust against; else the field guide's."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="Write a .jsonl file instead of printing.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object for each text.")] = False,
    max_new_tokens: options.MaxNewTokens = 64,
    batch_size: options.BatchSize = 64,
    backbone: options.BackbonePath = None,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    trust_remote_code: options.TrustRemoteCode = False,
) -> None:
    """Embed texts and decode the embeddings, beside the backbone's own responses and the trust figures.

    `cosine` is between an embedding and the embedding of its decoded text; `shuffled` is the mean of the same figure
    over the other texts' decodings (no number for a single text). `gap` is how much likelier a token of the decoded
    text is behind what it was read from than behind what other texts leave, `level` the badge: high, doubtful, or off
    the manifold. With --vectors, pooled vectors that a file holds are read through a lifter;
    with --search a vector that lies beside all that the lifter was trained on is read better, and more slowly.
    """
    if output is not None:
        options.check_output(output, (".jsonl",))
    opening = {"backbone": backbone, "device": device, "dtype": dtype, "trust_remote_code": trust_remote_code}
    if vectors is not None:
        if text or source or column:
            raise UsageError("give either --vectors or texts (--text, --input, --column)")
        given = read_file(vectors, limit, embedder, lifter)
        rows = read_lifted(given, embedder, lifter, reference, max_new_tokens, batch_size, opening, search)
        _give(rows, output, as_json)
        return
    if lifter is not None or search:
        raise UsageError("--lifter and --search belong to --vectors")
    table = options.gather_texts(text, source, column, limit)
    say.note_left_out(table.left_out, table.source)
    _give(read_own(table.texts, embedder, reference, max_new_tokens, batch_size, opening), output, as_json)


def read_own(
    texts: list[str],
    embedder: str | None,
    reference: str | None,
    max_new_tokens: int,
    batch_size: int,
    opening: dict[str, Any],
) -> list[dict[str, Any]]:
    """One row for each text, which the embedder encodes and decodes itself; `opening` as in `read_lifted`."""
    from workbench.cli.judge import judge_of
    from workbench.decoding.trust import read
    from workbench.embedders.artifact import load_embedder

    loaded = load_embedder(embedder, **opening)
    readings = read(loaded, texts, max_new_tokens=max_new_tokens, batch_size=batch_size)
    say.note_truncated(readings.truncated, len(texts))
    assert readings.kept is not None  # `read` has refused a method that keeps nothing
    badges = judge_of(loaded, reference).badges(readings.kept, readings.decoded, batch_size=batch_size)
    return rows_of(readings, badges)


def _give(rows: list[dict[str, Any]], output: Path | None, as_json: bool) -> None:
    """Rows into a file, or printed: as JSON, or as a block each."""
    if output is not None:
        with atomic_path(output) as temporary:
            temporary.write_text("".join(_line(row) for row in rows), encoding="utf-8")
        say.note(f"{len(rows)} readings in {output}")
    elif as_json:
        print("".join(_line(row) for row in rows), end="")
    else:
        print("\n\n".join(_block(row) for row in rows))


def rows_of(readings: "Readings", badges: "list[Badge]") -> list[dict[str, Any]]:
    """One row for each text: text, response, decoded, cosine, shuffled, gap, level.

    `shuffled` is None where there is no other text.
    """
    from workbench.decoding.trust import shuffled

    null = shuffled(readings)
    null = None if math.isnan(null) else round(null, 4)
    columns = zip(
        readings.texts,
        readings.responses,
        readings.decoded,
        readings.round_trip.tolist(),
        badges,
        strict=True,
    )
    return [
        {
            "text": text,
            "response": response,
            "decoded": decoded,
            "cosine": round(cosine, 4),
            "shuffled": null,
            "gap": round(badge.gap, 4),
            "level": badge.level,
        }
        for text, response, decoded, cosine, badge in columns
    ]


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"


def _block(row: dict[str, Any]) -> str:
    if "vector" in row:
        figures = f"{row['cosine']:.2f} (others {row['null']:.2f})  gap {row['gap']:+.2f}  {row['level']}"
        return f"vector    {row['vector']}\ndecoded   {row['decoded']}\ncosine    {figures}"
    null = "" if row["shuffled"] is None else f"  (shuffled pairs {row['shuffled']:.2f})"
    return (
        f"text      {row['text']}\n"
        f"response  {row['response']}\n"
        f"decoded   {row['decoded']}\n"
        f"cosine    {row['cosine']:.2f}{null}  gap {row['gap']:+.2f}  {row['level']}"
    )
