"""`workbench arithmetic`: soft prompts that no text encodes to, made of those of texts, and read with trust."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from workbench.cli import options, say
from workbench.config import Config
from workbench.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from workbench.embedders.llm2vec_gen import LLM2VecGen

app = typer.Typer(
    help="Compute with the soft prompts of texts, and decode what comes out with its trust figures.",
    rich_markup_mode=None,
)


@dataclass(frozen=True)
class Reading(Config):
    """How blocks are read and printed; every command has these flags."""

    embedder: str | None = None
    """A folder or a hub id of an LLM2Vec-Gen embedder; the shipped default without it."""
    backbone: str | None = None
    """Instead of the one the embedder names."""
    reference: str | None = None
    """A file of texts to measure trust against; else queries of the field guide."""
    output: Path | None = None
    """Also write the soft prompts, float32 [k, n, d], as .npy."""
    json: bool = False
    """Print a JSON object for each block."""
    max_new_tokens: int = 64
    """Longest decoded text, in tokens."""
    device: str = "auto"
    """auto, or a device as torch names it."""
    dtype: str = "auto"
    """auto, float32, bfloat16 or float16."""
    trust_remote_code: bool = False
    """Run code that a hub model brings along."""

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise UsageError(f"--max-new-tokens must be at least 1, not {self.max_new_tokens}")
        if self.output is not None:
            options.check_output(self.output, (".npy",))


@app.command("interpolate")
@options.with_flags(Reading)
def interpolate(
    reading: Reading,
    start: Annotated[str, typer.Option("--from", help="The text to start from.")],
    end: Annotated[str, typer.Option("--to", help="The text to arrive at.")],
    steps: Annotated[int, typer.Option("--steps", help="How many blocks, both ends included.")] = 5,
    how: Annotated[
        Literal["linear", "spherical"], typer.Option("--how", help="Straight, or turning each vector.")
    ] = "linear",
) -> None:
    """Walk from one text to another: the blocks on the way, both ends exactly their own."""
    from workbench.decoding import arithmetic

    embedder = _open(reading, [start, end])
    a, b = _blocks(embedder, [start, end])
    path = arithmetic.interpolate(a, b, steps, how)
    _show(embedder, reading, "interpolate", [f"{step / (steps - 1):.2f}" for step in range(steps)], path)


@app.command("combine")
@options.with_flags(Reading)
def combine(
    reading: Reading,
    add: Annotated[list[str] | None, typer.Option("--add", help="A text; may stand several times.")] = None,
    subtract: Annotated[
        list[str] | None, typer.Option("--subtract", help="A text; may stand several times.")
    ] = None,
) -> None:
    """Add and subtract the soft prompts of texts; of one text that is added, they stay as they are."""
    from workbench.decoding import arithmetic

    texts = [*(add or []), *(subtract or [])]
    embedder = _open(reading, texts)
    weights = [1.0] * len(add or []) + [-1.0] * len(subtract or [])
    total = arithmetic.combine(list(zip(weights, _blocks(embedder, texts), strict=True)))
    _show(embedder, reading, "combine", ["sum"], total[None])


@app.command("average")
@options.with_flags(Reading)
def average(
    reading: Reading,
    text: options.Texts = None,
    source: options.Input = None,
    column: options.Column = None,
    limit: options.Limit = None,
) -> None:
    """Average the soft prompts of texts."""
    from workbench.decoding import arithmetic

    table = options.gather_texts(text, source, column, limit)
    say.note_left_out(table.left_out, table.source)
    embedder = _open(reading, table.texts)
    mean = arithmetic.average(_blocks(embedder, table.texts))
    _show(embedder, reading, "average", [f"of {len(table)}"], mean[None])


@app.command("transplant")
@options.with_flags(Reading)
def transplant(
    reading: Reading,
    into: Annotated[str, typer.Option("--into", help="The text whose soft prompts are kept.")],
    source: Annotated[str, typer.Option("--source", help="The text whose special tokens go into them.")],
    tokens: Annotated[str, typer.Option("--tokens", help="Which special tokens, from 0, such as 0,3.")],
) -> None:
    """Put single special tokens of one text into the places of another's."""
    from workbench.decoding import arithmetic

    numbers = _numbers(tokens)
    embedder = _open(reading, [into, source])
    a, b = _blocks(embedder, [into, source])
    _show(embedder, reading, "transplant", [tokens], arithmetic.transplant(a, b, numbers)[None])


@app.command("chain")
@options.with_flags(Reading)
def chain(
    reading: Reading,
    text: Annotated[str, typer.Option("--text", help="The text to start from.")],
    steps: Annotated[int, typer.Option("--steps", help="How many responses to responses.")] = 3,
) -> None:
    """Read soft prompts as input, with fresh special tokens behind them: the response to the response, and so on."""
    from workbench.decoding import arithmetic

    embedder = _open(reading, [text])
    blocks = arithmetic.chain(embedder, _blocks(embedder, [text]), steps)[:, 0]
    _show(embedder, reading, "chain", [str(step) for step in range(len(blocks))], blocks)


def _open(reading: Reading, texts: Sequence[str]) -> "LLM2VecGen":
    """The embedder, once the texts are known to be some."""
    if not texts:
        raise UsageError("there is no text to compute with: give --add or --subtract")
    if any(not text.strip() for text in texts):
        raise UsageError("a text is empty")

    from workbench.decoding.media import with_soft_prompts
    from workbench.embedders.artifact import load_embedder

    return with_soft_prompts(
        load_embedder(
            reading.embedder,
            backbone=reading.backbone,
            device=reading.device,
            dtype=reading.dtype,
            trust_remote_code=reading.trust_remote_code,
        )
    )


def _blocks(embedder: "LLM2VecGen", texts: Sequence[str]) -> "Tensor":
    """The soft prompts of each text, read on its own: to the last bit what they are in any company."""
    encoding = embedder.represent(texts, batch_size=1)
    say.note_truncated(encoding.truncated, len(texts))
    assert encoding.soft_prompts is not None  # `with_soft_prompts` has seen to it
    return encoding.soft_prompts


def _show(
    embedder: "LLM2VecGen", reading: Reading, operation: str, labels: list[str], blocks: "Tensor"
) -> None:
    """Decodes blocks `[k, n, d]` and prints each with its badge."""
    from workbench.cli.judge import judge_of
    from workbench.decoding.decode import decode

    judge = judge_of(embedder, reading.reference)
    if reading.output is not None:
        import numpy as np

        from workbench.disk import atomic_path

        with atomic_path(reading.output) as temporary:
            np.save(temporary, blocks.numpy())
        say.note(f"soft prompts {list(blocks.shape)} in {reading.output}")
    decoded = decode(embedder, blocks, max_new_tokens=reading.max_new_tokens)
    badges, width = judge.badges(blocks, decoded), max(map(len, labels))
    for label, said, badge in zip(labels, decoded, badges, strict=True):
        row = {"operation": operation, "block": label, "decoded": said, **badge.to_dict()}
        print(
            json.dumps(row, ensure_ascii=False)
            if reading.json
            else f"{label:>{width}}  {said}\n{'':{width}}  {badge.line()}"
        )


def _numbers(tokens: str) -> list[int]:
    """ "0,3" as numbers; none of an empty string."""
    parts = [part.strip() for part in tokens.split(",")] if tokens.strip() else []
    if not all(part.isdecimal() for part in parts):
        raise UsageError(f"--tokens are numbers from 0 such as 0,3, not {tokens!r}")
    return [int(part) for part in parts]
