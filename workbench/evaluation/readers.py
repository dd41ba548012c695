"""How the texts of a task reach an embedder: which instruction stands before them, and what is encoded twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

from workbench.evaluation.asked import Prompting
from workbench.evaluation.sources import Source

SIDES = ("query", "document")
BAR = 1000
"""From so many texts on, a bar shows how far they are."""


def instruction(prompts: Mapping[str, str], names: list[str], side: str | None = None) -> str | None:
    """The first prompt of a task: that of `names` for the side, then for both, then that of the side alone.

    Prompts are named as `workbench.embedders.instructions` says. None where there is none.
    """
    tried = list(names)
    if side is not None:
        tried = [each for name in names for each in (f"{name}-{side}", name)] + [side]
    return next((prompts[name] for name in tried if name in prompts), None)


@dataclass
class Reader:
    """A source as a protocol calls it. A text that stands in several tasks is encoded once where `keep` is on."""

    source: Source
    instructions: dict[str, str | None]
    """What stands before a text of each side ("text" is a task without sides); None is the source's own way."""
    batch_size: int | None = None
    keep: bool = False
    kept: dict[tuple[str, str | None, str], np.ndarray] = field(default_factory=dict)

    def encode(self, texts: list[str]) -> Float[np.ndarray, "b d"]:
        """The vectors of texts of a task without sides."""
        return self._vectors("text", texts)

    def encode_query(self, texts: list[str]) -> Float[np.ndarray, "b d"]:
        """The vectors of queries."""
        return self._vectors("query", texts)

    def encode_document(self, texts: list[str]) -> Float[np.ndarray, "b d"]:
        """The vectors of documents."""
        return self._vectors("document", texts)

    def told(self, instructions: dict[str, str | None]) -> Reader:
        """The same source and what it keeps, with other instructions."""
        return Reader(self.source, instructions, self.batch_size, self.keep, self.kept)

    def _vectors(self, side: str, texts: list[str]) -> np.ndarray:
        if not self.keep:
            return self._encoded(side, texts)
        way = self._way(side)
        missing = [text for text in dict.fromkeys(texts) if (*way, text) not in self.kept]
        if missing:
            for text, vector in zip(missing, self._encoded(side, missing), strict=True):
                self.kept[*way, text] = vector
        return np.stack([self.kept[*way, text] for text in texts])

    def _way(self, side: str) -> tuple[str, str | None]:
        """How a text is read: embedders of this package read a query as any text behind that prompt."""
        prompt = self.instructions.get(side)
        if side == "document" or self.source.form == "st":
            return side, prompt
        if side == "query" and prompt is None:
            prompt = self.source.embedder.prompts.get("query")
        return "text", prompt or None

    def _encoded(self, side: str, texts: list[str]) -> np.ndarray:
        encoder = self.source.embedder
        call = {"text": encoder.encode, "query": encoder.encode_query, "document": encoder.encode_document}[
            side
        ]
        options: dict[str, Any] = {"show_progress_bar": len(texts) >= BAR}
        if self.batch_size is not None:
            options["batch_size"] = self.batch_size
        if self.instructions.get(side) is not None:
            options["prompt"] = self.instructions[side]
        return np.asarray(call(texts, **options), dtype=np.float32)


def instructions_for(source: Source, names: list[str], asked: Prompting) -> dict[str, str | None]:
    """What stands before the texts of a task that goes by these names (its own, then its type's, such as "STS").

    What was asked for comes first. Otherwise an embedder of ours gets the first of its prompts for those names
    (arXiv 2603.10913v2, section 4.2), and any other source reads texts its own way: baselines and teachers as they
    are, a sentence-transformers model as its configuration says. Without names, queries and documents are read as such
    and other texts as they are. Raises UsageError for a prompt name that the source does not have.
    """
    if asked.prompt is not None:
        return {"text": asked.prompt, "query": asked.prompt, "document": None if asked.prompt else ""}
    prompts, name = source.embedder.prompts, asked.prompt_name
    if name is not None:
        if not any(known in prompts for known in (name, *(f"{name}-{side}" for side in SIDES))):
            source.embedder.prompt_named(name)  # raises, and says which names there are
        found = {side: instruction(prompts, [] if name in SIDES else [name], side) for side in SIDES}
        return {"text": prompts.get(name, found["query"]), **found}
    if not (source.generative and names):
        return dict.fromkeys(("text", *SIDES))
    return {
        "text": instruction(prompts, names),
        **{side: instruction(prompts, names, side) for side in SIDES},
    }
