"""`python -m benchmarks [name ...]` runs every benchmark of this folder (or those named) with its defaults."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from pathlib import Path

HELPERS = {"runner", "__main__"}


def main(names: list[str]) -> int:
    """Each benchmark is a module that runs on its own, in a process of its own; returns the first exit code not 0."""
    folder = Path(__file__).resolve().parent
    known = [found.name for found in pkgutil.iter_modules([str(folder)]) if found.name not in HELPERS]
    if unknown := sorted(set(names) - set(known)):
        raise SystemExit(f"no benchmark {', '.join(unknown)}; there are {', '.join(known)}")
    commands = ([sys.executable, "-m", f"benchmarks.{name}"] for name in names or known)
    return next((code for command in commands if (code := subprocess.call(command, cwd=folder.parent))), 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
