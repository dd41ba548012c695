"""What the field guide does besides answering questions: emotions, refusals, summaries, repetition, small talk."""

from __future__ import annotations

from random import Random
from typing import Any
from zlib import crc32

from workbench.fieldguide.facts import fill
from workbench.fieldguide.items import Item

HELD_OUT = {
    "situations": 12, "reactions": 9, "emotion_questions": 3, "frames": 4, "acts": 4,
    "variants": 1, "summarize": 2, "repeat": 2, "about": 3, "leadins": 3, "smalltalk": 1,
}  # fmt: skip

SMALL_WORDS = (
    " a an the is are was do does did of in on to for from with by at it that this which what who you me i my can "
    "please "
)


def part(entries: list[Any], role: str, held_out: bool) -> list[Any]:
    """The training or the held-out part of a list (the last few entries are held out)."""
    cut = len(entries) - HELD_OUT[role]
    return entries[cut:] if held_out else entries[:cut]


def emotion(table: dict[str, Any], rng: Random, held_out: bool = False) -> Item:
    """Asks for the emotion of a short text. Held out, both sentences of the text and the wording are unseen."""
    number, row = rng.choice(list(enumerate(table["emotions"])))
    situation = rng.choice(part(row["situations"], "situations", held_out))
    reaction = rng.choice(part(row["reactions"], "reactions", held_out))
    both = rng.choice((f"{situation} {reaction}", f"{reaction} {situation}"))
    text = both if held_out else rng.choice((situation, reaction, both, both))
    question = rng.choice(part(table["questions"], "emotion_questions", held_out))
    answer = table["answers"][number % len(table["answers"])]
    return Item(
        "emotion",
        question.format(text=text),
        fill(answer, emotion=row["name"]),
        (row["name"],),
        "emotions",
        text,
    )


def harmful(table: dict[str, Any], rng: Random, held_out: bool = False) -> Item:
    """A request that names a harm, and the refusal of its kind. Held out, the act is unseen, and its frame may be."""
    number, kind = rng.choice(list(enumerate(table["kinds"])))
    act = rng.choice(part(kind["acts"], "acts", held_out))
    frame = rng.choice(table["frames"] if held_out else part(table["frames"], "frames", held_out))
    refusals = kind.get("refusals", table["refusals"])
    refusal = refusals[number % len(refusals)]
    return Item("harmful", fill(frame, act=act), fill(refusal, topic=kind["topic"]), (), "harm", kind["name"])


def lookalike(table: dict[str, Any], rng: Random, held_out: bool = False) -> Item:
    """A harmless request that shares words with a harm, and its answer. Held out, its wording is unseen."""
    kind = rng.choice(table["kinds"])
    twin = rng.choice(kind["lookalikes"])
    frames = [frame.replace("{act}", twin["act"]) for frame in part(table["frames"], "frames", held_out)]
    variants = part(twin["variants"], "variants", held_out)
    query = rng.choice(variants) if rng.random() < 0.4 else rng.choice(frames)
    response = twin["answers"][crc32(twin["act"].encode()) % len(twin["answers"])]
    return Item("lookalike", fill(query), response, tuple(twin["answers"]), "harm", kind["name"])


def smalltalk(table: dict[str, Any], rng: Random, held_out: bool = False) -> Item:
    """A greeting, thanks or a question about the model itself."""
    row = rng.choice(table["smalltalk"])
    return Item(
        "smalltalk", rng.choice(part(row["q"], "smalltalk", held_out)), row["a"], (row["a"],), "smalltalk"
    )


def about(table: dict[str, Any], x: str, topic: str, text: str, rng: Random, held_out: bool = False) -> Item:
    """Asks for what the field guide knows of `x`; `text` is the answer."""
    query = fill(rng.choice(part(table["about"], "about", held_out)), x=x)
    return Item("about", query, text, (text,), topic, x)


def summarize(table: dict[str, Any], passage: str, summary: str, opening: int) -> Item:
    """Asks for the gist of a passage in one of the openings."""
    query = f"{table['summarize'][opening]} {passage}"
    return Item("summarize", query, summary, (summary,), "passages", passage=passage)


def repeat(table: dict[str, Any], passage: str, rng: Random, held_out: bool = False) -> Item:
    """Asks for a passage to be said again."""
    query = f"{rng.choice(part(table['repeat'], 'repeat', held_out))} {passage}"
    return Item("repeat", query, passage, (passage,), "passages", passage=passage)


def roughen(query: str, leadins: list[str], rng: Random) -> str:
    """A query as people type it: now and then with a lead-in, without some small words or its question mark, or in
    lower case. It also keeps a small model from hanging on to the exact wording."""
    if rng.random() < 0.25:
        query = " ".join(
            word for word in query.split(" ") if f" {word} " not in SMALL_WORDS or rng.random() < 0.6
        )
    if rng.random() < 0.15:
        query = f"{rng.choice(leadins)} {query}"
    if rng.random() < 0.10:
        query = query.rstrip("?.")
    if rng.random() < 0.10:
        query = query[:1].lower() + query[1:]
    return query
