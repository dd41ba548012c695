"""Tokens as people read them: spaces visible, no byte-level artefacts."""

from collections.abc import Sequence
from typing import Any

SPACE, NEWLINE, TAB = "␣", "↵", "⇥"
_BROKEN = "\N{REPLACEMENT CHARACTER}"
_LONGEST_CHARACTER = 8


def readable_tokens(tokenizer: Any, ids: Sequence[int]) -> list[str]:
    """One label a token. A leading space is shown as ␣, a line break as ↵, a tab as ⇥.

    Where a character is spread over several tokens (rare letters, emoji), each of them is labelled with the character
    and its part: "é 1/2", "é 2/2".
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
    piece = tokenizer.decode([ids[0]], skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return 1, piece.replace(_BROKEN, "�")


def _with_space(tokenizer: Any, token: int, text: str) -> str:
    """SentencePiece tokenizers drop the leading space of a single token (▁): put it back."""
    piece = tokenizer.convert_ids_to_tokens(token)
    return (
        f" {text}" if isinstance(piece, str) and piece.startswith("▁") and not text.startswith(" ") else text
    )
