"""Texts on the map: the shipped atlas, stores, and what users bring; their points, clusters and directions are kept."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from workbench.atlas import points as known
from workbench.atlas.sample import Sample, stratified
from workbench.errors import UsageError
from workbench.ui.loaders.atlases import atlas
from workbench.ui.loaders.embedders import Source as Embedding
from workbench.ui.loaders.embedders import is_default, loaded
from workbench.ui.loaders.readings import read
from workbench.ui.neighbourhoods.source import Method, Pointing, Projection, Source, Sources

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.atlas.corpus import Corpus, Held
    from workbench.atlas.directions import Directions
    from workbench.atlas.named import Named
    from workbench.atlas.points import Points
    from workbench.atlas.search import Search
    from workbench.atlas.store import Store
    from workbench.decoding.trust import Readings
    from workbench.embedders.baselines import Teacher

METHODS: dict[Method, Any] = {"k-means": "kmeans", "HDBSCAN": "hdbscan"}
ASKED = 150
"""Texts of a source whose directions are measured."""


def map_sources(at: Embedding) -> Sources:
    """How the map's texts are opened for one embedder."""
    from workbench.atlas.corpus import hold

    return Sources(partial(_shipped, at), partial(_opened, at), hold, partial(_embedded, at))


def _shipped(at: Embedding) -> Source:
    if not is_default(at):
        raise UsageError(
            "the shipped atlas holds the default embedder's vectors, not those of the one in the sidebar: open a "
            "store that it built, or bring your own file"
        )
    made = atlas()
    points, key = _atlas_points(made.facts.embedder, made), f"atlas {made.facts.embedder}"
    return Source(
        key,
        points,
        own=lambda text: read(text, at),
        read=lambda row: known.atlas_reading(made, row),
        near=lambda vector, k, where: (
            points.near(vector, k)
            if where is None
            else _atlas_search(key, points).nearest(vector, k, where=where)
        ),
        let=lambda where: _let(_atlas_search(key, points).store, points, where),
        clusters=lambda method, size: _clusters(at, key, method, size, points, None),
        direction=lambda found: _direction(at, found),
        directions=lambda: _shipped_directions(at, key, points),
        others=made.facts.shuffled,
    )


def _opened(at: Embedding, uri: str) -> Source:
    from pathlib import Path

    from workbench.atlas.store import open_store

    if "://" in uri:
        raise UsageError(
            f"the app opens stores of this machine alone, not {uri}; the command line opens others"
        )
    store = open_store(str(Path(uri).expanduser()))
    key = f"store {store.uri} {store.facts.source_hash} {store.table.version}"
    return _of_store(at, key, store, _store_points(at, key, store, known.MOST))


def _embedded(
    at: Embedding, held: Held, column: str, progress: Callable[[int, int], Any]
) -> Callable[[Projection], Source]:
    """A session keeps what this returns, and with it the temporary folder of its file."""
    from workbench.atlas.corpus import embedded

    model = loaded(at)
    corpus = embedded(held, model.embedder, column, progress=progress, turn=lambda: model.lock)
    return lambda projection: _of_corpus(at, corpus, projection)


def _of_corpus(at: Embedding, corpus: Corpus, projection: Projection) -> Source:
    key = f"corpus {corpus.store.uri} {projection}"
    if projection == "UMAP":
        from workbench.atlas.maps import map_of
        from workbench.atlas.plans import MapPlan

        map_of(corpus.store, MapPlan())
    source = _of_store(at, key, corpus.store, _store_points(at, key, corpus.store, known.MOST))
    return replace(source, says=corpus.says())


def _of_store(at: Embedding, key: str, store: Store, points: Points) -> Source:
    plain = store.facts.soft_prompts is None and store.facts.instruction is None
    again = plain and not store.facts.reading.get(
        "vector_column"
    )  # GEM keeps no soft prompts: it reads once more
    return Source(
        key,
        points,
        own=lambda text: _own(at, text, store.facts.instruction),
        read=lambda row: read(points.texts[row], at) if again else _row(at, key, points.ids[row], store),
        near=lambda vector, k, where: _search(key, store).nearest(vector, k, where=where),
        let=lambda where: _let(store, points, where),
        clusters=lambda method, size: _clusters(at, key, method, size, points, store),
        direction=lambda found: _direction(at, found),
        directions=lambda: _store_directions(at, key, points, store),
    )


def _let(store: Store, points: Points, where: str) -> list[int]:
    """The points that a filter lets through, in order."""
    found = (points.rows.get(name) for batch in store.scan(["id"], where) for name in batch["id"].to_pylist())
    return sorted(row for row in found if row is not None)


@st.cache_resource(show_spinner=False, max_entries=2)
def _atlas_points(embedder: str, _atlas: Any) -> Points:
    return known.of_atlas(_atlas)


@st.cache_resource(show_spinner=False, max_entries=3)
def _store_points(at: Embedding, key: str, _store: Store, most: int) -> Points:
    _store.check(loaded(at).embedder)
    return known.of_store(_store, most)


@st.cache_resource(show_spinner=False, max_entries=2)
def _atlas_search(key: str, _points: Points) -> Search:
    """The shipped atlas as a store in memory, for filters."""
    from workbench.atlas.named import in_memory
    from workbench.atlas.search import Search

    return Search(in_memory(_points))


@st.cache_resource(show_spinner=False, max_entries=3)
def _search(key: str, _store: Store) -> Search:
    from workbench.atlas.search import Search

    return Search(_store)


@st.cache_data(show_spinner=False, max_entries=500)
def _own(at: Embedding, text: str, instruction: str | None) -> Readings:
    model = loaded(at)
    with model.lock:
        return known.own_reading(model.embedder, text, instruction)


@st.cache_data(show_spinner=False, max_entries=500)
def _row(at: Embedding, key: str, id: str, _store: Store) -> Readings:
    model = loaded(at)
    with model.lock:
        return known.store_readings(model.embedder, _store, [id])


@st.cache_resource(show_spinner=False, max_entries=8)
def _clusters(at: Embedding, key: str, method: Method, size: int, _points: Points, _store: Any) -> Named:
    """Clusters with their sentences; `_store` keeps the soft prompts, without it the shipped atlas does."""
    from workbench.atlas.named import named

    model = loaded(at)
    with model.lock:
        return named(model.embedder, _points, METHODS[method], size, atlas() if _store is None else _store)


@st.cache_resource(show_spinner=False, max_entries=1)
def _teacher(at: Embedding) -> Teacher:
    from workbench.atlas.directions import teacher_of

    return teacher_of(loaded(at).embedder)


def _direction(at: Embedding, found: Readings) -> Directions:
    return _directed(at, found.texts, found.decoded, found.responses, found.embeddings)


@st.cache_data(show_spinner=False, max_entries=500)
def _directed(
    at: Embedding, texts: list[str], decoded: list[str], responses: list[str], embeddings: np.ndarray
) -> Directions:
    from workbench.atlas.directions import directions

    teacher = _teacher(at)
    with loaded(at).lock:
        return directions(embeddings, texts, decoded, responses, teacher)


@st.cache_resource(show_spinner=False, max_entries=2)
def _shipped_directions(at: Embedding, key: str, _points: Points) -> Pointing:
    made, sample = atlas(), _asked(_points)
    rows = sample.rows.tolist()
    texts, decoded, responses = (
        [column[row] for row in rows] for column in (made.texts, made.decoded, made.responses)
    )
    return Pointing(_directed(at, texts, decoded, responses, made.embeddings[sample.rows]), sample)


@st.cache_resource(show_spinner=False, max_entries=3)
def _store_directions(at: Embedding, key: str, _points: Points, _store: Store) -> Pointing:
    _teacher(at)  # before the work: where there is none, that is said at once
    sample, model = _asked(_points), loaded(at)
    with model.lock:
        found = known.store_readings(
            model.embedder, _store, [_points.ids[row] for row in sample.rows.tolist()]
        )
    return Pointing(_direction(at, found), sample)


def _asked(points: Points) -> Sample:
    """Some points, in proportion by their first metadata column of few values."""
    for values in points.metadata.values():
        labels = ["" if value is None else str(value) for value in values]
        if len(set(labels)) <= ASKED // 4:
            return stratified(labels, ASKED)
    return stratified([""] * len(points), ASKED)
