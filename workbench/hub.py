"""How the Hugging Face hub is reached, and whether: asked once, so that no network means a second, not a wait."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen


class HubAccess(NamedTuple):
    """How a repository of the hub is read: `from_pretrained`'s options of the same names."""

    token: str | bool | None = None
    """A token, False for none; None is the one that `hf auth login` saved."""
    cache_dir: str | Path | None = None
    """Where downloads are kept; None is the hub's own cache."""
    local_files_only: bool = False
    """Read that cache alone; so it is anyway where the hub is out of reach."""

    def options(self) -> dict[str, Any]:
        """The arguments for the hub's client; asks whether the hub is in reach."""
        return {**self._asdict(), "local_files_only": self.local_files_only or not hub_reachable()}


def fetch_command(repository: str, revision: str | None = None, cache_dir: str | Path | None = None) -> str:
    """The command that brings a repository into the cache, as a user types it where the hub is in reach."""
    parts = [f"--revision {revision}"] if revision else []
    parts += [f"--cache-dir {cache_dir}"] if cache_dir else []
    return " ".join(["hf download", repository, *parts])


def commit_of(repository: str, file: str, revision: str | None, cache_dir: str | Path | None) -> str | None:
    """The commit that a repository's `file` was read at, which its place in the cache says; None for no such place."""
    from huggingface_hub import try_to_load_from_cache

    place = try_to_load_from_cache(repository, file, cache_dir=cache_dir, revision=revision)
    return Path(place).parent.name if isinstance(place, str) else None


@lru_cache(maxsize=1)
def hub_reachable(timeout: float = 4.0) -> bool:
    """Ask the hub's address once in a process; every answer, an error page too, counts as reachable.

    `HF_ENDPOINT`, the proxies of the environment and `HF_HUB_OFFLINE=1` are respected. The hub's own client
    repeats every failed look-up five times, 25 seconds each: pass `local_files_only=not hub_reachable()` to it.
    """
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        return False
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    try:
        with urlopen(Request(endpoint, method="HEAD"), timeout=timeout):
            return True
    except HTTPError:
        return True
    except (URLError, OSError, ValueError):
        return False
