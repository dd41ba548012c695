"""The contexts of a corpus: every token with all that stands before it, each once, however many texts share it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from workbench.backbone import Backbone
from workbench.errors import WorkbenchError

AT_ONCE = 1024
"""Texts that are tokenized at once."""


class Contexts(NamedTuple):
    """The texts of a corpus in the order of their tokens, and one row for each context.

    A causal model's state at a token depends on the tokens up to it alone, and texts that begin alike are neighbours
    in this order: the state of row `r` belongs to all texts from `first[r]` to `last[r]`.
    """

    texts: list[str]
    rows: list[int]
    """Where each text stood in the corpus, from 0."""
    ids: list[list[int]]
    """What the backbone reads of each text: `lead`, then its own tokens."""
    first: Int[np.ndarray, " rows"]
    last: Int[np.ndarray, " rows"]
    token: Int[np.ndarray, " rows"]
    """Which of the text's own tokens, from 0."""
    token_id: Int[np.ndarray, " rows"]
    truncated: int
    """Texts that lost their tail."""


def places(tokenizer: Any, text: str) -> list[tuple[int, int]]:
    """The characters that each of a text's own tokens covers; control tokens that it spells out are plain text."""
    options = {"add_special_tokens": False, "split_special_tokens": True, "return_offsets_mapping": True}
    return tokenizer(text, verbose=False, **options)["offset_mapping"]


def contexts_of(backbone: Backbone, texts: Sequence[str], max_length: int) -> Contexts:
    """The contexts of the texts as the plain backbone reads them: behind the tokenizer's BOS, without a template.

    A text that stands twice counts once. The first token of what is read is no context: it sees nothing but itself,
    and models park unused attention there. Raises WorkbenchError where no text has a second token.
    """
    lead = _lead(backbone)
    rows = sorted({text: row for row, text in reversed(list(enumerate(texts)))}.values())
    own: list[np.ndarray] = []
    truncated = 0
    for start in range(0, len(rows), AT_ONCE):
        part = [texts[row] for row in rows[start : start + AT_ONCE]]
        tokens = backbone.tokenize(part, template="raw", max_length=max_length)
        own += [np.array(ids[len(lead) :], dtype=np.int32) for ids in tokens.ids]
        truncated += tokens.truncated
    order = sorted(range(len(rows)), key=lambda at: own[at].astype(">u4").tobytes())
    first, last, token = _shared_beginnings([own[at] for at in order])
    kept = token + len(lead) > 0
    if not kept.any():
        raise WorkbenchError("no text has a second token: there is no state in a context to keep")
    first, last, token = (column[kept] for column in (first, last, token))
    ids = [own[at] for at in order]
    starts = np.cumsum([0, *map(len, ids)])[:-1]
    flat = np.concatenate(ids)
    return Contexts(
        texts=[texts[rows[at]] for at in order],
        rows=[rows[at] for at in order],
        ids=[[*lead, *row.tolist()] for row in ids],
        first=first,
        last=last,
        token=token,
        token_id=flat[starts[first] + token],
        truncated=truncated,
    )


def _lead(backbone: Backbone) -> list[int]:
    """What the tokenizer puts before every text: its BOS, or nothing."""
    whole = backbone.tokenize(["x"], template="raw").ids[0]
    return whole[: len(whole) - len(places(backbone.tokenizer, "x"))]


def _shared_beginnings(ids: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of sorted rows of tokens every beginning once: the first and the last row that has it, and its last place."""
    first, token = [], []
    last = np.zeros(sum(map(len, ids)), dtype=np.int32)
    before = open_rows = np.zeros(0, dtype=np.int64)
    count = 0
    for at, row in enumerate(ids):
        shorter = min(len(before), len(row))
        differs = np.flatnonzero(before[:shorter] != row[:shorter])
        shared = int(differs[0]) if len(differs) else shorter
        last[open_rows[shared:]] = at - 1
        new = len(row) - shared
        open_rows = np.concatenate([open_rows[:shared], np.arange(count, count + new)])
        first.append(np.full(new, at, dtype=np.int32))
        token.append(np.arange(shared, len(row), dtype=np.int32))
        before, count = row, count + new
    last[open_rows] = len(ids) - 1
    none = np.zeros(0, dtype=np.int32)
    return np.concatenate([none, *first]), last[:count], np.concatenate([none, *token])
