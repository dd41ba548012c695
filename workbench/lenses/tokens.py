"""Tokens as people read them: spaces visible, no byte-level artefacts."""

import re
from collections.abc import Sequence
from typing import Any

SPACE, NEWLINE, TAB = "␣", "↵", "⇥"
_BROKEN = "\N{REPLACEMENT CHARACTER}"
_LONGEST_CHARACTER = 8
_OWN = (*range(33, 127), *range(161, 173), *range(174, 256))
_LETTERS = {chr(byte): byte for byte in _OWN} | {
    chr(256 + place): byte for place, byte in enumerate(sorted(set(range(256)) - set(_OWN)))
}
"""Byte-level vocabularies write each byte as a letter: printable ones as themselves, the others from U+0100 on."""
_SPELLED = re.compile(r"<0x([0-9A-F]{2})>")
"""A byte in a SentencePiece vocabulary."""
BYTE = re.compile("⟨[0-9A-F]{2}⟩")
"""A byte that is no character by itself, as labels have it."""
CONTROL = re.compile(r"U\+[0-9A-F]{4,6}")
"""A character that is not printable, as labels have it."""
PART = re.compile(r" \d/\d$")
"""Which part of a character a token is, at the end of its label."""


def readable_tokens(tokenizer: Any, ids: Sequence[int]) -> list[str]:
    """One label a token. A leading space is shown as ␣, a line break as ↵, a tab as ⇥.

    Where a character is spread over several tokens (rare letters, emoji), each of them is labelled with the character
    and its part: "é 1/2", "é 2/2". Bytes that make no character, whatever follows, are named: ⟨C3⟩.
    """
    labels: list[str] = []
    while len(labels) < len(ids):
        start = len(labels)
        width, text = _whole_character(tokenizer, ids[start : start + _LONGEST_CHARACTER])
        if width == 1:
            labels.append(visible(_with_space(tokenizer, ids[start], text)))
        else:
            labels += [f"{visible(text)} {part}/{width}" for part in range(1, width + 1)]
    return labels


def visible(text: str) -> str:
    """The text with white space and control characters made visible; nothing at all is shown as ∅."""
    seen = text.replace(" ", SPACE).replace("\n", NEWLINE).replace("\t", TAB)
    return "".join(char if char.isprintable() else f"U+{ord(char):04X}" for char in seen) or "∅"


def _whole_character(tokenizer: Any, ids: Sequence[int]) -> tuple[int, str]:
    """How many tokens from the first on make up whole characters, and their text; 1 where none do."""
    for width in range(1, len(ids) + 1):
        text = tokenizer.decode(
            list(ids[:width]), skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        if _BROKEN not in text:
            return width, text
    return 1, _with_bytes(tokenizer, ids[0])


def _with_bytes(tokenizer: Any, token: int) -> str:
    """A token that ends within a character, with the bytes of that named."""
    piece = str(tokenizer.convert_ids_to_tokens(token))
    if spelled := _SPELLED.fullmatch(piece):
        return f"⟨{spelled[1]}⟩"
    if set(piece) <= set(_LETTERS):
        text = bytes(_LETTERS[letter] for letter in piece).decode("utf-8", "surrogateescape")
        return "".join(
            f"⟨{ord(char) - 0xDC00:02X}⟩" if 0xDC80 <= ord(char) <= 0xDCFF else char for char in text
        )
    return tokenizer.decode([token], skip_special_tokens=False, clean_up_tokenization_spaces=False)


def _with_space(tokenizer: Any, token: int, text: str) -> str:
    """SentencePiece tokenizers drop the leading space of a single token (▁): put it back."""
    piece = tokenizer.convert_ids_to_tokens(token)
    return (
        f" {text}" if isinstance(piece, str) and piece.startswith("▁") and not text.startswith(" ") else text
    )
