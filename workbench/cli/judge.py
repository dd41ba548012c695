"""What commands that print badges share: the judge of an embedder, its reference made once and kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.cli import say
from workbench.files import cache_folder
from workbench.texts import read_texts

if TYPE_CHECKING:
    from workbench.decoding.badge import Judge
    from workbench.decoding.reference import Reference
    from workbench.embedders.base import Embedder

MOST = 512
"""Texts of a reference of the user's that are read."""


def reference_of(embedder: Embedder, source: str | None) -> Reference:
    """The embedder's reference: made of the texts of `source`, or of the field guide's queries without one."""
    from workbench.decoding.reference import load_reference

    texts = None if source is None else read_texts(source, limit=MOST).texts
    return load_reference(embedder, texts, cache_dir=cache_folder(), report=say.note)


def judge_of(embedder: Embedder, source: str | None) -> Judge:
    """The judge that gives this embedder's readings their badges."""
    from workbench.decoding.badge import Judge

    return Judge(embedder, reference_of(embedder, source))
