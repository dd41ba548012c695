"""Queries with their responses, as the training commands take them: from the table itself, or asked for first."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.cli import say
from workbench.errors import UsageError, WorkbenchError
from workbench.texts import TextTable, encodes

if TYPE_CHECKING:
    from workbench.backbone import Backbone
    from workbench.training.corpus import Corpus


def own_responses(table: TextTable) -> list[str] | None:
    """The table's own responses where every row holds one, None where none does."""
    own = [row.get("response") for row in table.rows]
    for number, response in enumerate(own, 1):
        if isinstance(response, str) and not encodes(response):
            raise WorkbenchError(
                f"{table.source}: response {number} holds half a character (a lone surrogate)"
            )
    if all(isinstance(response, str) for response in own):
        return [str(response) for response in own]
    if any(isinstance(response, str) for response in own):
        raise UsageError(f"{table.source}: some rows hold a response and some do not")
    return None


def corpus_of(model: "Backbone", table: TextTable, cache: Path, max_new_tokens: int) -> "Corpus":
    """The table's own responses where every row holds one, the backbone's otherwise."""
    from workbench.training.corpus import Corpus, respond

    if (own := own_responses(table)) is not None:
        return Corpus(table.texts, own, None, {"source": table.source}, table.rows)
    with say.progress("responding", len(table), "queries") as progress:
        corpus = respond(
            model, table.texts, cache_dir=cache, max_new_tokens=max_new_tokens, progress=progress
        )
    say.note_responses(corpus.meta, len(corpus))
    return replace(corpus, rows=table.rows)
