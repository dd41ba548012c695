"""What stands on a map beside its points: a ringed point with its neighbours, the user's own text, arrows."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float

from workbench.figures import palette

TOGETHER = 0.07
"""On a map from -1 to 1, about what a disc covers."""


def add_neighbourhood(
    figure: go.Figure, centre: Float[np.ndarray, " 2"], others: Float[np.ndarray, "k 2"], dark: bool
) -> None:
    """A ring around the point looked at, smaller ones around its neighbours, and lines between them."""
    path = np.array([point for other in others for point in (centre, other, (np.nan, np.nan))])
    if len(path):
        line = {"color": palette.ink(dark), "width": 1}
        figure.add_scatter(
            x=path[:, 0],
            y=path[:, 1],
            mode="lines",
            line=line,
            opacity=0.45,
            hoverinfo="skip",
            showlegend=False,
        )
    rings = [(centre, 20, 2.5), *((other, 14, 1.2) for other in others)]
    figure.add_scatter(
        x=[place[0] for place, _, _ in rings],
        y=[place[1] for place, _, _ in rings],
        mode="markers",
        marker={
            "symbol": "circle-open",
            "size": [size for _, size, _ in rings],
            "color": palette.ink(dark),
            "line": {"width": [width for _, _, width in rings]},
        },
        hoverinfo="skip",
        showlegend=False,
    )


def add_own(figure: go.Figure, own: tuple[str, Float[np.ndarray, " 2"]], row: int, dark: bool) -> None:
    """The user's own text as a star whose customdata is `row`."""
    text, place = own
    figure.add_scatter(
        x=[place[0]],
        y=[place[1]],
        mode="markers+text",
        name="your text",
        customdata=[row],
        text=["<b>your text</b>"],
        textposition="top center",
        # an edge of the ground's colour: the words stay legible on top of points
        textfont={
            "color": palette.ink(dark),
            "size": 13,
            "shadow": ", ".join([f"0 0 3px {palette.ground(dark)}"] * 4),
        },
        hovertext=[f"<b>{palette.label(text)}</b>"],
        hovertemplate="%{hovertext}<extra>your text</extra>",
        marker={
            "symbol": "star",
            "size": 19,
            "color": palette.ink(dark),
            "line": {"width": 1, "color": palette.ground(dark)},
        },
        showlegend=False,
        selected={"marker": {"opacity": 1}},
        unselected={"marker": {"opacity": 1}},
    )


def add_arrows(
    figure: go.Figure, stops: Sequence[tuple[str, str, Float[np.ndarray, " 2"]]], dark: bool
) -> None:
    """Places (name, text, place) as numbered discs, each joined to the next by an arrow.

    Places that would cover each other share a disc.
    """
    found = discs([place for _, _, place in stops])
    for one, next_one in pairwise(found):
        start, end = stops[one[0]][2], stops[next_one[0]][2]
        figure.add_annotation(
            x=float(end[0]), y=float(end[1]), ax=float(start[0]), ay=float(start[1]),
            xref="x", yref="y", axref="x", ayref="y", arrowhead=3, arrowsize=1.4, arrowwidth=1.8,
            arrowcolor=palette.ink(dark), standoff=11, startstandoff=11, text="",
        )  # fmt: skip
    for disc in found:
        said = [f"<b>{palette.label(stops[row][0])}</b><br>{palette.label(stops[row][1])}" for row in disc]
        figure.add_scatter(
            x=[float(stops[disc[0]][2][0])],
            y=[float(stops[disc[0]][2][1])],
            mode="markers+text",
            text=["<b>" + " ".join(str(row + 1) for row in disc) + "</b>"],
            textfont={"color": palette.ground(dark), "size": 12},
            hovertext=["<br>".join(said)],
            hovertemplate="%{hovertext}<extra></extra>",
            marker={
                "size": 15 + 7 * len(disc),
                "color": palette.ink(dark),
                "line": {"width": 1.5, "color": palette.ground(dark)},
            },
            showlegend=False,
            selected={"marker": {"opacity": 1}},
            unselected={"marker": {"opacity": 1}},
        )


def discs(places: Sequence[np.ndarray]) -> list[list[int]]:
    """The numbers of the places in order, those together that lie closer to the one before than a disc is wide."""
    found: list[list[int]] = []
    for row, place in enumerate(places):
        if found and float(np.linalg.norm(place - places[found[-1][0]])) < TOGETHER:
            found[-1].append(row)
        else:
            found.append([row])
    return found
