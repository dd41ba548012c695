"""What comes out of computing with soft prompts, and of vectors read through a lifter; the last ones are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import streamlit as st
from jaxtyping import Float

from workbench.errors import UsageError
from workbench.files import hash_file, shipped
from workbench.ui.loaders.embedders import Loaded, Source, loaded
from workbench.ui.loaders.readings import judge_of

if TYPE_CHECKING:
    from torch import Tensor

    from workbench.decoding.badge import Badge
    from workbench.embedders.lifter import Lifter


@dataclass(frozen=True)
class Said:
    """What a block of soft prompts, or a vector, decodes to, and how far to trust that."""

    text: str
    badge: Badge


@dataclass(frozen=True)
class Tools:
    """What can be done with one embedder's vectors: the page's tools call these."""

    at: Source

    def interpolate(
        self, start: str, end: str, steps: int, how: Literal["linear", "spherical"]
    ) -> list[Said]:
        """The blocks from one text's to another's, both ends included."""
        return _compute(self.at, "interpolate", (start, end), (steps, how))

    def combine(self, add: Sequence[str], subtract: Sequence[str]) -> Said:
        """The sum of some texts' blocks less that of others'."""
        weights = (1.0,) * len(add) + (-1.0,) * len(subtract)
        return _compute(self.at, "combine", (*add, *subtract), weights)[0]

    def average(self, texts: Sequence[str]) -> Said:
        """The mean of texts' blocks."""
        return _compute(self.at, "average", tuple(texts), ())[0]

    def transplant(self, into: str, source: str, tokens: Sequence[int]) -> Said:
        """A text's block with some special tokens (from 0) of another's in their places."""
        return _compute(self.at, "transplant", (into, source), tuple(tokens))[0]

    def chain(self, text: str, steps: int) -> list[Said]:
        """A text's block, the response to it, the response to that, and so on."""
        return _compute(self.at, "chain", (text,), (steps,))

    def lifter_ships(self, method: str) -> bool:
        """Whether a lifter ships for embedders of this method."""
        try:
            return shipped("lifters", method).is_dir()
        except UsageError:
            return False

    def lift(self, vectors: Float[np.ndarray, "b d_e"], lifter: str = "", rounds: int = 0) -> list[Said]:
        """Vectors read through the lifter in a folder, or the shipped one, by a search of so many rounds.

        Raises UsageError where there is none.
        """
        path = Path(lifter).expanduser() if lifter else shipped("lifters", loaded(self.at).embedder.method)
        config = path / "config.json"
        return _lift(self.at, vectors, str(path), hash_file(config) if config.is_file() else "", rounds)


@st.cache_data(show_spinner=False, max_entries=200)
def _compute(source: Source, operation: str, texts: tuple[str, ...], settings: tuple) -> list[Said]:
    from workbench.decoding import arithmetic
    from workbench.decoding.media import with_soft_prompts

    model = loaded(source)
    with model.lock:
        embedder = with_soft_prompts(model.embedder)
        # one by one: to the last bit what they are in any company
        own = embedder.represent(texts, batch_size=1).soft_prompts
        assert own is not None  # `with_soft_prompts` has seen to it
        ways = {
            "interpolate": lambda: arithmetic.interpolate(own[0], own[1], *settings),
            "combine": lambda: arithmetic.combine(list(zip(settings, own, strict=True)))[None],
            "average": lambda: arithmetic.average(own)[None],
            "transplant": lambda: arithmetic.transplant(own[0], own[1], settings)[None],
            "chain": lambda: arithmetic.chain(embedder, own, *settings)[:, 0],
        }
        return _said(model, ways[operation]())


def _said(model: Loaded, blocks: Tensor) -> list[Said]:
    from workbench.decoding.decode import decode

    decoded = decode(model.embedder, blocks)
    return list(map(Said, decoded, judge_of(model).badges(blocks, decoded)))


@st.cache_data(show_spinner=False, max_entries=20)
def _lift(source: Source, vectors: np.ndarray, folder: str, fingerprint: str, rounds: int) -> list[Said]:
    from workbench.decoding.media import medium_of
    from workbench.decoding.search import Search

    model = loaded(source)
    with model.lock:
        lifter = _lifter(model, folder, fingerprint)
        medium = medium_of(model.embedder, lifter, Search(rounds) if rounds else None)
        decoded = medium.decode(medium.given(vectors))
        return list(map(Said, decoded, judge_of(model, lifter).badges(vectors, decoded)))


def _lifter(model: Loaded, folder: str, fingerprint: str) -> Lifter:
    """The lifter, kept with its model."""
    from workbench.embedders.lifter_artifact import load_lifter

    if (folder, fingerprint) not in model.lifters:
        model.lifters[folder, fingerprint] = load_lifter(model.embedder, folder)
    return model.lifters[folder, fingerprint]
