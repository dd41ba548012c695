"""Both sides of a comparison: embedders on the same texts, steps of a run; vectors, maps and figures are kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import streamlit as st

from workbench.atlas import compared_texts
from workbench.atlas.comparison import approach, compare, maps
from workbench.errors import UsageError
from workbench.files import shipped
from workbench.ui.compare.source import Decoded, Opened, Projection, Side, Watched
from workbench.ui.loaders.atlases import atlas, has_atlas
from workbench.ui.loaders.embedders import Source, is_default, loaded, shipped_embedders, source
from workbench.ui.loaders.readings import read

if TYPE_CHECKING:
    from workbench.atlas.compared_texts import ComparedTexts
    from workbench.atlas.comparison import Comparison, LaidMap, Nearness
    from workbench.training.watched import Watch

Sets = Callable[[], list[np.ndarray]]
BATCH = 64
"""Texts that are embedded between two looks at the progress."""


class Part(NamedTuple):
    """The vectors of some texts `[b, d_e]`, and how many of the texts lost their tail."""

    vectors: np.ndarray
    truncated: int


def open_comparison(name: str, at: Source, others: Sequence[str]) -> Opened:
    """What can be compared with the embedder of the sidebar; `others` are the names to choose from."""
    from workbench.atlas.corpus import hold

    return Opened(
        name=name,
        others=others,
        atlas=lambda: compared_texts.of_atlas(atlas()),
        hold=hold,
        texts=compared_texts.of_file,
        side=lambda other, texts, progress: _side(other or name, _named(other) if other else at, texts, progress),
        compared=lambda left, right: _compared(left.key, right.key, left.vectors, right.vectors),
        maps=lambda left, right, drawn: _maps((left.key, right.key), drawn, lambda: [left.vectors, right.vectors]),
        runs=watched_runs(),
        watch=_watched,
    )  # fmt: skip


def watched_runs() -> list[str]:
    """The runs below `runs/` and those that ship that were watched, the one that logged last first."""
    from workbench.training.history import runs_below
    from workbench.training.watched import is_watched

    roots = [Path("runs")]
    with suppress(UsageError):  # nothing ships here; runs of one's own may be there
        roots.append(shipped())
    here = Path.cwd()
    found = [path for path in runs_below(roots) if is_watched(path)]
    return [str(path.relative_to(here) if path.is_relative_to(here) else path) for path in found]


def _named(name: str) -> Source:
    return source(shipped_embedders().get(name, name))


def _side(name: str, at: Source, texts: ComparedTexts, progress: Callable[[int, int], Any]) -> Side:
    truncated = 0
    if is_default(at) and has_atlas() and texts.texts == atlas().texts:
        vectors = atlas().embeddings
    else:
        parts = []
        for start in range(0, len(texts), BATCH):
            parts.append(_embedded(at, tuple(texts.texts[start : start + BATCH])))
            progress(min(start + BATCH, len(texts)), len(texts))
        vectors = np.concatenate([part.vectors for part in parts])
        truncated = sum(part.truncated for part in parts)
    return Side(
        Path(name).name,
        f"{at} {texts.key}",
        vectors,
        decoded=lambda row: _decoded(at, texts.texts[row]),
        own=lambda text: read(text, at),
        says=f"{truncated:,} texts were too long for {Path(name).name} and lost their tail" if truncated else "",
    )  # fmt: skip


def _decoded(at: Source, text: str) -> Decoded:
    found = read(text, at)
    return Decoded(
        found.decoded[0], found.responses[0], float(found.round_trip[0]), "the embedding of the decoded text"
    )


def _watched(folder: str) -> Watched:
    from workbench.training.watched import read_watch

    watch = read_watch(folder)
    if not watch.steps:
        raise UsageError(f"{folder} holds no vectors yet: the first are written before training begins")
    known, last = _state(watch), watch.steps[-1]
    texts = compared_texts.of_watch(watch.texts)
    vectors = partial(_step, known, _watch=watch)
    return Watched(
        texts,
        watch.steps,
        side=lambda step: Side(
            f"Step {step:,}", f"{known} {step}", vectors(step), decoded=lambda row: _sample(watch, step, row)
        ),
        approach=lambda: _approach(known, lambda: [vectors(step) for step in watch.steps]),
        maps=lambda: _maps((known,), "PCA", lambda: [vectors(step) for step in [last, *watch.steps]])[1:],
    )


def _state(watch: Watch) -> str:
    """Tells what was watched so far from what was watched before or of another run."""
    files = sorted((watch.folder / "watch").iterdir())
    return f"{watch.folder.resolve()} {[(path.name, path.stat().st_mtime_ns) for path in files]}"


def _sample(watch: Watch, step: int, row: int) -> Decoded | None:
    """What a watched text decoded to at a step; None where it was not decoded then."""
    wanted = watch.texts[row].row
    for sample in watch.samples:
        if (sample.step, sample.row) == (step, wanted):
            return Decoded(
                sample.decoded, sample.response, sample.cosine, "the teacher’s vector of the response"
            )
    return None


@st.cache_data(show_spinner=False, max_entries=400)
def _embedded(at: Source, texts: tuple[str, ...]) -> Part:
    model = loaded(at)
    with model.lock:
        found = model.embedder.represent(texts, batch_size=32)
    return Part(found.embedding.numpy(), found.truncated)


@st.cache_resource(show_spinner=False, max_entries=20)
def _compared(left: str, right: str, _left: np.ndarray, _right: np.ndarray) -> Comparison:
    return compare(_left, _right)


@st.cache_resource(show_spinner=False, max_entries=20)
def _maps(keys: tuple[str, ...], projection: Projection, _sets: Sets) -> list[LaidMap]:
    return maps(_sets(), projection)


@st.cache_resource(show_spinner=False, max_entries=20)
def _approach(known: str, _sets: Sets) -> list[Nearness]:
    sets = _sets()
    return approach(sets, sets[-1])


@st.cache_data(show_spinner=False, max_entries=400)
def _step(known: str, step: int, _watch: Watch) -> np.ndarray:
    return _watch.vectors(step)
