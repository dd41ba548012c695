"""How much memory a piece of work needs above what was held before, measured in the process that does it.

Imports neither this project nor its libraries: the official package's interpreter measures by it too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

STATUS, FORGET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak(work: Callable[[], Any], cuda: Any = None) -> dict[str, float]:
    """MB held before `work`, and the peak while it ran; of the GPU where `cuda` is torch's module for it.

    On a CPU: the resident memory of the process. Linux forgets its peak when 5 is written to clear_refs.
    """
    if cuda is not None:
        cuda.synchronize()
        cuda.reset_peak_memory_stats()
        before = cuda.memory_allocated() / 2**20
        work()
        cuda.synchronize()
        return {"before": before, "peak": cuda.max_memory_allocated() / 2**20}
    before = resident("VmRSS")
    FORGET.write_text("5")
    work()
    return {"before": before, "peak": resident("VmHWM")}


def resident(which: str) -> float:
    """VmRSS (now) or VmHWM (the peak) of this process, in MB."""
    found = re.search(rf"{which}:\s+(\d+) kB", STATUS.read_text())
    if found is None:
        raise RuntimeError(f"{STATUS} does not say {which}")
    return int(found[1]) / 1024
