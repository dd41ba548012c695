"""The tokens of a text as the words that they are parts of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from workbench.embedders.gem import GEM
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.lenses.tokens import NEWLINE, SPACE, TAB, readable_tokens

TEMPLATE = -1
"""The word number of a token of the template."""
_WHITE = SPACE + NEWLINE + TAB
_NO_SPACES_FROM = "⺀"
"""From here on scripts put no spaces between words: every token there is a word of its own."""


@dataclass(frozen=True)
class Words:
    """The words of a text, and which of them each of its tokens belongs to."""

    labels: list[str]
    of: Int[np.ndarray, " t"]
    """The word's number for each token, `TEMPLATE` for one that is no part of the text itself."""

    def __post_init__(self) -> None:
        if not set(self.of.tolist()) - {TEMPLATE} <= set(range(len(self.labels))):
            raise ValueError(f"{len(self.labels)} words, but tokens of word {self.of.max()}")

    def summed(self, values: Float[np.ndarray, "... t"]) -> Float[np.ndarray, "... words"]:
        """Values of tokens, added up over each word; those of the template are left out."""
        member = self.of[:, None] == np.arange(len(self.labels))
        return values @ member.astype(values.dtype)


def words_of(embedder: LLM2VecGen | GEM, ids: Sequence[int]) -> Words:
    """The words of a tokenized text `[t]`, which its embedder's template may surround.

    A word begins behind white space; punctuation stands alone, and so does each token of a script without spaces.
    """
    start, stop = _own(ids, embedder.tokenize([""]).ids[0])
    own = list(ids[start:stop])
    names = readable_tokens(embedder.backbone.tokenizer, own)
    numbers, number = [], TEMPLATE
    for place, name in enumerate(names):
        if place == 0 or _begins(names[place - 1], name):
            number += 1
        numbers.append(number)
    of = np.full(len(ids), TEMPLATE)
    of[start:stop] = numbers
    parts = [
        [token for token, at in zip(own, numbers, strict=True) if at == word] for word in range(number + 1)
    ]
    labels = [
        embedder.backbone.tokenizer.decode(part, skip_special_tokens=False).strip() or "␣" for part in parts
    ]
    return Words(labels, of)


def _own(ids: Sequence[int], empty: Sequence[int]) -> tuple[int, int]:
    """Where the text itself starts and stops: what an empty text has too, at both ends, is the template."""
    most = min(len(ids), len(empty))
    start = next((at for at in range(most) if ids[at] != empty[at]), most)
    most -= start
    end = next((at for at in range(most) if ids[-1 - at] != empty[-1 - at]), most)
    return (start, len(ids) - end) if start + end < len(ids) else (0, len(ids))


def _begins(before: str, name: str) -> bool:
    """Whether a token begins a word, by its readable label and that of the token before it."""
    if not before.strip(_WHITE):
        return False  # white space alone has begun this word
    if name[0] in _WHITE or before[-1] in _WHITE:
        return True
    if "/" in name and name[-3:-2].isdigit() and not name.endswith(f"1/{name[-1]}"):
        return False  # "é 2/2": the rest of one character
    return name >= _NO_SPACES_FROM or _is_word(before) != _is_word(name)


def _is_word(name: str) -> bool:
    return any(letter.isalnum() for letter in name)
