"""Options that several commands share, and flags made from the fields of a configuration."""

import inspect
import os
from collections.abc import Callable
from dataclasses import Field, fields
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from workbench.config import Config
from workbench.errors import UsageError, WorkbenchError
from workbench.files import read_json
from workbench.texts import TextTable, read_texts

ARTIFACT = ("config.json", "model.safetensors", "README.md")
"""The files that a training replaces in its folder."""

BackboneName = Annotated[str, typer.Option("--backbone", help="fieldguide (shipped), a folder, or a hub id.")]
BackbonePath = Annotated[
    str | None, typer.Option("--backbone", help="Instead of the one the embedder names.")
]
EmbedderPath = Annotated[
    str | None, typer.Option("--embedder", help="A folder or a hub id; the shipped default without it.")
]
Column = Annotated[
    str | None,
    typer.Option(
        "--column", help="The column with the texts; else text, query, question, prompt, instruction."
    ),
]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Only the first so many texts.")]
BatchSize = Annotated[int, typer.Option("--batch-size", min=1, help="Texts at once.")]
ReadAtOnce = Annotated[
    int | None,
    typer.Option("--batch-size", min=1, help="Texts at once; else 32, or more on a GPU."),
]
MaxNewTokens = Annotated[int, typer.Option("--max-new-tokens", min=1, help="Longest response, in tokens.")]
Device = Annotated[str, typer.Option("--device", help="auto, or a device as torch names it.")]
Dtype = Annotated[str, typer.Option("--dtype", help="auto, float32, bfloat16 or float16.")]
Revision = Annotated[str | None, typer.Option("--revision", help="Revision of a hub id.")]
TrustRemoteCode = Annotated[
    bool, typer.Option("--trust-remote-code", help="Run code that a hub model brings along.")
]
LoadIn4bit = Annotated[
    bool, typer.Option("--load-in-4bit", help="The backbone's blocks in NF4 (bitsandbytes, on a GPU).")
]
ShardBackbone = Annotated[
    bool,
    typer.Option(
        "--shard-backbone", help="Spread the frozen backbone over the launched processes (docs/scale.md)."
    ),
]
Texts = Annotated[list[str] | None, typer.Option("--text", help="A text; may stand several times.")]
Input = Annotated[
    str | None,
    typer.Option("--input", help="A file of texts (.txt, .jsonl, .csv, .tsv, .parquet) or a hub dataset id."),
]
CacheDir = Annotated[
    Path | None,
    typer.Option(
        "--cache-dir", help="Where work is kept for resuming; else WORKBENCH_CACHE or ~/.cache/workbench."
    ),
]


def gather_texts(
    texts: list[str] | None, source: str | None, column: str | None, limit: int | None = None
) -> TextTable:
    """The texts of `--text` or `--input`; UsageError unless exactly one of them is given."""
    if bool(texts) == bool(source):
        raise UsageError("give either --text or --input")
    if source:
        return read_texts(source, column, limit=limit)
    if column is not None:
        raise UsageError("--column belongs to --input")
    given = list(texts or [])[:limit]
    if any(not text.strip() for text in given):
        raise UsageError("a --text is empty")
    return TextTable(given, [{} for _ in given], "--text", "text", {})


def check_output(path: Path, suffixes: tuple[str, ...]) -> None:
    """Raises UsageError for an output that could not be written, before any work is done."""
    if path.suffix not in suffixes:
        raise UsageError(f"the output must end in {' or '.join(suffixes)}, not {path.name!r}")
    if path.is_dir():
        raise UsageError(f"the output is a directory: {path}")
    check_parent(path)


def check_folder(path: Path) -> None:
    """Raises UsageError for a folder that a training could not write, or where it would replace files of another's."""
    if path.exists() and not path.is_dir():
        raise UsageError(f"the output is a file: {path}")
    check_parent(path / "config.json")
    taken = [name for name in ARTIFACT if (path / name).exists()]
    if taken and not (path / "run.json").is_file() and not _is_ours(path / "config.json"):
        raise UsageError(
            f"{path} holds a {' and a '.join(taken)} that `workbench train` did not write: choose another output"
        )


def _is_ours(config: Path) -> bool:
    try:
        values = read_json(config)
    except (OSError, WorkbenchError):
        return False
    return isinstance(values, dict) and "schema" in values


def check_parent(path: Path) -> None:
    """Raises UsageError where the nearest folder above `path` that exists is a file or not writable."""
    nearest = next(folder for folder in path.absolute().parents if folder.exists())
    if not nearest.is_dir():
        raise UsageError(f"cannot write {path}: {nearest} is not a directory")
    if not os.access(nearest, os.W_OK):
        read_only = hasattr(os, "statvfs") and os.statvfs(nearest).f_flag & os.ST_RDONLY  # not on Windows
        reason = f"the disk of {nearest} is read-only" if read_only else f"no permission in {nearest}"
        raise UsageError(f"cannot write {path}: {reason}")


def with_flags(
    *configs: Any, skip: tuple[str, ...] = ()
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorates a command that takes instances of `configs`: their fields become its flags.

    A field's docstring is its help. A field that two classes share is one flag, explained by the first of them, and
    goes to both; `skip` names fields that are no flags and keep their defaults.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        hints = get_type_hints(command, include_extras=True)
        takers = {name: hint for name, hint in hints.items() if hint in configs}
        flags: dict[str, inspect.Parameter] = {}
        for config in configs:
            for field in fields(config):
                if field.name not in skip:
                    flags.setdefault(field.name, flag_of(config, field))

        def call(**values: Any) -> Any:
            given = {name: values.pop(name) for name in flags}
            made = {name: _made(config, given) for name, config in takers.items()}
            return command(**values, **made)

        own = [
            parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY)
            for name, parameter in inspect.signature(command).parameters.items()
            if name not in takers
        ]
        parameters = [*own, *flags.values()]
        call.__doc__, call.__name__ = command.__doc__, command.__name__
        call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return call

    return decorate


def flag_of(config: type[Config], field: Field[Any]) -> inspect.Parameter:
    """The flag of one field: its type, its default, its docstring as help."""
    option = typer.Option(help=config.help().get(field.name))
    annotation = Annotated[get_type_hints(config)[field.name], option]
    keyword = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(field.name, keyword, default=field.default, annotation=annotation)


def _made(config: Any, given: dict[str, Any]) -> Any:
    return config(**{field.name: given[field.name] for field in fields(config) if field.name in given})
