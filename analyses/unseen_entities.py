"""Whether facts can be read about entities that the embedder and its lifter never met, in one table.

    python -m analyses.unseen_entities       # writes docs/unseen_entities.md; resumes; about 30 minutes on 2 cores

A tenth of the entities is struck from the training queries: no line that names one remains. An embedder is trained on
the rest by the shipped recipe, then asked for every fact about the struck ones in held-out wordings. Two lifters read
its pooled vectors: one that has met the struck entities in its training queries, and one that has not.
"""

import json
from pathlib import Path
from random import Random
from typing import Annotated, Any
from zlib import crc32

import typer

from analyses.recipe import train_like_shipped

DOCS = Path(__file__).parents[1] / "docs" / "unseen_entities.md"
RUNS = Path("runs") / "unseen"
SHARE = 0.1
ROUNDS = 4
"""Of the search; chosen on training wordings of the questions."""


def main(
    runs: Annotated[Path, typer.Option(help="Folder of corpus and trainings.")] = RUNS,
    output: Annotated[Path, typer.Option(help="Markdown file of the table.")] = DOCS,
) -> None:
    """Make the corpus and the questions, train what is missing, measure, write the table."""
    from workbench.decoding.search import Search
    from workbench.disk import atomic_path
    from workbench.evaluation.lifter import evaluate
    from workbench.fieldguide.corpus import Tables
    from workbench.files import shipped, write_json
    from workbench.training.teachers import load_teacher

    tables = Tables.load()
    struck = {x for topic in tables.topics for x in entities(tables, topic) if unseen(topic, x)}
    left = strike(struck, runs / "corpus.jsonl")
    asked = questions(tables, runs / "exam" / "eval.jsonl")
    embedder = train_like_shipped(runs / "corpus.jsonl", runs / "embedder")
    teacher, how = load_teacher(), Search(rounds=ROUNDS)
    reports = {}
    for name, corpus in {
        "lifter-met": shipped("fieldguide", "corpus.jsonl"),
        "lifter": runs / "corpus.jsonl",
    }.items():
        lifter = train_lifter(runs, corpus, name)
        reports[name] = evaluate(embedder, lifter, teacher, data=runs / "exam", search=how)
        write_json(runs / f"{name}.json", reports[name].to_dict())
    counts = (
        f"{len(struck)} entities are struck, {left} training queries remain, {asked} questions are asked."
    )
    with atomic_path(output) as temporary:
        tables = [reports[name].table() for name in ("lifter-met", "lifter")]
        temporary.write_text(page(counts, *tables), encoding="utf-8")
    print(*tables, sep="\n\n")


def unseen(topic: str, x: str) -> bool:
    """Whether entity `x` is struck from the training queries."""
    return crc32(f"unseen/{topic}/{x}".encode()) % 1000 < SHARE * 1000


def entities(tables: Any, topic: str) -> list[str]:
    """The entities of a topic, in table order."""
    return list(dict.fromkeys(fact.x for fact in tables.facts if fact.topic == topic))


def strike(struck: set[str], output: Path) -> int:
    """Write the shipped corpus without the lines that name one of these, in query or response; how many remain."""
    from workbench.disk import atomic_path
    from workbench.fieldguide.items import holds
    from workbench.files import shipped

    lines = shipped("fieldguide", "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    named = sorted(struck)
    kept = []
    for line in lines:
        row = json.loads(line)
        if not holds(row["query"], named) and not holds(row["response"], named):
            kept.append(line)
    output.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(output) as temporary:
        temporary.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
    return len(kept)


def questions(tables: Any, output: Path) -> int:
    """Write a one-hop question in held-out wording for every fact about a struck entity; how many there are."""
    from workbench.disk import atomic_path
    from workbench.fieldguide.questions import one_hop

    draw = Random(0)
    facts = [fact for fact in tables.facts if unseen(fact.topic, fact.x)]
    items = [one_hop(tables.topics, fact, draw, held_out=True) for fact in facts]
    output.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(output) as temporary:
        lines = (json.dumps(item.to_dict(), ensure_ascii=False) for item in items)
        temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return len(items)


def train_lifter(runs: Path, queries: Path, name: str) -> Any:
    """A lifter of the embedder in `runs`, trained on these queries as `make lifter` trains the shipped one."""
    from workbench import load_embedder
    from workbench.embedders.lifter_artifact import load_lifter
    from workbench.files import cache_folder
    from workbench.texts import read_texts
    from workbench.training.corpus import Corpus, targets
    from workbench.training.lifter import train
    from workbench.training.lifter_config import LifterTraining
    from workbench.training.teachers import load_teacher

    embedder = load_embedder(runs / "embedder", dtype="bfloat16")
    table = read_texts(str(queries), None)
    responses = [str(row["response"]) for row in table.rows]
    vectors = targets(load_teacher(), responses, cache_dir=cache_folder(None))
    corpus = Corpus(table.texts, responses, vectors, {"source": str(queries)})
    train(embedder, corpus, LifterTraining(bf16="on"), output=runs / name)
    return load_lifter(load_embedder(runs / "embedder"), runs / name)


def page(counts: str, met: str, unmet: str) -> str:
    """The tables as a page that says how they were made."""
    return f"""# Facts about entities that the embedder never met

Made by `python -m analyses.unseen_entities`. {counts}
The embedder is trained by the shipped recipe on what remains; the language model itself knows every entity.

*Own reading* is decoded from the soft prompts, *pooled vector alone* through a lifter. The teacher's rows read vectors
that MiniLM makes of the answers to these questions (*responses*) and of passages that hold them in other words. *By
search* is the best of many readings of what lies near the vector (`workbench/decoding/search.py`, {ROUNDS} rounds).

## The lifter has met them

The lifter of this embedder is trained on the whole corpus, as the shipped one is: on the embedder's vectors of other
wordings about these entities, which it never trained on, and on MiniLM's vectors of the responses.

{met}

## The lifter has not met them either

The lifter is trained on what remains, so that it has never written one of these names.

{unmet}

The special tokens carry names that training never showed them. A lifter that has met a name, if only in such vectors,
reads it in the pooled vector as well as the special tokens say it. One that has not often writes something like it, and
a search makes up for much of that. Where the first reading is good already a search can spoil it: it is an option.
"""


if __name__ == "__main__":
    typer.run(main)
