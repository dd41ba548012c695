"""A training run over its steps: losses with the learning rate below them, and how its decoded samples come along."""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from workbench.figures import palette

RATE, TOTAL = "learning_rate", "loss"
NAMES = {
    TOTAL: "loss",
    "loss_align": "alignment",
    "loss_recon": "reconstruction",
    "loss_ntp": "next token",
    "loss_contrastive": "contrastive",
    "loss_prompts": "soft prompts",
    "loss_recon_teacher": "reconstruction of the teacher’s vectors",
    "loss_mntp": "masked next token",
    "loss_simcse": "SimCSE",
}
SHARED, COSINE = "words shared with the response", "cosine with the teacher’s vector"
DASHES = ("solid", "dash", "dot", "dashdot")


def losses(rows: Sequence[Mapping[str, float | int]], *, log: bool = False, dark: bool = False) -> go.Figure:
    """A line for every loss that the run logged, named at its end, and the learning rate in a strip of its own.

    `rows` are lines of log.jsonl; `log` draws the losses on a logarithmic axis, which leaves out those that are not
    above 0. Without rows the figure is empty.
    """
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.78, 0.22], vertical_spacing=0.06)
    for number, name in enumerate(loss_names(rows)):
        colour, dash = palette.colour(number, dark), DASHES[number % len(DASHES)]
        line = {"color": colour, "width": 3 if name == TOTAL else 2, "dash": dash}
        figure.add_trace(_line(rows, name, label(name), line), row=1, col=1)
    if any(RATE in row for row in rows):
        line = {"color": palette.muted(dark), "width": 2}
        figure.add_trace(_line(rows, RATE, "learning rate", line, legend=False), row=2, col=1)
    _lay_out(figure, 470, "training", dark)
    figure.update_yaxes(title_text="loss", type="log" if log else "linear", row=1, col=1)
    figure.update_yaxes(title_text="rate", rangemode="tozero", nticks=3, exponentformat="power", row=2, col=1)
    figure.update_xaxes(title_text="step", separatethousands=True, row=2, col=1)
    return figure


def loss_names(rows: Sequence[Mapping[str, float | int]]) -> list[str]:
    """The losses among what was logged: the total first, the others in alphabetical order."""
    found = {name for row in rows for name in row if name == TOTAL or name.startswith("loss_")}
    return sorted(found, key=lambda name: (name != TOTAL, name))


def label(name: str) -> str:
    """A loss's name in words."""
    return NAMES.get(name, name.removeprefix("loss_").replace("_", " "))


def _line(
    rows: Sequence[Mapping[str, float | int]], name: str, shown: str, line: dict, *, legend: bool = True
) -> go.Scatter:
    kept = [row for row in rows if isinstance(row.get(name), int | float)]
    return go.Scatter(
        x=[row["step"] for row in kept],
        y=[row[name] for row in kept],
        mode="lines+markers" if len(kept) < 3 else "lines",
        name=palette.label(shown, 30, 1),
        line=line,
        showlegend=legend,
        hovertemplate=f"step %{{x:,}}: %{{y:.3g}}<extra>{palette.label(shown, 30, 1)}</extra>",
    )


def samples(
    steps: Sequence[int],
    shared: Sequence[float | None],
    cosine: Sequence[float | None],
    *,
    dark: bool = False,
) -> go.Figure:
    """How close decoded samples are to their responses over the steps: words shared, cosine with the teacher's vector.

    Each is a line where it is known at some step.
    """
    figure = go.Figure()
    lines = ((SHARED, shared), (COSINE, cosine))
    for number, (name, values) in enumerate(lines):
        known = [(step, value) for step, value in zip(steps, values, strict=True) if value is not None]
        if known:
            line = {"color": palette.colour(number, dark), "width": 2, "dash": DASHES[number]}
            figure.add_scatter(
                x=[step for step, _ in known],
                y=[value for _, value in known],
                mode="lines+markers",
                name=name,
                line=line,
                marker={"size": 6},
                hovertemplate=f"step %{{x:,}}: %{{y:.2f}}<extra>{name}</extra>",
            )
    _lay_out(figure, 240, "samples", dark)
    figure.update_xaxes(title_text="step", separatethousands=True)
    figure.update_yaxes(title_text="mean", nticks=5)
    figure.update_layout(showlegend=True)
    return figure


def _lay_out(figure: go.Figure, height: int, revision: str, dark: bool) -> None:
    """What both figures look like; a zoom stays while the `revision` does."""
    axis = {
        "gridcolor": "rgba(128,128,128,.22)",
        "zeroline": False,
        "linecolor": palette.muted(dark),
        "tickfont": {"color": palette.muted(dark), "size": 12},
        "title": {"font": {"color": palette.muted(dark), "size": 13}},
    }
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis)
    figure.update_layout(
        height=height,
        uirevision=revision,
        margin={"l": 0, "r": 0, "t": 28, "b": 0},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        hovermode="x unified",
        dragmode="zoom",
        hoverlabel={"bgcolor": palette.ground(dark), "font": {"color": palette.ink(dark), "size": 13}},
        legend={
            "orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0,
            "font": {"size": 13, "color": palette.ink(dark)},
        },
    )  # fmt: skip
