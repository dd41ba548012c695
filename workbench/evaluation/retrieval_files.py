"""Reads corpora, queries and judgments, as BEIR, mteb and rerankers lay them out, and refuses a wrong line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.evaluation.tables import Table, read_table

ID = ("_id", "id", "corpus-id", "corpus_id", "doc_id", "docid", "query-id", "query_id", "qid")
TITLE = ("title",)
PASSAGE = ("text", "content", "contents", "passage", "document", "body")
QUESTION = ("text", "query", "question", "content")
QUERY_ID = ("query-id", "query_id", "qid", "query")
DOCUMENT_ID = ("corpus-id", "corpus_id", "doc-id", "doc_id", "docid", "did")
JUDGMENT = ("score", "relevance", "label", "rel")
CANDIDATES = ("corpus-ids", "corpus_ids", "candidates")


@dataclass(frozen=True)
class Collection:
    """Texts with an id each."""

    ids: list[str]
    texts: list[str]
    where: list[str]
    """The file and line of each text."""

    def __post_init__(self) -> None:
        if len({len(self.ids), len(self.texts), len(self.where)}) != 1:
            raise ValueError("ids, texts and places differ in number")
        seen: set[str] = set()
        for id, place in zip(self.ids, self.where, strict=True):
            if id in seen:
                raise WorkbenchError(f"{place}: the id {id!r} stands there twice")
            seen.add(id)

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self) -> dict[str, int]:
        """The row of each id."""
        return {id: row for row, id in enumerate(self.ids)}


@dataclass(frozen=True)
class Retrieval:
    """Documents, queries, and which document answers which query how well."""

    documents: Collection
    queries: Collection
    judgments: dict[str, dict[str, int]]
    """By query id, then document id: 1 or more is relevant, higher is better, 0 and less is not."""
    candidates: dict[str, list[str]] | None = None
    """The documents that each query is to rank; None for all."""
    excluded: dict[str, list[str]] = field(default_factory=dict)
    """The documents that a query may not find."""


def document_text(title: str, text: str) -> str:
    """A document as an embedder reads it: title and text with a space between, no space around."""
    return f"{title} {text}".strip() if title else text.strip()


def read_documents(source: str | Path) -> Collection:
    """A corpus: columns _id (or id), text, and title where there is one. Raises WorkbenchError with the line."""
    table = read_table(source, (*ID, *TITLE, *PASSAGE))
    id, text, title = table.pick("the id", ID), table.pick("the text", PASSAGE), table.has(TITLE)
    texts = []
    for row in table.rows:
        heading = table.text(row, title) if title and row.values.get(title) is not None else ""
        texts.append(document_text(heading, table.text(row, text)))
    return _collection(table, id, texts)


def read_queries(source: str | Path) -> Collection:
    """Queries: columns _id (or id) and text. Raises WorkbenchError with the line."""
    table = read_table(source, (*ID, *QUESTION))
    text = table.pick("the query", QUESTION)
    return _collection(table, table.pick("the id", ID), [table.text(row, text) for row in table.rows])


def read_judgments(
    source: str | Path, queries: Collection, documents: Collection
) -> dict[str, dict[str, int]]:
    """Judgments by query and document id; columns query-id, corpus-id, score.

    Without a header: three columns in that order, or TREC's four, of which the second says nothing. Raises
    WorkbenchError with the line for a query or document that is not there, or a score that is no whole number.
    """
    table = read_table(source, (*QUERY_ID, *DOCUMENT_ID, *JUDGMENT))
    if not table.has_header and len(table.columns) in (3, 4):
        query, *_, document, score = table.columns
    else:
        query, document = table.pick("the query's id", QUERY_ID), table.pick("the document's id", DOCUMENT_ID)
        score = table.pick("the score", JUDGMENT)
    known_queries, known_documents = set(queries.ids), set(documents.ids)
    judgments: dict[str, dict[str, int]] = {}
    for row in table.rows:
        asked, answer = table.name(row, query), table.name(row, document)
        judged = table.number(row, score)
        if judged != int(judged):
            raise WorkbenchError(f"{table.where(row)}: {score} is no whole number: {judged:g}")
        if asked not in known_queries:
            raise WorkbenchError(f"{table.where(row)}: no query has the id {asked!r}")
        if answer not in known_documents:
            raise WorkbenchError(f"{table.where(row)}: no document has the id {answer!r}")
        if judgments.setdefault(asked, {}).setdefault(answer, int(judged)) != int(judged):
            raise WorkbenchError(
                f"{table.where(row)}: {asked!r} and {answer!r} were judged otherwise further up"
            )
    return judgments


def read_candidates(source: str | Path, queries: Collection, documents: Collection) -> dict[str, list[str]]:
    """The documents that each query is to rank; columns query-id and corpus-ids (a list). Raises as the others."""
    table = read_table(source, (*QUERY_ID, *CANDIDATES))
    query, column = table.pick("the query's id", QUERY_ID), table.pick("the candidates", CANDIDATES)
    known_queries, known_documents = set(queries.ids), set(documents.ids)
    candidates: dict[str, list[str]] = {}
    for row in table.rows:
        asked, listed = table.name(row, query), table.list(row, column)
        _known(table.where(row), "query", [asked], known_queries)
        _known(table.where(row), "document", listed, known_documents)
        candidates[asked] = listed
    return candidates


def read_retrieval(
    corpus: str | Path, queries: str | Path, qrels: str | Path, candidates: str | Path | None = None
) -> Retrieval:
    """A task in three files as BEIR has them, each gzipped or not, and a fourth with the candidates to rerank."""
    documents, asked = read_documents(corpus), read_queries(queries)
    judgments = read_judgments(qrels, asked, documents)
    listed = read_candidates(candidates, asked, documents) if candidates is not None else None
    return Retrieval(documents, asked, judgments, listed)


def read_reranking(source: str | Path) -> Retrieval:
    """A reranking task in one file: a row a query, with the lists positive and negative.

    A row with an empty list is left out, as mteb does it. Of equally similar passages the negatives come first: their
    ids are later in the alphabet. Raises UsageError or WorkbenchError with the line.
    """
    table = read_table(source, ("query", "positive", "negative"))
    columns = [table.pick(f"the {name} texts", (name,)) for name in ("query", "positive", "negative")]
    asked: list[tuple[str, str, str]] = []
    passages: list[tuple[str, str, str]] = []
    judgments: dict[str, dict[str, int]] = {}
    for number, row in enumerate(table.rows):
        query = table.text(row, columns[0])
        good, bad = (table.list(row, column) for column in columns[1:])
        if not good or not bad:
            continue
        asked.append((f"query{number}", query, table.where(row)))
        made = {f"a-{number}-{place:05d}": text for place, text in enumerate(good)}
        made |= {f"n-{number}-{place:05d}": text for place, text in enumerate(bad)}
        passages += [(id, text, table.where(row)) for id, text in made.items()]
        judgments[f"query{number}"] = {id: int(id.startswith("a-")) for id in made}
    if not asked:
        raise WorkbenchError(f"{source}: no row has both a positive and a negative text")
    candidates = {id: list(judged) for id, judged in judgments.items()}
    return Retrieval(collection(passages), collection(asked), judgments, candidates)


def collection(rows: Iterable[tuple[str, str, str]]) -> Collection:
    """A collection of (id, text, place) rows."""
    listed = list(rows)
    return Collection([row[0] for row in listed], [row[1] for row in listed], [row[2] for row in listed])


def _collection(table: Table, id: str, texts: list[str]) -> Collection:
    names = [table.name(row, id) for row in table.rows]
    return Collection(names, texts, [table.where(row) for row in table.rows])


def _known(place: str, what: str, ids: Sequence[str], known: set[str]) -> None:
    for id in ids:
        if id not in known:
            raise WorkbenchError(f"{place}: no {what} has the id {id!r}")
