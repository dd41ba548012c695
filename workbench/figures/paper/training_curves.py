"""A training run: its losses, how near its watched queries come, and what they decode to on the way."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any, NamedTuple

from workbench.figures import palette
from workbench.figures.paper import intervals, style
from workbench.figures.paper.figure import PaperFigure
from workbench.figures.paper.needs import Many, Maybe

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOSSES = {
    "loss_align": ("alignment", palette.OKABE_ITO[0]),
    "loss_recon": ("reconstruction", palette.OKABE_ITO[5]),
}
LINE = style.SMALLEST * 1.45 / 72
"""Inches from one line of text to the next."""
INDENT = 0.42
"""Inches that steps take before what is decoded at them."""

NEEDS = {
    "losses": Many({"step": int, **dict.fromkeys(LOSSES, Maybe(float))}),
    "watched": Many({"step": int, "cosine": float, "low": float, "high": float, "exact": float}),
    "samples": Many({"query": str, "response": str, "decoded": Many({"step": int, "text": str})}),
}


class Line(NamedTuple):
    """A line of the samples: what stands at the left edge, and the text behind it."""

    left: str
    text: str
    colour: str


def draw(results: dict[str, Any], width: float) -> Figure:
    """Losses and watched queries above, decoded samples below."""
    data = results["data"]
    narrow = width < style.NARROW
    lines = _lines(data["samples"], width)
    above, below = 3.0 if narrow else 1.6, (len(lines) + 2) * LINE
    figure = style.sheet(width, above + below)
    share = below / (above + below)
    engine = figure.get_layout_engine()
    assert engine is not None  # a sheet lays itself out
    engine.set(rect=(0, share, 1, 1 - share))  # pyright: ignore[reportCallIssue]
    panels = figure.subplots(*((2, 1) if narrow else (1, 2)), squeeze=False).ravel()
    _losses(panels[0], data["losses"])
    _watched(panels[1], data["watched"])
    for axes in panels:
        axes.set_xlabel("step")
        axes.set_xlim(0, data["watched"][-1]["step"])
        intervals.keep_inside(axes)
    style.panel_letters(panels, ["losses", "watched queries"])
    _write(figure, lines)
    return figure


def _losses(axes: Axes, rows: list[dict[str, Any]]) -> None:
    for key, (name, colour) in LOSSES.items():
        axes.plot([row["step"] for row in rows], [row[key] for row in rows], color=colour, label=name)
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    ticks = [tick for tick in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10) if low <= tick <= high]
    axes.set_yticks(ticks)
    axes.yaxis.set_major_formatter(lambda tick, _: f"{tick:g}")
    axes.set_yticks([], minor=True)
    axes.grid(visible=True, axis="y")
    axes.legend(loc="best")


def _watched(axes: Axes, rows: list[dict[str, Any]]) -> None:
    steps = [row["step"] for row in rows]
    axes.fill_between(
        steps, [row["low"] for row in rows], [row["high"] for row in rows], color=palette.OKABE_ITO[0],
        alpha=0.18, linewidth=0,
    )  # fmt: skip
    axes.plot(
        steps, [row["cosine"] for row in rows], color=palette.OKABE_ITO[0], label="cosine with the target"
    )
    axes.plot(
        steps, [row["exact"] for row in rows], color=palette.OKABE_ITO[2], linestyle=(0, (4, 1.5)),
        label="decoded = response",
    )  # fmt: skip
    axes.set_ylim(min(0.0, *(row["low"] for row in rows)), 1.02)
    axes.grid(visible=True, axis="y")
    axes.legend(loc="lower right")


def _lines(samples: list[dict[str, Any]], width: float) -> list[Line]:
    """The samples as lines that fit: each query, what it decodes to at each step, and the response, then a gap."""
    lines = []
    letters = style.letters_in(width - INDENT - 0.1) - 2
    for sample in samples:
        lines += _wrapped("query", sample["query"], letters, palette.ink())
        for decoded in sample["decoded"]:
            right = decoded["text"] == sample["response"]
            colour = palette.OKABE_ITO[2] if right else palette.muted()
            lines += _wrapped(f"{decoded['step']:,}", decoded["text"] or "(nothing)", letters, colour)
        lines += [*_wrapped("response", sample["response"], letters, palette.OKABE_ITO[0]), Line("", "", "")]
    return lines[:-1]


def _wrapped(left: str, text: str, letters: int, colour: str) -> list[Line]:
    parts = textwrap.wrap(" ".join(text.split()), letters, max_lines=2, placeholder=" …") or [""]
    return [Line(left if number == 0 else "", part, colour) for number, part in enumerate(parts)]


def _write(figure: Figure, lines: list[Line]) -> None:
    """The lines at the foot of the figure, the last one at its bottom."""
    width, height = figure.get_size_inches()
    small: dict[str, Any] = {"fontsize": style.SMALLEST, "va": "bottom"}
    title = "(c) decoded at the steps"
    figure.text(0.01, (len(lines) + 0.5) * LINE / height, title, fontsize=style.NORMAL, va="bottom")
    for number, line in enumerate(reversed(lines)):
        up = (number + 0.2) * LINE / height
        figure.text(INDENT / width, up, line.left, ha="right", color=palette.muted(), **small)
        figure.text((INDENT + 0.06) / width, up, line.text, color=line.colour or palette.ink(), **small)


FIGURE = PaperFigure(
    "training_curves",
    "A training, and what its queries decode to",
    "LLM2Vec-Gen's training of {steps:,} steps of {batch} queries. (a) Both losses, means of {every} steps; "
    "alignment is the squared error ({reduction} over dimensions). (b) {samples} watched queries of the training "
    "corpus, looked at {looks} times: the mean cosine of their embeddings with {teacher}'s vectors of the model's "
    "responses (band: 95 % bootstrap interval over the queries), and the share that decodes to the response word "
    "by word. (c) What the first {shown} of them, in the corpus' order, decode to (green: the response itself).",
    "python -m analyses.training_curves",
    draw,
    NEEDS,
)  # fmt: skip
