"""What the lenses read in one text's special tokens, what causes its decoded tokens; the last ones are kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import streamlit as st

from workbench.files import hash_file
from workbench.ui.loaders.embedders import Source, loaded

if TYPE_CHECKING:
    from workbench.embedders.base import Embedder
    from workbench.lenses.attention_flow import AttentionFlow
    from workbench.lenses.attribution_map import AttributionMap, Baseline
    from workbench.lenses.latent_index import LatentIndex
    from workbench.lenses.reading import LensReading
    from workbench.lenses.states import SpecialStates
    from workbench.lenses.tuned import Translators


@dataclass(frozen=True)
class Lenses:
    """What can be seen in one embedder's special tokens: the page calls these.

    All of them raise UsageError for a method without special tokens.
    """

    at: Source

    def read(
        self, lens: Literal["logit", "tuned", "patchscope", "latent"], text: str, folder: str = ""
    ) -> LensReading:
        """Every layer through one lens; `folder` holds the tuned lens' probes, or the latent lens' index.

        Raises UsageError where that holds none, FingerprintMismatch where it was made for another model.
        """
        config = Path(folder).expanduser() / "config.json"
        fingerprint = hash_file(config) if folder and config.is_file() else ""
        return _lens(self.at, lens, text, str(config.parent) if folder else "", fingerprint)

    def is_cut(self, text: str) -> bool:
        """Whether the text is longer than the model reads."""
        return _states(self.at, text).truncated

    def attribute(self, text: str, baseline: Baseline) -> AttributionMap:
        """How much each special token made each decoded token likelier."""
        return _attribute(self.at, text, baseline)

    def flow(self, text: str, rollout: bool) -> AttentionFlow:
        """Which words the special tokens attend to. UsageError for a text that is too long for a `rollout`."""
        return _flow(self.at, text, rollout)


@st.cache_resource(show_spinner=False, max_entries=8)
def _states(at: Source, text: str) -> SpecialStates:
    from workbench.lenses.states import special_states

    model = loaded(at)
    with model.lock:
        return special_states(model.embedder, [text])[0]


@st.cache_data(show_spinner=False, max_entries=200)
def _lens(
    at: Source,
    lens: Literal["logit", "tuned", "patchscope", "latent"],
    text: str,
    folder: str,
    fingerprint: str,
) -> LensReading:
    from workbench.lenses import latent, logit, patchscope, tuned

    states, model = _states(at, text), loaded(at)
    embedder = model.embedder
    with model.lock:
        if lens == "logit":
            return logit.read_states(embedder, [states])[0]
        if lens == "patchscope":
            return patchscope.patchscope(embedder, [text])[0]
        if lens == "tuned":
            return tuned.tuned_lens(embedder, [text], _probes(at, folder, fingerprint, embedder))[0]
        return latent.latent_lens(embedder, [text], _index(at, folder, fingerprint, embedder))[0]


@st.cache_resource(show_spinner=False, max_entries=4)
def _probes(at: Source, folder: str, fingerprint: str, _embedder: Embedder) -> Translators:
    from workbench.lenses.tuned_artifact import load_tuned_lens

    return load_tuned_lens(_embedder, folder)


@st.cache_resource(show_spinner=False, max_entries=2)
def _index(at: Source, folder: str, fingerprint: str, _embedder: Embedder) -> LatentIndex:
    from workbench.lenses.latent_index import LatentIndex

    return LatentIndex.open(folder, _embedder.backbone)


@st.cache_data(show_spinner=False, max_entries=100)
def _attribute(at: Source, text: str, baseline: Baseline) -> AttributionMap:
    from workbench.lenses.attribution import attribute_tokens

    model = loaded(at)
    with model.lock:
        return attribute_tokens(model.embedder, text, baseline=baseline)


@st.cache_resource(show_spinner=False, max_entries=8)
def _flow(at: Source, text: str, rollout: bool) -> AttentionFlow:
    from workbench.lenses.flow import attention_flow

    model = loaded(at)
    with model.lock:
        return attention_flow(model.embedder, text, rollout=rollout)
