"""Clusters: found when they are asked for, named by what the language model says at their centres."""

from __future__ import annotations

import math
from typing import cast

import streamlit as st

from workbench.atlas.named import Named
from workbench.ui import parts, state
from workbench.ui.neighbourhoods import selection
from workbench.ui.neighbourhoods.source import Method, Source

WANTED = "clusters"
SIZES = {"k-means": ("How many", 12), "HDBSCAN": ("Smallest", 8)}
COLOURED = 8
SMALLER, OUTSIDE = "smaller clusters", "in none"
NOTE = (
    "What the language model says when it reads each cluster’s centre alone, with the cosine between the two (and "
    "with the others’ sentences). Choose one to select its texts."
)

UNREAD = "Their centres cannot be read, since no soft prompts are kept of these texts."


def find(source: Source) -> Named | None:
    """Draws how clusters are found, and finds them; None where they cannot be, with one line that says why."""
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        method = st.segmented_control(
            "Clusters by", list(SIZES), default="k-means", key="method", bind="query-params", required=True
        )
        label, size = SIZES[method]
        most = max(2, min(200, len(source.points)))
        count = st.number_input(
            label, 2, most, min(size, most), key=f"size-{method}", bind="query-params", width=120
        )
    with state.told(), st.spinner("Finding clusters and reading their centres …", show_time=True):
        return source.clusters(cast("Method", method), int(count))
    return None


def labels(named: Named, count: int) -> list[str]:
    """Each point's cluster as the map's legend names it; the smaller clusters, and what is in none, share a name."""
    found = [OUTSIDE] * count
    for number, cluster in enumerate(named.clusters):
        name = title(named, number) if number < COLOURED else SMALLER
        for row in cluster.rows.tolist():
            found[row] = name
    return found


def title(named: Named, number: int) -> str:
    """A cluster's number with its first words."""
    terms = ", ".join(named.clusters[number].terms[:2])
    return f"{number + 1} {terms}" if terms else f"{number + 1}"


def show(source: Source, named: Named) -> None:
    """The clusters, largest first: what each says, how far to trust that, and the words that set it apart."""
    if not named.clusters:
        parts.empty("No clusters: too few texts lie close together. Try k-means, or a smaller size.")
        return
    inside = sum(len(cluster.rows) for cluster in named.clusters)
    outside = len(named.sample) - inside
    said = f"{len(named.clusters)} clusters" + (f"; {outside:,} texts are in none" if outside else "")
    parts.show(parts.key(said) + parts.note(NOTE if named.centres else UNREAD))
    with st.container(height=560, border=False, gap="small", key="clusters"):
        for number in range(len(named.clusters)):
            _entry(source, named, number)


def _entry(source: Source, named: Named, number: int) -> None:
    cluster, centres = named.clusters[number], named.centres
    says = (
        title(named, number) if centres is None else f"{number + 1} {centres.decoded[number] or '(nothing)'}"
    )
    rows = [int(row) for row in cluster.rows]
    st.button(
        state._plain(says),
        key=f"cluster-{number}",
        type="tertiary",
        on_click=selection.choose,
        args=(source.key, rows),
    )
    trust = (
        [] if centres is None else [_trust(float(centres.round_trip[number]), float(centres.others[number]))]
    )
    parts.show(parts.note(" · ".join([f"{len(rows):,} texts", *trust, ", ".join(cluster.terms)])))


def _trust(cosine: float, others: float) -> str:
    against = "" if math.isnan(others) else f" (others {parts.cosine(others)})"
    return f"cosine {parts.cosine(cosine)}{against}"
