"""`python -m benchmarks [name ...]` runs every benchmark of this folder (or those named) with its defaults.

`python -m benchmarks official plain growth && python -m benchmarks.report` is what docs/benchmarks.md begins with.
"""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from pathlib import Path

HELPERS = {"runner", "wire", "memory", "report", "growth_figure", "__main__"}
HELPERS |= {"official_model", "official_ours", "official_worker", "beside", "agreement"}
NAMED = {"official"}
"""Run only where they are named: they need more than this project (its own docstring says what)."""


def main(names: list[str]) -> int:
    """Each benchmark is a module that runs on its own, in a process of its own; returns the first exit code not 0."""
    folder = Path(__file__).resolve().parent
    known = [found.name for found in pkgutil.iter_modules([str(folder)]) if found.name not in HELPERS]
    if unknown := sorted(set(names) - set(known)):
        raise SystemExit(f"no benchmark {', '.join(unknown)}; there are {', '.join(known)}")
    commands = ([sys.executable, "-m", f"benchmarks.{name}"] for name in names or sorted(set(known) - NAMED))
    return next((code for command in commands if (code := subprocess.call(command, cwd=folder.parent))), 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
