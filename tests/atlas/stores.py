"""Stores without a model: an embedder's stand-in that makes a text's vectors of its hash; run as a script, a build.

`python stores.py build INPUT STORE` says each step, and takes it when a line comes on stdin or stdin has ended;
`python stores.py read STORE UNTIL` reads until the file UNTIL exists, checks every row against its text, and says how
many there are.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np

from workbench.atlas import build as building
from workbench.atlas.entries import source_of
from workbench.atlas.layout import StoreFacts
from workbench.atlas.search import Search
from workbench.atlas.store import Made, open_store
from workbench.files import hash_file

SIZE, SHAPE = 16, (2, 8)


def numbers(text, count):
    """`count` numbers from -1 to 1 that only this text has."""
    digest = b"".join(hashlib.sha256(f"{n} {text}".encode()).digest() for n in range(count // 8 + 1))
    return (np.frombuffer(digest, "<u4")[:count] / 2**31 - 1).astype(np.float32)


def make(texts):
    embedding = np.stack([numbers(text, SIZE) for text in texts])
    soft_prompts = np.stack([numbers("soft " + text, 16).reshape(SHAPE) for text in texts])
    return Made(embedding, soft_prompts)


def facts_of(source, **changes):
    """The facts of a store that `make` fills."""
    facts = {
        "method": "stand-in", "embedder": "e" * 64, "backbone": {"weights": "w" * 64}, "dimension": SIZE,
        "soft_prompts": list(SHAPE), "instruction": None, "source": source.path.name,
        "source_hash": hash_file(source.path), "reading": source.reading.to_dict(),
    }  # fmt: skip
    return StoreFacts(**facts | changes)


def built(store, path, *, make=make, facts=None, progress=None, exact_rows=100_000, **reading):
    """Builds `store` from `path`; returns what `build` returns, and the lines about rows that are left out."""
    source, said = source_of(Path(path), **reading), []
    if reading.get("vector_column"):
        facts = {"soft_prompts": None, **(facts or {})}
    done = building.build(
        str(store), source, facts_of(source, **facts or {}), make, progress=progress, report=said.append,
        exact_rows=exact_rows,
    )  # fmt: skip
    return done, [str(line) for line in said]


def contents(store):
    """Every row of a store with all its columns, in the order of the input."""
    opened = open_store(str(store))
    rows = [row for batch in opened.scan(opened.table.schema.names) for row in batch.to_pylist()]
    return sorted(rows, key=lambda row: row["position"])


def write_rows(path, count):
    lines = [
        json.dumps({"text": f"text {n}", "year": 1900 + n % 100, "topic": "ab"[n % 2]}) for n in range(count)
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def whole(row):
    """True where a row's vectors and metadata are those of its text."""
    n = int(row["text"].split()[1])
    return (
        np.array_equal(np.float32(row["embedding"]), numbers(row["text"], SIZE))
        and np.array_equal(
            np.float16(row["soft_prompts"]), numbers("soft " + row["text"], 16).astype(np.float16)
        )
        and (row["year"], row["topic"], row["position"]) == (1900 + n % 100, "ab"[n % 2], n)
    )


def failing_after(calls):
    """A `make` that is interrupted behind so many calls."""
    done = []

    def fail(texts):
        done.append(texts)
        if len(done) > calls:
            raise KeyboardInterrupt
        return make(texts)

    return fail


def _where_let(texts):
    sys.stdin.readline()
    return make(texts)


def _read(store, until):
    query = numbers("text 3", SIZE)
    opened = open_store(store)
    search = Search(opened)
    last = False
    while not last:
        last = Path(until).exists()
        hits = search.nearest(query, 3)
        rows = [row for batch in opened.scan(opened.table.schema.names) for row in batch.to_pylist()]
        assert all(map(whole, rows)), "a torn row"
        assert len({row["id"] for row in rows}) == len(rows) == len(opened), "a row twice"
        assert hits[0].text == "text 3", hits
        print(len(rows), flush=True)


if __name__ == "__main__":
    building.CHUNK = 16
    if sys.argv[1] == "build":
        built(
            sys.argv[3],
            sys.argv[2],
            make=_where_let,
            progress=lambda done, total: print("written", done, flush=True),
        )
    else:
        _read(*sys.argv[2:])
