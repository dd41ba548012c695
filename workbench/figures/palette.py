"""Colours and text for figures: safe for colour-blind readers, on light and on dark ground."""

import html
import textwrap
from collections import Counter
from collections.abc import Sequence

OKABE_ITO = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#7F7F7F", "#B3A100")
"""Okabe and Ito (2008) for white ground: black became a grey, yellow became darker."""
_ON_DARK = {"#0072B2": "#3A8DDE", "#56B4E9": "#A5DBFA", "#7F7F7F": "#A0A0A0", "#B3A100": "#F0E442"}

SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "star")
"""Colours repeat from the ninth group on; then the shape differs, which is enough to tell them apart."""

_LIGHT = ((0.0, "#FFFFFF"), (0.15, "#DCEBF5"), (0.5, "#56A5D6"), (1.0, "#00446B"))
_DARK = ((0.0, "#16181C"), (0.15, "#17344A"), (0.5, "#2F86BF"), (1.0, "#C9E8FB"))
_TWO_LIGHT = ((0.0, "#7A3300"), (0.25, "#DE8A3E"), (0.5, "#FFFFFF"), (0.75, "#56A5D6"), (1.0, "#00446B"))
_TWO_DARK = ((0.0, "#FFD7AD"), (0.25, "#BC6A22"), (0.5, "#16181C"), (0.75, "#2F86BF"), (1.0, "#C9E8FB"))
_RAMP_LIGHT = ((0.0, "#A9D3EC"), (0.5, "#2E86C1"), (1.0, "#002A45"))
_RAMP_DARK = ((0.0, "#1D567F"), (0.5, "#4FA3DB"), (1.0, "#DDF1FF"))


def colour(index: int, dark: bool = False) -> str:
    """The colour of the index-th group."""
    name = OKABE_ITO[index % len(OKABE_ITO)]
    return _ON_DARK.get(name, name) if dark else name


def symbol(index: int) -> str:
    """The marker shape of the index-th group."""
    return SYMBOLS[index // len(OKABE_ITO) % len(SYMBOLS)]


def sequential(dark: bool = False) -> list[list]:
    """A plotly colour scale from the ground's own colour (nothing) to a strong blue (much)."""
    return [list(stop) for stop in (_DARK if dark else _LIGHT)]


def diverging(dark: bool = False) -> list[list]:
    """A plotly colour scale around nothing, which is the ground's own colour: below it orange, above it blue."""
    return [list(stop) for stop in (_TWO_DARK if dark else _TWO_LIGHT)]


def ink_on(share: float, dark: bool = False) -> str:
    """The colour of letters on a cell of the `sequential` scale (share from 0 to 1), with a contrast of 4 or more."""
    on_bright = share > 0.45 if dark else share <= 0.62
    return "#101114" if on_bright else "#FFFFFF"


def ink(dark: bool = False) -> str:
    """The colour of lines and letters."""
    return "#E8E6E1" if dark else "#23262B"


def muted(dark: bool = False) -> str:
    """The colour of lines and letters that stand back."""
    return "#9AA0A8" if dark else "#6A7078"


def ground(dark: bool = False) -> str:
    """The colour behind a figure."""
    return "#16181C" if dark else "#FFFFFF"


def label(text: str, width: int = 48, lines: int = 6) -> str:
    """A text for plotly's labels: escaped (plotly reads tags), wrapped, and cut after `lines` lines."""
    wrapped = textwrap.wrap(" ".join(text.split()), width, max_lines=lines, placeholder=" …") or [""]
    return "<br>".join(html.escape(line) for line in wrapped)


def groups(labels: Sequence[str]) -> list[str]:
    """The different labels, the most frequent first; ties in alphabetical order."""
    counts = Counter(labels)
    return sorted(counts, key=lambda name: (-counts[name], name))


def ramp(dark: bool = False) -> list[list]:
    """A plotly colour scale for points: unlike `sequential`, its low end stands out from the ground."""
    return [list(stop) for stop in (_RAMP_DARK if dark else _RAMP_LIGHT)]
