"""The texts that two embedders are compared on: those of the shipped atlas, or a sample of a file."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.atlas.columns import stored
from workbench.atlas.sample import stratified
from workbench.atlas.stream import LeftOut, stream, survey
from workbench.errors import WorkbenchError
from workbench.files import hash_bytes
from workbench.texts import encodes

if TYPE_CHECKING:
    from workbench.atlas.corpus import Held
    from workbench.atlas.prebuilt import Atlas
    from workbench.training.watched import WatchedText

MOST = 1_000
"""Texts of a file that are compared; of more, so many are drawn at random."""
FEWEST = 3


@dataclass(frozen=True)
class ComparedTexts:
    """Different texts with what is known of each; row i of every column belongs to text i."""

    texts: list[str]
    metadata: dict[str, list[Any]]
    says: str
    """Which texts they are, and how many of how many."""

    def __post_init__(self) -> None:
        lengths = {len(self.texts), *(len(values) for values in self.metadata.values())}
        if len(lengths) != 1:
            raise ValueError(f"columns of unequal lengths: {sorted(lengths)}")

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def key(self) -> str:
        """Tells these texts from all others."""
        return hash_bytes(*(f"{len(text)} {text}" for text in self.texts))


def of_atlas(atlas: "Atlas") -> ComparedTexts:
    """The texts of the shipped atlas, in its order."""
    says = f"the {len(atlas):,} texts of the shipped atlas"
    return ComparedTexts(atlas.texts, {"topic": atlas.topics, "kind": atlas.kinds}, says)


def of_file(held: "Held", column: str, most: int = MOST, seed: int = 0) -> ComparedTexts:
    """At most `most` different texts of a held file's `column`, drawn at random, in the order of the file.

    Rows without a text in them and texts that stood before are left out and counted. Raises WorkbenchError where
    fewer than three are left.
    """
    types = {name: kind for name, kind in survey(held.path).columns.items() if name != column}
    found: dict[str, dict[str, Any]] = {}
    for row in stream(held.path):
        text = None if isinstance(row, LeftOut) else row.values.get(column)
        if isinstance(row, LeftOut) or not isinstance(text, str) or not text.strip() or not encodes(text):
            continue
        found.setdefault(text, row.values)
    if len(found) < FEWEST:
        raise WorkbenchError(
            f"{held.name} holds {len(found)} different texts in {column}: at least {FEWEST} are needed"
        )
    texts, sample = list(found), stratified([""] * len(found), most, seed)
    kept = [texts[row] for row in sample.rows.tolist()]
    metadata = {name: [stored(found[text].get(name), kind) for text in kept] for name, kind in types.items()}
    says = f"{len(kept):,} of the {held.rows:,} rows of {held.name}"
    left = held.rows - len(found)
    said = [says, *([f"{left:,} left out: no text, or one that stood before"] if left else [])]
    said += [f"{len(found) - len(kept):,} not drawn"] if len(kept) < len(found) else []
    return ComparedTexts(kept, metadata, "; ".join(said))


def of_watch(texts: Sequence["WatchedText"]) -> ComparedTexts:
    """The queries that were watched while an embedder trained, with the corpus's other columns of text or numbers."""
    names = dict.fromkeys(name for text in texts for name in text.about)
    plain = (str, int, float, bool, type(None))
    metadata = {name: [text.about.get(name) for text in texts] for name in names}
    kept = {name: values for name, values in metadata.items() if all(isinstance(v, plain) for v in values)}
    return ComparedTexts([text.query for text in texts], kept, f"the {len(texts):,} watched queries")
