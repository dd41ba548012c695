"""What the lens commands share: their flags, and the embedder and the text that these name."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli import options, say
from workbench.config import Config
from workbench.errors import UsageError

if TYPE_CHECKING:
    from workbench.embedders.base import Embedder
    from workbench.lenses.reading import LensReading

Text = Annotated[str, typer.Argument(help="The text to look into.", show_default=False)]
Layers = Annotated[
    str | None,
    typer.Option("--layers", help="Which, such as 0,4,-1 (0: the input rows, -1: the last); else all."),
]
FIGURES = (".html", ".png", ".pdf", ".svg")
FigurePath = Annotated[
    Path | None,
    typer.Option("--figure", help="Also draw it: .html to look at, .png, .pdf or .svg to print."),
]
TopK = Annotated[int, typer.Option("--k", min=1, help="Tokens for each special token.")]


@dataclass(frozen=True)
class Look(Config):
    """Whose states are looked at, and where the result goes; every lens command has these flags."""

    embedder: str | None = None
    """A folder or a hub id of an embedder; the shipped default without it."""
    backbone: str | None = None
    """Instead of the one the embedder names."""
    json: bool = False
    """Print one JSON object instead of a table."""
    output: Path | None = None
    """Also write the result as .parquet."""
    device: str = "auto"
    """auto, or a device as torch names it."""
    dtype: str = "auto"
    """auto, float32, bfloat16 or float16."""
    trust_remote_code: bool = False
    """Run code that a hub model brings along."""

    def __post_init__(self) -> None:
        if self.output is not None:
            options.check_output(self.output, (".parquet",))

    def open(self) -> "Embedder":
        """The embedder that the flags name, loaded."""
        from workbench.embedders.artifact import load_embedder

        return load_embedder(
            self.embedder,
            backbone=self.backbone,
            device=self.device,
            dtype=self.dtype,
            trust_remote_code=self.trust_remote_code,
        )

    def give(self, values: dict[str, Any], table: str, save: Callable[[Path], Any]) -> None:
        """Print `values` as JSON or the table, and `save` to the output where one is asked for."""
        print(json.dumps(values, ensure_ascii=False) if self.json else table)
        if self.output is not None:
            save(self.output)
            say.note(f"written to {self.output}")


def checked_text(text: str) -> str:
    """The text; UsageError where it is empty."""
    if not text.strip():
        raise UsageError("the text is empty")
    return text


def layer_numbers(layers: str | None) -> list[int] | None:
    """ "0,4,-1" as numbers; None where no flag was given. UsageError for what is no number."""
    if layers is None:
        return None
    parts = [part.strip() for part in layers.split(",")]
    if not all(part.removeprefix("-").isdecimal() for part in parts):
        raise UsageError(f"--layers are numbers such as 0,4,-1, not {layers!r}")
    return [int(part) for part in parts]


def table_of(reading: "LensReading", k: int | None = None) -> str:
    """A reading as lines: one for each layer and special token, its tokens with their scores, novel words marked *."""
    lines = [f"{reading.lens} lens, {reading.score_name}; * the word does not occur in the text"]
    for place, layer in enumerate(reading.layers):
        lines.append(f"layer {layer}")
        for number, label in enumerate(reading.labels):
            cells = [
                f"{token}{'*' if new else ''} {score:.2f}"
                for token, new, score in zip(
                    reading.tokens[place][number][:k],
                    reading.novel[place, number],
                    reading.scores[place, number],
                    strict=False,
                )
            ]
            lines.append(f"  {label:<4} {'  '.join(cells)}")
    return "\n".join(lines)


def plain_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns side by side, as wide as their widest cell."""
    cells = [[str(cell) for cell in row] for row in [head, *rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    lines = ("  ".join(map(str.ljust, row, widths)) for row in cells)
    return "\n".join(line.rstrip() for line in lines)


def write_figure(path: Path, interactive: Callable[[], Any], printed: Callable[[], Any]) -> None:
    """Draw into a file: plotly for .html, matplotlib for the others, fonts inside and the same bytes each time."""
    if path.suffix != ".html":
        write_print(path, printed)
        return
    from workbench.disk import atomic_path

    with atomic_path(path) as temporary:
        interactive().write_html(temporary)
    say.note(f"drawn into {path}")


def write_print(path: Path, printed: Callable[[], Any]) -> None:
    """Draw into a .pdf, .svg or .png file by matplotlib."""
    from workbench.disk import atomic_path
    from workbench.figures.paper.export import as_bytes

    with atomic_path(path) as temporary:
        temporary.write_bytes(as_bytes(printed(), path.suffix[1:]))
    say.note(f"drawn into {path}")
