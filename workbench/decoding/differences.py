"""Where two texts differ, word by word."""

import re
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal


@dataclass(frozen=True)
class Span:
    """A stretch of one text, and whether the other text has it too."""

    text: str
    kind: Literal["same", "own"]


@dataclass(frozen=True)
class Differences:
    """Two texts cut into spans; the spans of a side, put together, are that side's text."""

    left: tuple[Span, ...]
    right: tuple[Span, ...]
    shared: float
    """Words that both have in the same order, times two, over all words of both: from 0 to 1."""


def differences(left: str, right: str) -> Differences:
    """Compares two texts by words; capitals and punctuation next to a word do not make it another word.

    Two texts without words share all of them.
    """
    a, b = re.findall(r"\s*\S+\s*", left), re.findall(r"\s*\S+\s*", right)
    matcher = SequenceMatcher(
        None, [_plain(word) for word in a], [_plain(word) for word in b], autojunk=False
    )
    spans: tuple[list[Span], list[Span]] = ([], [])
    for code, a0, a1, b0, b1 in matcher.get_opcodes():
        kind: Literal["same", "own"] = "same" if code == "equal" else "own"
        for side, words in zip(spans, (a[a0:a1], b[b0:b1]), strict=True):
            if words:
                side.append(Span("".join(words), kind))
    return Differences(tuple(spans[0]), tuple(spans[1]), matcher.ratio())


def _plain(word: str) -> str:
    return re.sub(r"^\W+|\W+$", "", word).casefold() or word.strip()
