"""Figures as files: PDF and SVG with their fonts inside and selectable text, the same bytes when made again."""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from workbench.disk import atomic_paths
from workbench.errors import UsageError
from workbench.figures.paper import style, table
from workbench.figures.paper.results import results_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from workbench.figures.paper.figure import PaperFigure

KINDS = ("pdf", "svg", "png")
_CLOSE = "<defs>\n"


class Face(NamedTuple):
    """One font of a figure as CSS names it, and the file that matplotlib takes it from."""

    family: str
    weight: str
    slant: str
    file: str


def write_figure(
    figure: PaperFigure,
    results: dict[str, Any],
    folder: Path,
    width: float,
    kinds: Sequence[str] = ("pdf", "svg"),
) -> list[Path]:
    """Draws a figure into `folder`, with its results and its table beside it: all its files are replaced, or none."""
    drawn = figure.drawn(results, width)
    files: dict[str, bytes] = {kind: as_bytes(drawn, kind) for kind in kinds}
    if (found := figure.tabled(results)) is not None:
        files |= {"tex": table.latex(found).encode(), "md": table.markdown(found).encode()}
    files["json"] = results_bytes(results)
    paths = [folder / f"{figure.name}.{kind}" for kind in files]
    with atomic_paths(paths) as temporaries:
        for temporary, content in zip(temporaries, files.values(), strict=True):
            temporary.write_bytes(content)
    return paths


def as_bytes(figure: Figure, kind: str) -> bytes:
    """A figure as a PDF, SVG or PNG file, without a date; UsageError for another kind."""
    if kind not in KINDS:
        raise UsageError(f"a figure is written as {', '.join(KINDS)}, not {kind}")
    undated = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {}}[kind]
    whole = BytesIO()
    with style.applied():
        figure.savefig(whole, format=kind, metadata=undated)
    if kind != "svg":
        return whole.getvalue()
    return _with_fonts(whole.getvalue().decode("utf-8"), figure).encode("utf-8")


def _with_fonts(svg: str, figure: Figure) -> str:
    """The SVG with the letters that it uses of each font inside."""
    faces = "\n".join(_face(face, letters) for face, letters in sorted(_letters(figure).items()))
    before, found, behind = svg.partition(_CLOSE)
    assert found, "matplotlib's SVG has a block of definitions"
    return f'{before}{_CLOSE}  <style type="text/css">\n{faces}\n  </style>\n{behind}'


def _letters(figure: Figure) -> dict[Face, str]:
    """The letters of every font in the figure, sorted."""
    from matplotlib.font_manager import findfont
    from matplotlib.text import Text

    found: dict[Face, set[str]] = defaultdict(set)
    with style.applied():
        for text in figure.findobj(Text):
            if isinstance(text, Text) and text.get_text():
                font = text.get_fontproperties()
                heavy = str(font.get_weight()) in ("bold", "700", "heavy", "semibold", "600")
                face = Face(
                    font.get_name(), "bold" if heavy else "normal", str(font.get_style()), findfont(font)
                )
                found[face] |= set(text.get_text()) - {"\n"}
    return {face: "".join(sorted(letters)) for face, letters in found.items()}


def _face(face: Face, letters: str) -> str:
    """A CSS rule with the subset of a font as WOFF."""
    from fontTools import subset
    from fontTools.ttLib import TTFont

    options = subset.Options(layout_features=[], hinting=False, recalc_timestamp=False)
    options.drop_tables = [*options.drop_tables, "FFTM", "GSUB", "GPOS", "GDEF", "MATH", "kern"]
    font = TTFont(face.file, recalcTimestamp=False)
    chosen = subset.Subsetter(options)
    chosen.populate(text=letters)
    chosen.subset(font)
    font.flavor = "woff"
    whole = BytesIO()
    font.save(whole)
    data = base64.b64encode(whole.getvalue()).decode("ascii")
    return (
        f"@font-face {{ font-family: '{face.family}'; font-weight: {face.weight}; font-style: {face.slant}; "
        f"src: url(data:font/woff;base64,{data}) format('woff'); }}"
    )
