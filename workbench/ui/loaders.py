"""What the app keeps in memory: the embedder, the atlas, and readings; the only file with Streamlit's caches.

Nothing heavy is imported here before it is needed: the map opens without torch.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from workbench.errors import UsageError
from workbench.files import cache_folder, hash_file, shipped

if TYPE_CHECKING:
    from workbench.atlas.prebuilt import Atlas
    from workbench.decoding.badge import Badge, Judge
    from workbench.decoding.trust import Readings
    from workbench.embedders.base import Embedder
    from workbench.lenses.attention import SpecialAttention


NAMES = {"llm2vec-gen": "LLM2Vec-Gen", "gem": "GEM"}
"""The methods' names as people write them, by the folder of the shipped embedder."""


@dataclass(frozen=True)
class Source:
    """Which embedder, where and how: the key of everything that is kept of it."""

    path: str
    device: str
    dtype: str
    fingerprint: str
    """Hash of the artifact's config.json, which holds the hashes of its weights and its backbone."""


def source(path: Path | None = None, device: str = "auto", dtype: str = "auto") -> Source:
    """The shipped default, or the embedder at `path`. Raises UsageError where there is none."""
    path = path or shipped("embedders", "llm2vec-gen")
    if not (path / "config.json").is_file():
        raise UsageError(f"{path} is no embedder: it has no config.json")
    return Source(str(path), device, dtype, hash_file(path / "config.json"))


def atlas() -> Atlas:
    """The shipped atlas. Raises UsageError where there is none."""
    path = shipped("atlas", "default.parquet")
    return _atlas(str(path), path.stat().st_mtime_ns)


def has_atlas() -> bool:
    """Whether an atlas is shipped at all; two of three pages do without it."""
    try:
        shipped("atlas", "default.parquet")
    except UsageError:
        return False
    return True


def read(text: str, path: Path | None = None) -> Readings:
    """One text's reading by the shipped default, or by the embedder at `path`.

    Raises FingerprintMismatch where the atlas is another embedder's than the default.
    """
    return _read(source(path), text)


def judge(reading: Readings, path: Path | None = None) -> Badge | None:
    """How far to trust one text's reading by the shipped default, or by the embedder at `path`; None where no soft
    prompts were read. What trust means is measured at the first call in the life of the cache folder."""
    if reading.soft_prompts is None:
        return None
    at = source(path)
    loaded, judging = _loaded(at), _judge(at)
    with loaded.lock:
        return judging.badges(reading.soft_prompts, reading.decoded)[0]


def attend(text: str, path: Path | None = None) -> SpecialAttention:
    """One text's attention in the shipped default, or in the embedder at `path`."""
    return _attend(source(path), text)


def shipped_embedders() -> dict[str, Path]:
    """The embedders that ship, by the name of their method; the default first."""
    default = shipped("embedders", "llm2vec-gen")
    others = sorted(path for path in default.parent.iterdir() if (path / "config.json").is_file())
    return {NAMES.get(path.name, path.name): path for path in [default, *(p for p in others if p != default)]}


@dataclass(frozen=True)
class Loaded:
    """A model in memory and the lock that lets one session at a time use it (attention switches its kernels)."""

    embedder: Embedder
    lock: threading.Lock


@st.cache_resource(show_spinner="Loading the language model …", max_entries=2)
def _loaded(source: Source) -> Loaded:
    from workbench.atlas.prebuilt import check_fingerprint
    from workbench.embedders.artifact import load_embedder

    embedder = load_embedder(source.path, device=source.device, dtype=source.dtype)
    if has_atlas() and Path(source.path) == shipped("embedders", "llm2vec-gen"):
        check_fingerprint(atlas(), embedder)
    return Loaded(embedder, threading.Lock())


@st.cache_resource(show_spinner=False, max_entries=2)
def _atlas(path: str, changed: int) -> Atlas:
    from workbench.atlas.prebuilt import load

    return load(path)


@st.cache_data(show_spinner=False, max_entries=500)
def _read(source: Source, text: str) -> Readings:
    from workbench.decoding import trust

    loaded = _loaded(source)
    with loaded.lock:
        return trust.read(loaded.embedder, [text])


@st.cache_resource(show_spinner=False, max_entries=2)
def _judge(source: Source) -> Judge:
    from workbench.decoding.badge import Judge
    from workbench.decoding.reference import load_reference

    loaded = _loaded(source)
    with loaded.lock:
        return Judge(loaded.embedder, load_reference(loaded.embedder, cache_dir=cache_folder()))


@st.cache_resource(show_spinner=False, max_entries=8)
def _attend(source: Source, text: str) -> SpecialAttention:
    from workbench.lenses.attention import special_attention

    loaded = _loaded(source)
    with loaded.lock:
        return special_attention(loaded.embedder, text)
