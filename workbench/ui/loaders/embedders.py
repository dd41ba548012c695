"""Which embedders are in memory: at most two, each kept by where it lies, its device, its dtype and its hashes."""

from __future__ import annotations

import gc
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import streamlit as st

from workbench.errors import UsageError, WorkbenchError
from workbench.files import hash_bytes, hash_file, shipped
from workbench.ui.loaders.atlases import atlas, has_atlas

if TYPE_CHECKING:
    from workbench.decoding.badge import Judge
    from workbench.embedders.base import Embedder
    from workbench.embedders.lifter import Lifter

NAMES = {"llm2vec-gen": "LLM2Vec-Gen", "gem": "GEM"}
"""The methods' names as people write them, by the folder of the shipped embedder."""
MOST = 2
"""Models in memory; of a third one, the first goes."""


@dataclass(frozen=True)
class Source:
    """Which embedder, where and how: the key of everything that is kept of it."""

    path: str
    device: str
    dtype: str
    fingerprint: str
    """Hash of the artifact's config.json, which holds the hashes of its weights and its backbone."""
    backbone: str | None = None
    """Instead of the one that the embedder names."""


@dataclass(eq=False)
class Loaded:
    """A model in memory, and the lock that lets one session at a time use it (attention switches its kernels)."""

    embedder: Embedder
    lock: threading.Lock
    judges: dict[Lifter | None, Judge] = field(default_factory=dict)
    """Of its own readings (None), and of those through lifters; made when the first reading is judged."""
    lifters: dict[tuple[str, str], Lifter] = field(default_factory=dict)
    """Those that read its pooled vectors, by folder and hash."""


_IN_MEMORY: WeakValueDictionary[Source, Loaded] = WeakValueDictionary()


def source(
    path: Path | str | None = None, device: str = "auto", dtype: str = "auto", backbone: str | None = None
) -> Source:
    """The shipped default, or the embedder in the folder `path`, or behind that hub id (which downloads it).

    Raises UsageError where there is none.
    """
    folder = shipped("embedders", "llm2vec-gen") if path is None else Path(path).expanduser()
    if not folder.is_dir():
        folder = _from_hub(str(path))
    return Source(str(folder), device, dtype, _fingerprint(folder), backbone or None)


def shipped_embedders() -> dict[str, Path]:
    """The embedders that ship, by the name of their method; the default first."""
    default = shipped("embedders", "llm2vec-gen")
    others = sorted(path for path in default.parent.iterdir() if (path / "config.json").is_file())
    return {NAMES.get(path.name, path.name): path for path in [default, *(p for p in others if p != default)]}


def is_default(at: Source) -> bool:
    """Whether this is the shipped default, on its own backbone."""
    return at.backbone is None and Path(at.path) == shipped("embedders", "llm2vec-gen")


def loaded(source: Source) -> Loaded:
    """The embedder in memory. Raises FingerprintMismatch where it does not fit its backbone, or the default its atlas,
    WorkbenchError where it is damaged."""
    model = _loaded(source)
    _IN_MEMORY[source] = model
    return model


def in_memory(source: Source) -> bool:
    """Whether this embedder is in memory now."""
    return source in _IN_MEMORY


def unload(source: Source) -> None:
    """Lets go of an embedder and all that hangs on it; what is being read with it is read to its end."""
    _loaded.clear(source)  # pyright: ignore[reportFunctionMemberAccess]
    _IN_MEMORY.pop(source, None)


def unload_folder(name: str) -> None:
    """`unload` for all that is in memory of a folder or a hub id, whatever its backbone."""
    folder = str(Path(name).expanduser())
    if not Path(folder).is_dir():
        try:
            folder = str(_from_hub(name))
        except WorkbenchError:  # it never was there
            return
    for source in [kept for kept in list(_IN_MEMORY) if kept.path == folder]:
        unload(source)


@st.cache_resource(show_spinner="Loading the language model …", max_entries=MOST)
def _loaded(source: Source) -> Loaded:
    from workbench.atlas.prebuilt import check_fingerprint
    from workbench.embedders.artifact import load_embedder

    embedder = load_embedder(source.path, backbone=source.backbone, device=source.device, dtype=source.dtype)
    if is_default(source) and has_atlas():
        check_fingerprint(atlas(), embedder)
    _spare_the_collector()
    return Loaded(embedder, threading.Lock())


def _spare_the_collector() -> None:
    """Leaves what is in memory now out of the garbage collection that Streamlit does after every run of a page.

    Over all that torch and transformers bring, half a million objects, that takes 0.3 s: most of a page change. A model
    has no reference cycles, so it still goes when it is unloaded.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


@st.cache_data(show_spinner="Fetching the embedder …", max_entries=20)
def _from_hub(name: str) -> Path:
    from workbench.embedders.artifact import folder_of

    return folder_of(name)


def _fingerprint(folder: Path) -> str:
    """Of an official checkpoint, which has no config.json, the names, sizes and times of its files."""
    if (folder / "config.json").is_file():
        return hash_file(folder / "config.json")
    if not (folder / "run_config.yml").is_file():
        raise UsageError(f"{folder} is no embedder: it has no config.json")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return hash_bytes(*(f"{path.name} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in files))
