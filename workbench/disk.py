"""What is written is whole or absent, and an error of the disk says where it happened."""

import errno
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import takewhile
from pathlib import Path

from workbench.errors import WorkbenchError

_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)


@contextmanager
def atomic_path(target: Path | str) -> Iterator[Path]:
    """Gives a temporary sibling of `target` to write to, as a file or as a directory that the caller makes.

    Leaving the block flushes what was written to the disk, readable as any new file is, and puts it in the place of
    `target`; an error (or Ctrl-C) removes it and leaves `target` as it was. The temporary keeps the suffix of `target`,
    which some writers look at. Parent folders are made, and are gone again where nothing came to lie in them.
    Raises FileNotFoundError where the block wrote nothing; an error of the disk, a full one's say, names `target`.
    """
    with atomic_paths([target]) as [temporary]:
        yield temporary


@contextmanager
def atomic_paths(targets: Iterable[Path | str]) -> Iterator[list[Path]]:
    """As `atomic_path`, for files that belong together: none is replaced before all are written and on the disk.

    They are put in their places one after the other, in their order: only a kill right then leaves some new, some old.
    An error of the disk that does not say which file it met names the first one's folder.
    """
    paths = [Path(target) for target in targets]
    places = {
        path.with_name(f".{path.stem}.{secrets.token_hex(4)}.partial{path.suffix}"): path for path in paths
    }
    missing = [folder for path in paths for folder in _missing(path.parent)]
    try:
        with _of_targets(places), disk_errors(paths[0] if len(paths) == 1 else paths[0].parent):
            for target in paths:
                target.parent.mkdir(parents=True, exist_ok=True)
            yield list(places)
            for temporary in places:
                _open_to_readers(temporary)
                _flush(temporary)
            for temporary, target in places.items():
                _replace(temporary, target)
    finally:
        for temporary in places:
            _remove(temporary)
        for folder in missing:
            with suppress(OSError):  # it is not empty, as it should be
                folder.rmdir()


@contextmanager
def disk_errors(where: Path) -> Iterator[None]:
    """While open, an error of the disk that does not say where it happened names `where`: no error of a write does.

    Raises WorkbenchError for numpy's, which does not say what happened either.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None and " requested and " in str(error):  # "93 requested and 0 written"
            raise WorkbenchError(f"{where} cannot be written (is the disk full?): {error}") from error
        if error.errno in _OF_THE_DISK and error.filename is None:
            error.filename = str(where)
        raise


def _missing(folder: Path) -> list[Path]:
    """The folder and those above it that are not there, the deepest first."""
    return list(takewhile(lambda above: not above.exists(), [folder, *folder.parents]))


@contextmanager
def _of_targets(places: Mapping[Path, Path]) -> Iterator[None]:
    """While open, an OSError that names a temporary names the target, as `places` has them."""
    try:
        yield
    except OSError as error:
        for temporary, target in places.items():
            if str(error.filename).startswith(str(temporary)):
                error.filename = str(target) + str(error.filename).removeprefix(str(temporary))
        raise


def _open_to_readers(path: Path) -> None:
    """Gives what was written the permissions of any new file: safetensors makes files that only their owner reads."""
    umask = os.umask(0)
    os.umask(umask)
    for file in [path, *path.rglob("*")] if path.is_dir() else [path]:
        if file.is_file() and not file.is_symlink():
            file.chmod(0o666 & ~umask)


def _flush(path: Path) -> None:
    """Forces a file, or every file below a directory, onto the disk."""
    for file in [path] if not path.is_dir() else [p for p in path.rglob("*") if p.is_file()]:
        with open(file, "rb") as handle:
            os.fsync(handle.fileno())


def _replace(temporary: Path, target: Path) -> None:
    """Renames; an old directory steps aside first and comes back if the rename fails."""
    if not (target.is_dir() and not target.is_symlink()):
        temporary.replace(target)
        return
    aside = target.with_name(f".{target.name}.{secrets.token_hex(4)}.old")
    target.rename(aside)
    try:
        temporary.rename(target)
    except BaseException:
        aside.rename(target)
        raise
    shutil.rmtree(aside)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()
