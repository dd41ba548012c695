"""Whether facts can be read about entities that the embedder and its lifter never met, in one table.

    python -m analyses.unseen_entities       # writes docs/unseen_entities.md; resumes; about 20 minutes on 2 cores

A tenth of the entities is struck from the training queries: no line that names one remains. Embedder and lifter are
trained on the rest by the shipped recipes, then asked for every fact about the struck ones in held-out wordings.
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


def main(
    runs: Annotated[Path, typer.Option(help="Folder of corpus and trainings.")] = RUNS,
    output: Annotated[Path, typer.Option(help="Markdown file of the table.")] = DOCS,
) -> None:
    """Make the corpus and the questions, train what is missing, measure, write the table."""
    from workbench.evaluation.lifter import evaluate
    from workbench.fieldguide.corpus import Tables
    from workbench.files import atomic_path, write_json
    from workbench.training.teachers import load_teacher

    tables = Tables.load()
    struck = {x for topic in tables.topics for x in entities(tables, topic) if unseen(topic, x)}
    left = strike(struck, runs / "corpus.jsonl")
    asked = questions(tables, runs / "exam" / "eval.jsonl")
    embedder = train_like_shipped(runs / "corpus.jsonl", runs / "embedder")
    report = evaluate(embedder, train_lifter(runs), load_teacher(), data=runs / "exam")
    write_json(runs / "report.json", report.to_dict())
    counts = (
        f"{len(struck)} entities are struck, {left} training queries remain, {asked} questions are asked."
    )
    with atomic_path(output) as temporary:
        temporary.write_text(page(counts, report.table()), encoding="utf-8")
    print(report.table())


def unseen(topic: str, x: str) -> bool:
    """Whether entity `x` is struck from the training queries."""
    return crc32(f"unseen/{topic}/{x}".encode()) % 1000 < SHARE * 1000


def entities(tables: Any, topic: str) -> list[str]:
    """The entities of a topic, in table order."""
    return list(dict.fromkeys(fact.x for fact in tables.facts if fact.topic == topic))


def strike(struck: set[str], output: Path) -> int:
    """Write the shipped corpus without the lines that name one of these, in query or response; how many remain."""
    from workbench.fieldguide.items import holds
    from workbench.files import atomic_path, shipped

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
    from workbench.fieldguide.questions import one_hop
    from workbench.files import atomic_path

    draw = Random(0)
    facts = [fact for fact in tables.facts if unseen(fact.topic, fact.x)]
    items = [one_hop(tables.topics, fact, draw, held_out=True) for fact in facts]
    output.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(output) as temporary:
        lines = (json.dumps(item.to_dict(), ensure_ascii=False) for item in items)
        temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return len(items)


def train_lifter(runs: Path) -> Any:
    """The lifter of the embedder in `runs`, trained as `make lifter` trains the shipped one."""
    from workbench import load_embedder
    from workbench.embedders.lifter_artifact import load_lifter
    from workbench.files import cache_folder
    from workbench.texts import read_texts
    from workbench.training.corpus import Corpus, targets
    from workbench.training.lifter import train
    from workbench.training.lifter_config import LifterTraining
    from workbench.training.teachers import load_teacher

    embedder = load_embedder(runs / "embedder", dtype="bfloat16")
    table = read_texts(str(runs / "corpus.jsonl"), None)
    responses = [str(row["response"]) for row in table.rows]
    vectors = targets(load_teacher(), responses, cache_dir=cache_folder(None))
    corpus = Corpus(table.texts, responses, vectors, {"source": str(runs / "corpus.jsonl")})
    train(embedder, corpus, LifterTraining(bf16="on"), output=runs / "lifter")
    return load_lifter(load_embedder(runs / "embedder"), runs / "lifter")


def page(counts: str, table: str) -> str:
    """The tables as a page that says how they were made."""
    return f"""# Facts about entities that the embedder never met

Made by `python -m analyses.unseen_entities`. {counts}
Embedder and lifter are trained by the shipped recipes on what remains; the language model itself knows every entity.

{table}

*Own reading* is decoded from the soft prompts, *pooled vector alone* through the lifter. The teacher's rows read
vectors that MiniLM makes of the answers to these questions (*responses*) and of passages that hold them.

So the special tokens carry a name that training never showed them, and the pooled vector, read through a lifter that
never wrote that name, mostly does not: it decodes to something like it. A lifter reads what lies among what it was
trained on.
"""


if __name__ == "__main__":
    typer.run(main)
