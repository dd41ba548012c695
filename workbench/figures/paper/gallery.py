"""The page of the docs that shows every figure with its caption and its command."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workbench.disk import atomic_path
from workbench.figures.paper.figure import PaperFigure
from workbench.figures.paper.results import FOLDER

HEAD = """# Figures

Drawn from the results files in `data/figures` by `python -m analyses.figures` (`make figures`), which measures on the
shipped default whatever is missing or older than it. `workbench figure NAME --venue neurips --width column` draws one
of them for a paper of yours, `--results FILE` from results of yours. Each file has its data (`.json`) and a PDF beside
it; brackets hold 95 % intervals.
"""


def write_gallery(path: Path, drawn: Sequence[tuple[PaperFigure, dict[str, Any]]]) -> None:
    """Writes the page atomically; figures are linked where they lie, in `../data/figures` as seen from the page."""
    parts = [HEAD, *(_part(number, *one) for number, one in enumerate(drawn, 1))]
    with atomic_path(path) as temporary:
        temporary.write_text("\n".join(parts), encoding="utf-8")


def _part(number: int, figure: PaperFigure, results: dict[str, Any]) -> str:
    where = f"../data/{FOLDER}/{figure.name}"
    kinds = ["pdf", "svg", "json", *(["tex"] if figure.table else [])]
    links = ", ".join(f"[{kind}]({where}.{kind})" for kind in kinds)
    return f"""## {number}. {figure.title}

![{figure.title}]({where}.svg)

{_escaped(figure.said(results))} ({links})

```bash
{figure.command}
workbench figure {figure.name}
```
"""


def _escaped(text: str) -> str:
    """Texts in a caption are data: Markdown leaves them alone."""
    return re.sub(r"([\\`*_<>|\[\]])", r"\\\1", text)
