"""Whether the Hugging Face hub can be reached, asked once, so that a machine without a network fails in a second."""

from __future__ import annotations

import os
from functools import lru_cache
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen


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
