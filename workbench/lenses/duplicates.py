"""Which texts of many say nearly the same as a given one: the latent lens must not find what it is asked about."""

import unicodedata
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int
from numpy.typing import NDArray

from workbench.errors import UsageError

SHINGLE = 5
"""Characters of a shingle."""
NEAR = 0.5
"""From this Jaccard similarity of two texts' shingles on, one counts as a near duplicate of the other."""
WORDS = 4
"""A text that stands inside another one is its duplicate if it has so many words: "Lima" alone is none."""
_CANDIDATE = 0.3  # an inserted word breaks four shingles: of a text of six or more, a third remains
_TINY = 6
_BASE, _SPREAD, _LOW = np.uint64(0x100000001B3), np.uint64(0x9E3779B97F4A7C15), np.uint64(0xFFFFFFFF)


class NearDuplicates:
    """An index of texts by their shingles: a look-up costs as much as there are texts that share one.

    Texts are compared without case, punctuation and differences of white space. Two are near duplicates where they are
    equal, where one stands inside the other as at least `WORDS` words, where one has a single word more, or where
    the Jaccard similarity of their sets of `SHINGLE` characters is at least `threshold`.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = plain(texts)
        self._words = np.array([text.count(" ") + 1 for text in self._texts], dtype=np.int64)
        self._shingles = _shingles(self._texts)
        self._sizes = np.bincount((self._shingles & _LOW).astype(np.int64), minlength=len(self._texts))

    def __len__(self) -> int:
        return len(self._texts)

    def of(self, text: str, threshold: float = NEAR) -> Bool[np.ndarray, " t"]:
        """True at every text that is a near duplicate of `text`. UsageError for a threshold outside (0, 1]."""
        if not 0 < threshold <= 1:
            raise UsageError(f"the similarity of near duplicates is above 0 and at most 1, not {threshold}")
        given = plain([text])[0]
        words = given.count(" ") + 1
        hashes = _shingles([given]) >> np.uint64(32)
        shared = self._shared(hashes)
        near = shared >= threshold * (self._sizes + len(hashes) - shared)
        for row in np.flatnonzero(~near & ((shared == self._sizes) | (shared == len(hashes)))).tolist():
            near[row] = _inside(given, self._texts[row])
        close = (shared >= _CANDIDATE * np.minimum(self._sizes, len(hashes))) | (len(hashes) <= _TINY)
        for row in np.flatnonzero(~near & close & (abs(self._words - words) == 1)).tolist():
            near[row] = _one_word_more(*sorted([given.split(" "), self._texts[row].split(" ")], key=len))
        return near

    def _shared(self, hashes: NDArray[np.uint64]) -> Int[np.ndarray, " t"]:
        """How many of the shingles each text has."""
        first = np.searchsorted(self._shingles, hashes << np.uint64(32))
        behind = np.searchsorted(self._shingles, (hashes << np.uint64(32)) | _LOW, side="right")
        found = [self._shingles[start:end] for start, end in zip(first, behind, strict=True)]
        rows = np.concatenate([self._shingles[:0], *found]) & _LOW
        return np.bincount(rows.astype(np.int64), minlength=len(self._texts))


class _Letters(dict[int, int]):
    """What each letter becomes, found out once: letters, marks and digits stay, all else is a space."""

    def __missing__(self, code: int) -> int:
        letter = chr(code)
        self[code] = code if letter.isalnum() or unicodedata.category(letter)[0] == "M" else ord(" ")
        return self[code]


_LETTERS = _Letters({ord("\n"): ord("\n")})


def plain(texts: Sequence[str]) -> list[str]:
    """The words of each text in lower case with single spaces between them; a text without words as it is."""
    joined = "\n".join(text.replace("\n", " ") for text in texts)
    found = unicodedata.normalize("NFKC", joined).casefold().translate(_LETTERS).split("\n") if texts else []
    return [" ".join((text.strip() or whole).split()) for text, whole in zip(found, texts, strict=True)]


def _shingles(texts: Sequence[str]) -> NDArray[np.uint64]:
    """Every text's shingles, each once: its hash in the upper half, the text's number in the lower one; sorted."""
    padded = [f" {text} ".ljust(SHINGLE) for text in texts]
    lengths = np.array([len(text) for text in padded], dtype=np.int64)
    letters = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    windows = max(len(letters) - SHINGLE + 1, 0)
    hashes = np.zeros(windows, dtype=np.uint64)
    for place in range(SHINGLE):
        hashes *= _BASE
        hashes += letters[place : place + windows]
    hashes *= _SPREAD
    hashes &= ~_LOW
    hashes |= np.repeat(np.arange(len(texts), dtype=np.uint64), lengths)[:windows]
    across = np.cumsum(lengths)[:-1, None] - np.arange(1, SHINGLE)  # these windows reach into the next text
    inside = np.ones(windows, dtype=bool)
    inside[across.reshape(-1)] = False
    packed = hashes[inside]
    packed.sort()
    first = np.ones(len(packed), dtype=bool)
    first[1:] = packed[1:] != packed[:-1]
    return packed[first]


def _inside(a: str, b: str) -> bool:
    """Whether the texts are equal, or one stands inside the other with enough words."""
    shorter, longer = sorted([a, b], key=len)
    return a == b or (shorter.count(" ") + 1 >= WORDS and f" {shorter} " in f" {longer} ")


def _one_word_more(shorter: list[str], longer: list[str]) -> bool:
    """Whether leaving out one word of `longer` gives `shorter`."""
    at = next((i for i, word in enumerate(shorter) if word != longer[i]), len(shorter))
    return shorter[at:] == longer[at + 1 :]
