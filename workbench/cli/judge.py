"""What commands that print badges share: the judge of an embedder, its reference made once and kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.cli import say
from workbench.files import cache_folder
from workbench.texts import read_texts

if TYPE_CHECKING:
    from workbench.decoding.badge import Judge
    from workbench.decoding.medium import Medium
    from workbench.decoding.reference import Reference
    from workbench.embedders.artifact import Manifest
    from workbench.embedders.base import Embedder

MOST = 512
"""Texts of a reference of the user's that are read."""


def reference_of(embedder: Embedder | Medium, source: str | None) -> Reference:
    """The embedder's, or the medium's, reference: of the texts of `source`, or of the field guide's queries."""
    from workbench.decoding.reference import load_reference

    texts = None if source is None else read_texts(source, limit=MOST).texts
    found = load_reference(embedder, texts, cache_dir=cache_folder(), report=say.note)
    if found.outside_limit >= 1:
        say.note(
            f"{len(found.texts)} texts are too few to say which directions are unusual: more of them as --reference"
        )
    return found


def judge_of(embedder: Embedder | Medium, source: str | None) -> Judge:
    """The judge that gives this embedder's, or this medium's, readings their badges."""
    from workbench.decoding.badge import Judge

    return Judge(embedder, reference_of(embedder, source))


def lifter_before_loading(embedder: str | None, lifter: str | None) -> Manifest | None:
    """What the lifter's folder says, before any model is loaded; None where only the loaded embedder says which it is.

    Raises UsageError where there is none at `lifter`, or none ships for the default embedder.
    """
    from workbench.embedders.lifter_artifact import lifter_folder, read_manifest
    from workbench.embedders.llm2vec_gen import LLM2VecGen

    if lifter is None and embedder is not None:
        return None
    return read_manifest(lifter_folder(LLM2VecGen.method, lifter))
