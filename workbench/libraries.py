"""The installed versions that a file records, so that what was measured or saved can be made again."""

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version


def versions(names: Iterable[str], absent: str = "source") -> dict[str, str]:
    """The version of each library; `absent` for one that is not installed, as a checkout is not."""
    return {name: _version(name) or absent for name in names}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
