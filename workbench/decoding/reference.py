"""What an embedder's readings are measured against: figures of true and of shuffled pairs, made once and kept."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from workbench.config import Config
from workbench.decoding.figures import Figures, Foils, embed_documents, figures, partners
from workbench.decoding.manifold import VARIANCE, Manifold
from workbench.decoding.media import SoftPrompts, medium_of
from workbench.decoding.medium import Medium
from workbench.embedders.base import Embedder
from workbench.errors import FingerprintMismatch, UsageError, WorkbenchError
from workbench.files import hash_bytes, shipped, write_json

SCHEMA = 1
FEWEST = 16
"""The fewest texts that make a reference."""
FOILS = 8
ONE_IN = 20
"""A shuffled pair gets a score that counts as high once in so many."""
FAR = 4.0
"""A block is too far off when it lies so many standard deviations beyond the mean of known ones."""
MAX_NEW_TOKENS = 64


@dataclass(frozen=True)
class Reference(Config):
    """What an embedder's figures are like where they are known: with texts of true and of shuffled pairs."""

    embedder: str
    """The embedder's fingerprint."""
    texts: list[str]
    """The first half says where a medium's blocks lie, the second how far from there they still do."""
    foils: list[int]
    """Which of the texts are foils; the pairs are made of the others."""
    foil_texts: list[str]
    """What the foils decode to."""
    margin: list[float]
    """Mean and standard deviation of cosine less null, over shuffled pairs."""
    gap: list[float]
    """Mean and standard deviation of the likelihood gap, over shuffled pairs."""
    true_margin: float
    """Mean of cosine less null over true pairs, to compare with."""
    true_gap: float
    """Mean of the likelihood gap over true pairs, to compare with."""
    threshold: float
    """The score that one in ONE_IN shuffled pairs passes."""
    length: list[float]
    """Each token's mean log norm."""
    spread: list[float]
    """The standard deviation of each token's log norm."""
    stretch_limit: float
    """The largest `stretch` of a block that belongs to the embedder's."""
    outside_limit: float
    """The largest `outside` of such a block."""
    medium: str = SoftPrompts.name
    """The name of the medium that the figures were read through."""
    lifter: str = ""
    """The lifter's fingerprint, where that was one."""

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values; what says no more than its default is left out."""
        defaults = {"medium": SoftPrompts.name, "lifter": ""}
        return {
            name: value
            for name, value in super().to_dict().items()
            if name not in defaults or value != defaults[name]
        }

    def check(self, medium: Medium) -> None:
        """Raises FingerprintMismatch where this is the reference of another embedder, medium or lifter."""
        sides = {
            "embedder": (self.embedder, medium.embedder.fingerprint()),
            "medium": (self.medium, medium.name),
            "lifter": (self.lifter, medium.lifter_fingerprint),
        }
        for part, (saved, loaded) in sides.items():
            if saved != loaded:
                raise FingerprintMismatch("the reference of trust", part, saved, loaded)

    def score(self, found: Figures) -> Float[np.ndarray, " b"]:
        """How far above shuffled pairs: the mean of margin and gap, both in their standard deviations from their means.

        0 is a shuffled pair like any other. Grows with the cosine and with the gap.
        """
        (margin, margin_spread), (gap, gap_spread) = self.margin, self.gap
        return ((found.margin - margin) / margin_spread + (found.gap - gap) / gap_spread) / 2


def calibrate(embedder: Embedder | Medium, texts: Sequence[str], *, batch_size: int = 64) -> Reference:
    """The reference that these texts make: they are embedded, decoded, and paired with one another's decodings.

    Raises UsageError for fewer than FEWEST different texts, or a method whose encodings keep nothing to read.
    """
    medium, texts = medium_of(embedder), list(dict.fromkeys(texts))
    if len(texts) < FEWEST:
        raise UsageError(f"a reference needs at least {FEWEST} different texts, not {len(texts)}")
    kept = medium.represent(texts, batch_size=batch_size)
    decoded = medium.decode(kept, max_new_tokens=MAX_NEW_TOKENS, batch_size=batch_size)
    blocks, half = medium.blocks(kept), len(texts) // 2
    chosen = _foils(decoded[:half])
    foil_texts = [decoded[row] for row in chosen]
    foils = Foils(kept[chosen], embed_documents(medium.embedder, foil_texts, batch_size))
    rows = [row for row in range(len(texts)) if row not in chosen]
    said = [decoded[row] for row in rows]
    pairs = [*said, *(said[row] for row in partners(said))]
    found = figures(medium, foils, kept[rows + rows], pairs, batch_size=batch_size)
    true, shuffled, manifold = found[: len(rows)], found[len(rows) :], Manifold.of(blocks[:half])
    known: dict[str, Any] = {
        "embedder": medium.embedder.fingerprint(),
        "medium": medium.name,
        "lifter": medium.lifter_fingerprint,
        "texts": texts,
        "foils": chosen,
        "foil_texts": foil_texts,
        "margin": _mean_and_spread(shuffled.margin),
        "gap": _mean_and_spread(shuffled.gap),
        "true_margin": float(true.margin.mean()),
        "true_gap": float(true.gap.mean()),
        "length": manifold.length.tolist(),
        "spread": manifold.spread.tolist(),
        "stretch_limit": _limit(manifold.stretch(blocks[half:]), 1.0),
        "outside_limit": _limit(manifold.outside(blocks[half:]), 1 - VARIANCE),
    }
    scores = Reference(**known, threshold=0.0).score(shuffled)
    return Reference(**known, threshold=float(np.quantile(scores, 1 - 1 / ONE_IN)))


def load_reference(
    embedder: Embedder | Medium,
    texts: Sequence[str] | None = None,
    *,
    cache_dir: Path | str,
    report: Callable[[str], None] | None = None,
) -> Reference:
    """The reference of these texts (`known_texts` without any), made once for each medium and kept in `cache_dir`.

    Those of the shipped embedders and the known texts may ship. `report` is told before one is made, which takes a
    while. Raises WorkbenchError for a kept one that is damaged.
    """
    medium = medium_of(embedder)
    if texts is None and (ready := _shipped_for(medium)):
        return ready
    texts = known_texts(medium.texts) if texts is None else list(texts)
    lifter = filter(None, [medium.lifter_fingerprint])
    name = hash_bytes(str(SCHEMA), medium.embedder.fingerprint(), json.dumps(texts), *lifter)[:24]
    path = Path(cache_dir) / "trust" / f"{name}.json"
    if path.is_file():
        return _read(path)
    if report is not None:
        what = "embedder" if medium.lifter is None else "lifter"
        report(f"measuring once what trust means for this {what}, on {len(texts)} texts")
    made = calibrate(medium, texts)
    write_json(path, made.to_dict())
    return made


def _shipped_for(medium: Medium) -> Reference | None:
    """The reference that ships, if it was made for this medium of this embedder."""
    try:
        found = _read(shipped("trust", f"{medium.ships_as}.json"))
    except UsageError:  # none ships beside this default
        return None
    try:
        found.check(medium)
    except FingerprintMismatch:
        return None
    return found


def _read(path: Path) -> Reference:
    try:
        return Reference.from_json(path.read_text(encoding="utf-8"))
    except (UsageError, ValueError) as error:
        raise WorkbenchError(f"{path} is damaged; delete it, and it is made again ({error})") from error


def known_texts(count: int = Medium.texts, seed: int = 0) -> list[str]:
    """Some of the field guide's training queries, drawn by the seed; none of them is in its exam."""
    lines = shipped("fieldguide", "queries.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["query"] for line in random.Random(seed).sample(lines, min(count, len(lines)))]


def _foils(decoded: list[str]) -> list[int]:
    """The first FOILS rows that say something new; where there are fewer, the first of the others too."""
    first = {text: row for row, text in reversed(list(enumerate(decoded)))}.values()
    return sorted([*sorted(first), *sorted(set(range(len(decoded))) - set(first))][:FOILS])


def _mean_and_spread(values: Float[np.ndarray, " b"]) -> list[float]:
    return [float(values.mean()), max(float(values.std()), 1e-6)]


def _limit(distances: Float[Tensor, " b"], least: float) -> float:
    """FAR beyond the mean of known blocks; not below what a known block may have by definition of the measure."""
    return max(float(distances.mean() + FAR * distances.std()), least)
