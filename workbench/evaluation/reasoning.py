"""Reasoning-intensive retrieval in the layout of BRIGHT: examples with gold ids, and ids that they may not find."""

from __future__ import annotations

from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.evaluation import retrieval
from workbench.evaluation.protocol import Encode, Score
from workbench.evaluation.retrieval_files import ID, Retrieval, collection, read_documents
from workbench.evaluation.tables import read_table

NOTHING = "N/A"
"""What BRIGHT writes into the list of excluded ids where there is none."""


def read_bright(examples: str | Path, documents: str | Path, *, long: bool = False) -> Retrieval:
    """A domain of BRIGHT: examples with id, query, gold_ids and excluded_ids (lists), and documents with id, content.

    `long` takes gold_ids_long, for the documents of long_documents. An excluded id that no document has excludes
    nothing. Raises UsageError or WorkbenchError with the line for a missing column, a gold id that no document has, or
    one that is excluded as well.
    """
    corpus, wanted = read_documents(documents), "gold_ids_long" if long else "gold_ids"
    table = read_table(examples, (*ID, "query", wanted, "excluded_ids"))
    id, query = table.pick("the id", ID), table.pick("the query", ("query",))
    gold, excluded = table.pick("the documents to find", (wanted,)), table.has(("excluded_ids",))
    known, rows = set(corpus.ids), []
    judgments, left_out = {}, {}
    for row in table.rows:
        name, place = table.name(row, id), table.where(row)
        right = table.list(row, gold)
        without = [other for other in table.list(row, excluded) if other != NOTHING] if excluded else []
        for document in right:
            if document not in known:
                raise WorkbenchError(f"{place}: no document has the id {document!r}")
            if document in without:
                raise WorkbenchError(f"{place}: {document!r} is both to be found and excluded")
        rows.append((name, table.text(row, query), place))
        judgments[name], left_out[name] = dict.fromkeys(right, 1), without
    return Retrieval(corpus, collection(rows), judgments, excluded=left_out)


def evaluate(data: Retrieval, encode_query: Encode, encode_document: Encode, *, task: str) -> Score:
    """nDCG@10 (the main score) and the other figures of retrieval, without the documents that a query excludes.

    The score's items are the queries' nDCG@10, which an interval resamples. Raises as `retrieval.evaluate`.
    """
    return retrieval.evaluate(data, encode_query, encode_document, task=task, protocol="reasoning")
