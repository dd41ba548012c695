"""From texts to token ids: prompt templates, and truncation that cuts only a text's own tail."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

from workbench.errors import UsageError, WorkbenchError

Template = Literal["chat", "query", "raw"]
SENTINEL = "qz7vTEXTv7zq"
CHARS_A_TOKEN = 8  # a first guess only: the head of a long text doubles until it holds enough tokens
SLACK = 128  # last tokens of a head that the rest could have changed: WordPiece spells a cut word of 100 characters


@dataclass(frozen=True)
class Tokenized:
    """Token ids of each text, and whether it lost its own tail to the length limit."""

    ids: list[list[int]]
    cut: list[bool]

    def __post_init__(self) -> None:
        if len(self.ids) != len(self.cut):
            raise ValueError(f"{len(self.ids)} rows of ids, {len(self.cut)} of cuts")

    @property
    def truncated(self) -> int:
        """How many texts lost their tail."""
        return sum(self.cut)


class Frame(NamedTuple):
    """What stands around a text: ids in front, then the characters before and after it."""

    lead: list[int]
    before: str
    after: str
    strips: bool


class Prompts:
    """A tokenizer with its templates: "chat" (whole turn and the opening of the answer), "query" (cut directly
    after the text, where special tokens go), "raw" (the text behind the tokenizer's own BOS, if it adds one).
    Without a chat template all three are "raw". Thinking is off where a template knows the switch."""

    def __init__(self, tokenizer: Any, name: str = "in-memory") -> None:
        if not tokenizer.is_fast:
            raise UsageError(
                f"{type(tokenizer).__name__} has no fast version: offsets into the text are needed"
            )
        self.tokenizer, self.name = tokenizer, name

    def tokenize(
        self, texts: list[str], template: Template, max_length: int, instruction: str | None
    ) -> Tokenized:
        """Ids of `instruction + " " + text` in the template, at most `max_length` each.

        An instruction that ends in a space or a new line gets no second one. Only the text's own tail is cut. Control
        tokens spelled out in a text stay plain text. An empty text without template becomes the BOS (or EOS) alone.
        Work is bounded: what lies far behind the limit is never tokenized.
        """
        if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
            raise UsageError("texts must be a list of strings")
        for text in [*texts, instruction or ""]:
            _refuse_half_characters(text)
        frame = self.frame(template, instruction)
        room = max_length - len(self._whole([""], frame)[0])
        if room < 1:
            raise UsageError(
                f"a maximal length of {max_length} leaves no room for a text beside its template"
            )
        bodies = [self.head(text.strip() if frame.strips else text, room) for text in texts]
        ids = self._whole(bodies, frame)
        cut = [len(row) > max_length for row in ids]
        for row, body in enumerate(bodies):
            if self._controls is not None and self._controls.search(body):
                ids[row], cut[row] = self._in_pieces(body, frame, max_length)
            elif cut[row]:
                ids[row] = self._without_tail(body, frame, max_length)
        return Tokenized([row or [self.opening_id] for row in ids], cut)

    def first_ids(self, texts: list[str], most: int) -> list[list[int]]:
        """At most `most` ids of each text as the tokenizer gives them: no template, no BOS; control tokens are such.

        The same as cutting the ids of the whole text, but what lies far behind is never tokenized.
        """
        for text in texts:
            _refuse_half_characters(text)
        return [row[:most] for row in self._ids([self.head(text, most) for text in texts])]

    def frame(self, template: Template, instruction: str | None = None) -> Frame:
        """The frame of a template; the instruction belongs to it, so it is never cut."""
        if template not in ("chat", "query", "raw"):
            raise UsageError(f"unknown template {template!r}: chat, query or raw")
        lead, before, after, strips = (
            self._raw if template == "raw" or not self.tokenizer.chat_template else self._chat
        )
        if template == "query":
            after = ""
        if instruction:
            before += instruction if instruction[-1].isspace() else f"{instruction} "
        return Frame(lead, before, after, strips)

    def detokenize(self, ids: list[list[int]]) -> list[str]:
        """Texts of the ids, special tokens left out, spaces kept as they are."""
        if not ids:
            return []
        return self.tokenizer.batch_decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)

    @cached_property
    def closing_id(self) -> int | None:
        """The special token with which the chat template closes an answer, None if there is no such token."""
        if not self.tokenizer.chat_template:
            return None
        turns = [{"role": "user", "content": "x"}, {"role": "assistant", "content": SENTINEL}]
        _, shown, tail = self._render(turns).rpartition(SENTINEL)
        ids = self._ids([tail])[0] if shown and tail else []
        return ids[0] if ids and ids[0] in self.tokenizer.all_special_ids else None

    @cached_property
    def answer_opening(self) -> list[int]:
        """The ids between a user's text and the answer in the chat template; empty where there is no template."""
        after = self._chat.after if self.tokenizer.chat_template else ""
        return self._ids([after])[0] if after else []

    @cached_property
    def opening_id(self) -> int:
        """What stands for an empty text: the BOS, else the EOS."""
        known = [self.tokenizer.bos_token_id, self.tokenizer.eos_token_id, self.closing_id]
        return next(token for token in [*known, 0] if token is not None)

    @cached_property
    def _chat(self) -> Frame:
        padded = f" {SENTINEL} "
        turns = [{"role": "user", "content": padded}]
        text = self._render(turns, add_generation_prompt=True, enable_thinking=False)
        strips = padded not in text
        parts = text.split(SENTINEL if strips else padded)
        if len(parts) != 2:
            raise self._unusable("it does not show the user's text exactly once")
        return Frame([], parts[0], parts[1], strips)

    def _render(self, turns: list[dict[str, str]], **options: Any) -> str:
        """The turns in the chat template, which is a program of the backbone's: it may raise what it likes."""
        try:
            return self.tokenizer.apply_chat_template(turns, tokenize=False, **options)
        except MemoryError:
            raise
        except Exception as error:
            lines = str(error).strip().splitlines()
            raise self._unusable(lines[0][:300] if lines else type(error).__name__) from error

    def _unusable(self, why: str) -> WorkbenchError:
        return WorkbenchError(f"the chat template of backbone {self.name!r} cannot be used: {why}")

    @cached_property
    def _raw(self) -> Frame:
        bos, first = self.tokenizer.bos_token_id, self.tokenizer("x")["input_ids"][:1]
        return Frame([bos] if bos is not None and first == [bos] else [], "", "", False)

    @cached_property
    def _controls(self) -> re.Pattern[str] | None:
        words = [re.escape(word) for word in self.tokenizer.all_special_tokens if word]
        return re.compile("|".join(words)) if words else None

    def _ids(self, texts: list[str], **options: Any) -> list[list[int]]:
        options = {"add_special_tokens": False, "return_attention_mask": False, "verbose": False} | options
        return self.tokenizer(texts, **options)["input_ids"] if texts else []

    def _whole(self, bodies: list[str], frame: Frame) -> list[list[int]]:
        return [frame.lead + row for row in self._ids([frame.before + body + frame.after for body in bodies])]

    def _without_tail(self, body: str, frame: Frame, max_length: int) -> list[int]:
        """The row less the last of the tokens that lie inside the body."""
        text = frame.before + body + frame.after
        encoded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        start, end = len(frame.before), len(frame.before) + len(body)
        own = [
            at
            for at, (low, high) in enumerate(encoded["offset_mapping"])
            if low >= start and high <= end and high > low
        ]
        ids = encoded["input_ids"]
        surplus = len(frame.lead) + len(ids) - max_length
        dropped = set(own[len(own) - surplus :])
        return frame.lead + [token for at, token in enumerate(ids) if at not in dropped]

    def _in_pieces(self, body: str, frame: Frame, max_length: int) -> tuple[list[int], bool]:
        """A body that spells a control token out: tokenized on its own, where that is plain text."""
        before, after = (self._ids([part])[0] if part else [] for part in (frame.before, frame.after))
        own = self._ids([body], split_special_tokens=True)[0]
        room = max_length - len(frame.lead) - len(before) - len(after)
        return frame.lead + before + own[:room] + after, len(own) > room

    def head(self, body: str, tokens: int) -> str:
        """A head of a text whose first `tokens` tokens are the text's own; the whole of it if it is not long."""
        size = CHARS_A_TOKEN * (tokens + self._slack)
        while size < len(body):
            if len(self._ids([body[:size]])[0]) > tokens + self._slack:
                return body[:size]
            size *= 2
        return body

    @cached_property
    def _slack(self) -> int:
        """How many of a head's last tokens may be others than the text's: an added token may be cut in two, too."""
        return SLACK + max((len(word.encode()) for word in self.tokenizer.get_added_vocab()), default=0)


def _refuse_half_characters(text: str) -> None:
    """UsageError for a text that no tokenizer takes: bytes that are not UTF-8 leave halves of characters behind."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        shown = ascii(text[max(error.start - 20, 0) : error.start + 20])
        raise UsageError(f"a text holds half a character (a lone surrogate): {shown}") from error


def eos_ids(prompts: Prompts, model: Any, name: str) -> tuple[int, ...]:
    """Every token that ends an answer; the one that closes it in the chat template, or the EOS, stands first."""
    config = model.config.get_text_config()
    named = [prompts.closing_id, prompts.tokenizer.eos_token_id]
    for settings in (getattr(model, "generation_config", None), config):
        value = getattr(settings, "eos_token_id", None)
        named += value if isinstance(value, list | tuple) else [value]
    ids = tuple(
        dict.fromkeys(token for token in named if token is not None and 0 <= token < config.vocab_size)
    )
    if not ids:
        raise WorkbenchError(f"backbone {name!r} names no end-of-sequence token")
    return ids
