"""The ablations of the LLM2Vec-Gen paper (arXiv 2603.10913, section 5) on the field guide, in short runs.

    python -m analyses.llm2vec_gen_ablations objectives     # only alignment, only reconstruction, both
    python -m analyses.llm2vec_gen_ablations tokens         # 1, 5, 10, 20 compression tokens
    python -m analyses.llm2vec_gen_ablations generator      # whose responses: the model's own, or the templates'
    python -m analyses.llm2vec_gen_ablations encoder        # frozen, or with a LoRA
    python -m analyses.llm2vec_gen_ablations instructions   # generative, embedding-style or none; nothing is trained

What the teacher is worth has a script of its own, `analyses.teachers`. A finished run is not repeated. The first two
also write the results of a figure, data/figures/objectives.json and special_tokens.json.
"""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from analyses.intervals import share
from analyses.recipe import FIELD_GUIDE, batch_size, data_tag, train_briefly

RESULTS = Path(__file__).parent / "results" / "llm2vec_gen_ablations"
EMBEDDING_STYLE = {
    "query": "Represent this question for retrieving the passage that answers it:",
    "document": "Represent this passage for retrieval:",
}
"""In our words, what an instruction for an ordinary embedder says."""
COLUMNS = {
    "kept": "decoded fact right, of what the LM knows",
    "two_hop": "two hops, R@1",
    "one_hop": "one hop, R@1",
    "answer": "same answer, 1-NN",
}


class Table(StrEnum):
    """The tables by what varies in them."""

    OBJECTIVES = "objectives"
    TOKENS = "tokens"
    GENERATOR = "generator"
    ENCODER = "encoder"
    INSTRUCTIONS = "instructions"


FIGURES = {Table.OBJECTIVES: "objectives", Table.TOKENS: "special_tokens"}
"""The tables that are figures too."""


def main(
    table: Annotated[Table, typer.Argument(help="Which table.")],
    steps: Annotated[int, typer.Option(help="Training steps of a run.", min=2)] = 100,
    limit: Annotated[int, typer.Option(help="Held-out queries of each kind.", min=2)] = 400,
    results: Annotated[Path, typer.Option(help="Folder of the runs and the rows.")] = RESULTS,
    output: Annotated[Path | None, typer.Option(help="The figure's results file.")] = None,
) -> None:
    """Train and measure the rows of one table, one after the other, and print it as Markdown."""
    from workbench.files import measured, write_json

    print(f"| {table.value} | {' | '.join(COLUMNS.values())} |")
    print("|---|" + "--:|" * len(COLUMNS))
    rows, tag = [], data_tag()
    for name, changes, shape in settings(table):
        run = results / f"{table.value}-{name.replace(' ', '-')}-{steps}-{tag}"
        row = results / f"{run.name}-{limit}.json"
        if not row.is_file():
            if table is Table.INSTRUCTIONS:
                embedder = instructed(name)
            else:
                embedder = trained(changes, shape, steps, name == "the templates' answers", run)
            write_json(row, measured({"setting": name, "steps": steps, **measure(embedder, limit)}))
        found = json.loads(row.read_text(encoding="utf-8"))
        cells = ["–" if found[key] is None else f"{found[key]:.3f}" for key in COLUMNS]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
        rows.append({"setting": name, **{key: share(found[key], found["n"][key]) for key in COLUMNS}})
    if table in FIGURES:
        write_figure(table, rows, steps, limit, output)


def write_figure(
    table: Table, rows: list[dict[str, Any]], steps: int, limit: int, output: Path | None
) -> None:
    """Writes the results of the table's figure."""
    from workbench.figures.paper.results import write_results

    n = {key: rows[0][key]["n"] for key in COLUMNS}
    options = ("" if steps == 100 else f" --steps {steps}") + ("" if limit == 400 else f" --limit {limit}")
    write_results(
        FIGURES[table],
        data={"rows": rows},
        numbers={"steps": steps, "batch": batch_size(), "queries": steps * batch_size(), **n},
        artifacts=FIELD_GUIDE,
        command=f"python -m analyses.llm2vec_gen_ablations {table.value}{options}",
        output=output,
    )


def settings(table: Table) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """The rows of a table: a name, changes of the training and of the embedder's shape."""
    if table is Table.OBJECTIVES:
        return [
            ("only alignment", {"w_recon": 0.0}, {}),
            ("only reconstruction", {"w_align": 0.0, "align_start": "zero"}, {}),
            ("both", {}, {}),
        ]
    if table is Table.TOKENS:
        return [(f"n = {n}", {}, {"n_compression": n}) for n in (1, 5, 10, 20)]
    if table is Table.GENERATOR:
        return [("the model's own responses", {}, {}), ("the templates' answers", {}, {})]
    if table is Table.ENCODER:
        return [("frozen", {"lora_rank": 0, "packing": "off"}, {"lora_rank": 0}), ("LoRA, rank 16", {}, {})]
    return [("generative", {}, {}), ("embedding-style", {}, {}), ("none", {}, {})]


def trained(changes: dict[str, Any], shape: dict[str, Any], steps: int, templates: bool, output: Path) -> Any:
    """An embedder trained for `steps` by the shipped recipe with these changes, on the first queries of the corpus."""
    from workbench import load_embedder
    from workbench.files import shipped
    from workbench.texts import read_texts
    from workbench.training.corpus import Corpus

    table = read_texts(str(shipped("fieldguide", "corpus.jsonl")), None, limit=steps * batch_size())
    responses = [str(row["response"]) for row in table.rows]
    if templates:
        answers = template_answers()
        responses = [answers[text] for text in table.texts]
    train_briefly(Corpus(table.texts, responses), output, shape=shape, **changes)
    return load_embedder(output)


def template_answers() -> dict[str, str]:
    """What the field guide's templates answer to each of its training queries."""
    from workbench.fieldguide.build import QUERIES
    from workbench.fieldguide.corpus import Tables, unlabelled_queries

    return {item.query: item.response for item in unlabelled_queries(Tables.load(), QUERIES, 1)}


def instructed(name: str) -> Any:
    """The shipped embedder with other instructions for queries and documents."""
    from workbench import load_embedder

    embedder = load_embedder()
    if name != "generative":
        embedder.prompts |= EMBEDDING_STYLE if name == "embedding-style" else {"query": "", "document": ""}
    return embedder


def measure(embedder: Any, limit: int) -> dict[str, Any]:
    """Facts kept (behind the embedder's "query" instruction), and the retrieval and neighbours of `fieldguide_tasks`.

    `n` counts the queries that each figure is of.
    """
    from analyses import fieldguide_tasks
    from analyses.gem_ablations import shared_answers
    from workbench.decoding.decode import decode
    from workbench.fieldguide.exam import limited, mark, read_exam
    from workbench.files import shipped

    kinds = ("one_hop", "reverse", "two_hop")
    items = [
        item for item in limited(read_exam(shipped("fieldguide", "eval.jsonl")), limit) if item.kind in kinds
    ]
    queries = [item.query for item in items]
    known = mark(items, embedder.backbone.respond(queries)).right
    prompts = embedder.represent(queries, instruction=embedder.prompts["query"] or None).soft_prompts
    right = mark(items, decode(embedder, prompts)).right
    kept = [one for one, knew in zip(right, known, strict=True) if knew]
    counts = {kind: sum(item.kind == kind for item in items) for kind in kinds}
    n = {"kept": len(kept), "two_hop": counts["two_hop"], "one_hop": counts["one_hop"]}
    n["answer"] = shared_answers(items)
    found = fieldguide_tasks.evaluate(embedder, limit=limit).to_dict()
    return {"kept": sum(kept) / len(kept), **found, "n": n}


if __name__ == "__main__":
    typer.run(main)
