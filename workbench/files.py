"""What files say, hashes of their content, and where the shipped default lies; `disk.atomic_path` writes them."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from workbench.disk import atomic_path
from workbench.errors import UsageError, WorkbenchError

PACKAGE = Path(__file__).resolve().parent


def write_json(path: Path | str, obj: Any) -> None:
    """Writes `obj` as JSON atomically: sorted keys, two spaces, trailing newline."""
    with atomic_path(path) as temporary:
        temporary.write_text(json_text(obj), encoding="utf-8")


def json_text(obj: Any) -> str:
    """`obj` as `write_json` writes it."""
    return json.dumps(obj, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def check_inside(names: Iterable[Any], where: str) -> None:
    """Raises WorkbenchError that begins with `where` for a name, read from a file, that leads out of its own folder."""
    for name in names:
        if not isinstance(name, str) or not _stays_inside(name):
            raise WorkbenchError(f"{where} names {str(name)[:80]!r}, which is no file of its own folder")


def _stays_inside(name: str) -> bool:
    path, depth = PurePosixPath(name.replace("\\", "/")), 0
    for part in path.parts:
        depth += -1 if part == ".." else 1
        if depth < 0:
            return False
    return not path.is_absolute() and ":" not in name


def parse_json(text: str | bytes, where: str) -> Any:
    """The value that JSON says. Raises WorkbenchError that begins with `where` for what is no JSON.

    Nor is what is not UTF-8, nested too deeply, or holds a number of more digits than Python reads.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WorkbenchError(f"{where}: not valid JSON ({error})") from error


def read_json(path: Path | str) -> Any:
    """The value in a JSON file; raises as `parse_json`."""
    return parse_json(Path(path).read_bytes(), str(path))


def read_settings(path: Path | str, otherwise: str, schema: int | None = None) -> dict[str, Any]:
    """The object in a JSON file, of this schema where it has one.

    Raises WorkbenchError as `parse_json`, where it is no object or names no schema ("PATH `otherwise`: ..."), and for
    another schema.
    """
    values = read_json(path)
    if not isinstance(values, dict):
        raise WorkbenchError(f"{path} {otherwise}: it holds no settings by name")
    if schema is not None and "schema" not in values:
        raise WorkbenchError(f"{path} {otherwise}: it names no schema")
    if schema is not None and values["schema"] != schema:
        raise WorkbenchError(f"{path}: schema {values['schema']!r:.80}, but this version reads {schema}")
    return values


@contextmanager
def parquet_errors(path: Path | str) -> Iterator[None]:
    """While open, whatever pyarrow says of a damaged or foreign file becomes one WorkbenchError that names it."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        reason = " ".join(str(error).split())[:120]
        raise WorkbenchError(f"{path}: not a parquet file, or a damaged one ({reason})") from error


@contextmanager
def named_if_damaged(where: Path | str) -> Iterator[None]:
    """While open, values of `where` that are missing or of another kind become one WorkbenchError that names it.

    For what is made of a file's values right there: nothing else may be done in the block.
    """
    try:
        yield
    except KeyError as error:
        raise WorkbenchError(f"{where} is damaged: {error} is missing") from error
    except (TypeError, ValueError, AttributeError, IndexError, OverflowError, RecursionError) as error:
        raise WorkbenchError(f"{where} is damaged: {' '.join(str(error).split())[:200]}") from error


def measured(obj: Any) -> Any:
    """`obj` as JSON can say it: None where a number is NaN, that is, where there was nothing to measure."""
    if isinstance(obj, dict):
        return {key: measured(value) for key, value in obj.items()}
    if isinstance(obj, list | tuple):
        return [measured(value) for value in obj]
    return None if isinstance(obj, float) and obj != obj else obj


def hash_bytes(*parts: str | bytes) -> str:
    """SHA-256 of the parts as hex; each part's length counts, so ("ab", "c") and ("a", "bc") differ."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


def hash_file(path: Path | str) -> str:
    """SHA-256 of a file's bytes as hex (what `sha256sum` prints)."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_tree(directory: Path | str) -> str:
    """Hash of every file below a directory, names included, in sorted order; raises UsageError if it is none."""
    root = Path(directory)
    if not root.is_dir():
        raise UsageError(f"not a directory: {root}")
    files = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}
    return hash_bytes(*(part for name in sorted(files) for part in (name, hash_file(files[name]))))


def shipped(*parts: str) -> Path:
    """The path of a shipped default, such as `shipped("fieldguide", "model")`.

    Looks where WORKBENCH_DATA points, then in `data/` beside the package (a checkout), then inside the wheel.
    Raises UsageError that names every place looked at.
    """
    roots = [PACKAGE.parent / "data", PACKAGE / "_data"]
    if named := os.environ.get("WORKBENCH_DATA"):
        roots.insert(0, Path(named).expanduser())
    places = [root.joinpath(*parts) for root in roots]
    for place in places:
        if place.exists():
            return place
    raise UsageError(
        f"the shipped {'/'.join(parts) or 'data'} is not there; looked at {', '.join(map(str, places))}"
    )


def cache_folder(named: Path | None = None) -> Path:
    """The folder of the caches: as named, else WORKBENCH_CACHE, else `workbench` in the user's cache folder."""
    if named is not None:
        return named
    if environment := os.environ.get("WORKBENCH_CACHE"):
        return Path(environment).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "workbench"
