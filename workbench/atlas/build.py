"""Builds a store from a file: streams its rows, leaves out the bad ones, embeds, writes batch by batch, and resumes.

The rows that are kept and their order are decided by the input alone, and a chunk of them is embedded as one and
written as one: whatever interrupts a build, running it again ends with the rows of an uninterrupted one.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from workbench.atlas import layout
from workbench.atlas.entries import Entry, Source, entries
from workbench.atlas.layout import StoreFacts
from workbench.atlas.search import EXACT_ROWS, build_index
from workbench.atlas.store import Made, Store, check_embedder, create_store, embedder_hash, open_store
from workbench.atlas.stream import LeftOut
from workbench.errors import UsageError, WorkbenchError
from workbench.files import hash_file

if TYPE_CHECKING:
    from workbench.embedders.base import Embedder

CHUNK = 1024
"""Rows written at once; what an interruption costs at most."""
PART = 256
"""Texts embedded at once: of a chunk only what is stored is held, not the caches that some methods return."""
Make = Callable[[list[str]], Made]
"""Texts `[b]` to their vectors."""


class Built(NamedTuple):
    """What a build came to."""

    rows: int
    """Rows in the store."""
    added: int
    """Rows that this run added; the others were there from an interrupted one."""
    left_out: dict[str, int]
    """Rows of the input that were left out, by reason."""
    truncated: int
    """Texts that lost their tail, of those embedded in this run."""


def facts_of(embedder: "Embedder", source: Source, instruction: str | None) -> StoreFacts:
    """What a store that `embedder` builds of `source` records; its vectors are the embedder's own either way."""
    shape = None
    if source.reading.vector_column is None:
        soft_prompts = embedder.represent(["a"], instruction=instruction).soft_prompts
        shape = None if soft_prompts is None else list(soft_prompts.shape[1:])
    return StoreFacts(
        method=embedder.method,
        embedder=embedder_hash(embedder),
        backbone=embedder.backbone.fingerprint(),
        dimension=embedder.dimension,
        soft_prompts=shape,
        instruction=instruction,
        source=source.path.name,
        source_hash=hash_file(source.path),
        reading=source.reading.to_dict(),
    )


def make_with(embedder: "Embedder", instruction: str | None, batch_size: int | None = None) -> Make:
    """Texts to vectors by `embedder`."""

    def make(texts: list[str]) -> Made:
        encoding = embedder.represent(texts, instruction=instruction, batch_size=batch_size)
        soft_prompts = None if encoding.soft_prompts is None else encoding.soft_prompts.numpy()
        return Made(encoding.embedding.numpy(), soft_prompts, encoding.truncated)

    return make


def build(
    uri: str,
    source: Source,
    facts: StoreFacts,
    make: Make,
    *,
    progress: Callable[[int, int], Any] | None = None,
    report: Callable[[LeftOut], Any] | None = None,
    exact_rows: int = EXACT_ROWS,
) -> Built:
    """Builds the store `uri` from `source`, or goes on with it; `make` embeds what it does not hold yet.

    `progress(done, total)` counts rows of the input; `report` is called with every row that is left out. Above
    `exact_rows` rows the store gets an index. Raises UsageError where the store at `uri` was built from another input
    or read otherwise, FingerprintMismatch for another embedder's, WorkbenchError where no row is good.
    """
    store = open_same(uri, facts)
    left_out, added, truncated = Counter[str](), 0, 0
    have = set() if store is None else store.ids()
    tell, total = progress or (lambda done, total: None), source.survey.rows
    good = _good(entries(source, facts.dimension), left_out, report or (lambda row: None))
    while chunk := list(islice(good, CHUNK)):
        if store is None:
            types = {name: source.survey.columns[name] for name in source.reading.metadata}
            store = create_store(uri, facts, types)
        if missing := [entry for entry in chunk if entry.row["id"] not in have]:
            made = _made(missing, make, lambda entry: tell(entry.position + 1, total))
            added += store.write([entry.row for entry in missing], made)
            truncated += made.truncated
        tell(chunk[-1].position + 1, total)
    if store is None:
        raise WorkbenchError(f"{source.path} holds no good row: {_counts(left_out)}")
    store.refresh()
    store.compact()
    build_index(store, exact_rows=exact_rows)
    if added or store.outcome() is None:
        store.conclude({"left_out": dict(left_out)})
    return Built(len(store), added, dict(left_out), truncated)


def open_same(uri: str, facts: StoreFacts) -> Store | None:
    """The store at `uri`, where all it records is `facts`; None where there is none. Raises what `build` raises."""
    if layout.rows_at(uri) is None:
        return None
    store = open_store(uri)
    check_same(store.facts, facts, uri)
    return store


def check_same(saved: StoreFacts, given: StoreFacts, uri: str) -> None:
    """Refuses to go on with a store that was built otherwise, and says what differs."""
    check_embedder(saved, given.backbone, given.embedder, uri)
    other = "give the same, or build into another folder"
    if saved.source_hash != given.source_hash:
        sides = [f"{facts.source} ({facts.source_hash[:12]}...)" for facts in (saved, given)]
        raise UsageError(f"the store {uri} was built from {sides[0]}, not from {sides[1]}; {other}")
    before, now = ({"instruction": facts.instruction, **facts.reading} for facts in (saved, given))
    for name in now:
        if before.get(name) != now[name]:
            raise UsageError(
                f"the store {uri} was built with {name.replace('_', ' ')} {before.get(name)!r}, not {now[name]!r}; "
                + other
            )


def _good(
    rows: Iterator[Entry | LeftOut], left_out: Counter[str], report: Callable[[LeftOut], Any]
) -> Iterator[Entry]:
    for row in rows:
        if isinstance(row, Entry):
            yield row
        else:
            left_out[row.reason] += 1
            report(row)


def _made(chunk: list[Entry], make: Make, after: Callable[[Entry], Any]) -> Made:
    given = [entry.vector for entry in chunk if entry.vector is not None]
    if given:
        return Made(np.stack(given), None)
    parts = []
    for start in range(0, len(chunk), PART):
        part = chunk[start : start + PART]
        parts.append(make([entry.row["text"] for entry in part]))
        after(part[-1])
    soft_prompts = [part.soft_prompts for part in parts if part.soft_prompts is not None]
    return Made(
        np.concatenate([part.embedding for part in parts]),
        np.concatenate(soft_prompts) if soft_prompts else None,
        sum(part.truncated for part in parts),
    )


def _counts(left_out: Counter[str]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in left_out.items())
