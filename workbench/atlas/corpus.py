"""A corpus that someone brings along: a file becomes a store in a temporary folder, bounded, and gone with it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.atlas.build import Built, Make, build, facts_of, make_with
from workbench.atlas.entries import source_of
from workbench.atlas.layout import check_metadata
from workbench.atlas.store import Store, open_store
from workbench.atlas.stream import survey
from workbench.errors import UsageError, WorkbenchError
from workbench.texts import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.atlas.store import Made
    from workbench.embedders.base import Embedder

ROWS = 5_000
"""Rows of a corpus that are read; the others are counted."""
KINDS = ("csv", "tsv", "jsonl", "parquet", "txt")


@dataclass(frozen=True)
class Held:
    """A file in a temporary folder, which goes when this does, and what it holds."""

    folder: tempfile.TemporaryDirectory
    name: str
    """What its owner calls it; on the disk it has a name of ours."""
    path: Path
    rows: int
    columns: list[str]
    column: str | None
    """The column with the texts, where its name says so or there is but one."""


@dataclass(frozen=True)
class Corpus:
    """A held file as a store."""

    held: Held
    store: Store
    built: Built
    kept_out: list[str]
    """Columns that a store cannot keep as metadata."""

    def says(self) -> str:
        """What was read and what was left out, in one line."""
        built, left = self.built, self.held.rows - self.built.rows - sum(self.built.left_out.values())
        said = [f"{built.rows:,} of {self.held.rows:,} rows of {self.held.name}"]
        said += [f"{count:,} left out: {reason}" for reason, count in built.left_out.items()]
        said += [f"{left:,} left out: only the first {built.rows:,} good rows are read"] if left > 0 else []
        said += [f"{built.truncated:,} texts lost their tail"] if built.truncated else []
        said += [
            f"without the column {name!r}, whose name a store keeps for itself" for name in self.kept_out
        ]
        return "; ".join(said)


def hold(name: str, data: bytes) -> Held:
    """Writes the file `name` into a new temporary folder and looks it over.

    Raises UsageError for a type that is not read, WorkbenchError for a file that is empty or not of its type.
    """
    suffix = Path(name).suffix.lower()
    if suffix.removeprefix(".") not in KINDS:
        raise UsageError(f"cannot read {name}: a corpus is one of {', '.join('.' + kind for kind in KINDS)}")
    folder = tempfile.TemporaryDirectory(prefix="workbench-")
    path = Path(folder.name) / f"corpus{suffix}"
    path.write_bytes(data)
    with _named(path, name):
        found = survey(path)
    if not found.rows or not found.columns:
        raise WorkbenchError(
            f"{name} is empty" if not found.rows else f"{name} holds no row that can be read"
        )
    columns = list(found.columns)
    likely = next((column for column in COLUMNS if column in columns), None)
    only = columns[0] if len(columns) == 1 else None
    return Held(folder, name, path, found.rows, columns, likely or only)


def embedded(
    held: Held,
    embedder: Embedder,
    column: str,
    *,
    progress: Callable[[int, int], Any] | None = None,
    turn: Callable[[], AbstractContextManager[Any]] = nullcontext,
    limit: int = ROWS,
) -> Corpus:
    """Embeds the column `column` of a held file into a store beside it; bad rows are left out and counted.

    `progress(done, total)` counts rows; `turn()` is entered around every batch, for those who share a model.
    Raises UsageError for a column that is not there, WorkbenchError where no row is good.
    """
    others = [name for name in held.columns if name not in (column, "id")]
    metadata = [name for name in others if _storable(name)]
    with _named(held.path, held.name):
        source = source_of(held.path, column=column, metadata=metadata, limit=limit)
        uri = str(Path(held.folder.name) / "store")
        make = make_with(embedder, None)
        if turn is not None:
            make = _in_turn(make, turn)
        facts = facts_of(embedder, source, None)
        built = build(uri, source, facts, make, progress=progress)
    return Corpus(held, open_store(uri, embedder), built, [name for name in others if name not in metadata])


def _storable(name: str) -> bool:
    try:
        check_metadata([name], "")
    except UsageError:
        return False
    return True


def _in_turn(make: Make, turn: Callable[[], AbstractContextManager[Any]]) -> Make:
    def made(texts: list[str]) -> Made:
        with turn():
            return make(texts)

    return made


@contextmanager
def _named(path: Path, name: str) -> Iterator[None]:
    """While open, errors say what the file is called, not where it lies."""
    try:
        yield
    except WorkbenchError as error:
        kind = UsageError if isinstance(error, UsageError) else WorkbenchError
        raise kind(str(error).replace(str(path), name)) from error
