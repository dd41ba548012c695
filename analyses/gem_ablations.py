"""The three ablation tables of the GEM paper (arXiv 2506.04344, tables 2 to 4) on the field guide.

    python -m analyses.gem_ablations mix          # table 2: the share of texts without special tokens
    python -m analyses.gem_ablations objectives   # table 3: vanilla, mixed NTP, and the contrastive loss on top
    python -m analyses.gem_ablations tokens       # table 4: the number of special tokens

Every run is short (--steps, --limit), and every row is the mean of several (--seeds), with the lowest and the highest
of them: so short a training hangs on its seed as much as on what varies here. Runs land in
analyses/results/gem_ablations/; a finished one is not repeated. The first table also writes the results of a figure,
data/figures/mix_ratio.json.
"""

import json
import statistics
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from analyses.recipe import FIELD_GUIDE, data_tag

RESULTS = Path(__file__).parent / "results" / "gem_ablations"
MEASURED = ("kept", "neighbours", "perplexity", "accuracy")


class Table(StrEnum):
    """The tables by what varies in them."""

    MIX = "mix"
    OBJECTIVES = "objectives"
    TOKENS = "tokens"


def main(
    table: Annotated[Table, typer.Argument(help="Which table.")],
    texts: Annotated[
        Path | None, typer.Option(help="Queries with responses; else the shipped corpus.")
    ] = None,
    steps: Annotated[int, typer.Option(help="Training steps of a run.", min=2)] = 100,
    limit: Annotated[int, typer.Option(help="Held-out queries of each kind.", min=1)] = 40,
    seeds: Annotated[int, typer.Option(help="Trainings of a row.", min=1)] = 3,
    results: Annotated[Path, typer.Option(help="Folder of the runs and the table.")] = RESULTS,
    output: Annotated[Path | None, typer.Option(help="The figure's results file.")] = None,
) -> None:
    """Train and measure the rows of one table, one after the other, and print it as Markdown."""
    from workbench.files import measured, write_json

    rows, tag = [], data_tag()
    for name, changes, shape in settings(table, steps):
        trainings = []
        for seed in range(seeds):
            run = results / f"{table.value}-{name.replace(' ', '-').replace('+', 'and')}-{steps}-{tag}-{seed}"
            row = results / f"{run.name}-{limit}.json"
            if not row.is_file():
                found = measure({**changes, "seed": seed}, shape, texts, steps, limit, run)
                write_json(row, measured({"setting": name, "steps": steps, "limit": limit, **found}))
            trainings.append(json.loads(row.read_text(encoding="utf-8")))
        rows.append(over_trainings(trainings))
    print(f"| {table.value} | bottleneck, facts kept | 1-NN, same answer | perplexity | facts right, plain |")
    print("|---|--:|--:|--:|--:|")
    for row in rows:
        print(f"| {row['setting']} | " + " | ".join(cell(row[key]) for key in MEASURED) + " |")
    if table is Table.MIX and texts is None:
        write_figure(rows, [changes["p"] for _, changes, _ in settings(table, steps)], steps, limit, output)


def over_trainings(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """One row of a table from those of its trainings: each figure's mean, lowest and highest; the rest is the same."""
    found = {**rows[0], "trainings": len(rows)}
    for key in MEASURED:
        values = [row[key] for row in rows if row[key] is not None]
        low, high = (min(values), max(values)) if values else (None, None)
        found[key] = {"value": statistics.fmean(values) if values else None, "low": low, "high": high}
    return found


def cell(figure: dict[str, float | None]) -> str:
    """A figure as the table shows it, such as `0.272 (0.246, 0.360)`."""
    if figure["value"] is None:
        return "–"
    return f"{figure['value']:.3f} ({figure['low']:.3f}, {figure['high']:.3f})"


def write_figure(
    rows: list[dict[str, Any]], mixes: list[float], steps: int, limit: int, output: Path | None
) -> None:
    """Writes the results of the figure: each mix with its figures, and the model before."""
    from workbench.figures.paper.results import write_results

    trainings = rows[0]["trainings"]
    options = ("" if steps == 100 else f" --steps {steps}") + ("" if limit == 40 else f" --limit {limit}")
    options += "" if trainings == 3 else f" --seeds {trainings}"
    counted = {key: rows[0]["n"][key] for key in MEASURED if key != "perplexity"}
    write_results(
        "mix_ratio",
        data={
            "points": [
                {"p": p, **{key: row[key] for key in MEASURED}} for p, row in zip(mixes, rows, strict=True)
            ],
            "before": rows[0]["before"],
        },
        numbers={"steps": steps, "batch": rows[0]["batch"], "trainings": trainings,
                 "dialogues": rows[0]["n"]["perplexity"], **counted},
        artifacts=FIELD_GUIDE,
        command=f"python -m analyses.gem_ablations mix{options}",
        output=output,
    )  # fmt: skip


def settings(table: Table, steps: int) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """The rows of a table: a name, changes of the training and of the embedder."""
    if table == Table.MIX:
        return [(f"p = {p}", {"p": p}, {}) for p in (0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.99)]
    if table == Table.TOKENS:
        return [(f"k = {k}", {}, {"n_special": k}) for k in (1, 2, 5, 10)]
    half = steps // 2
    return [
        ("vanilla", {"p": 1.0, "lr": 1e-12, "contrastive_lr": 1e-12}, {}),
        ("mixed NTP", {}, {}),
        ("mixed NTP + contrastive", {"alpha": 0.5, "alpha_start": half}, {}),
    ]


def measure(
    changes: dict[str, Any], shape: dict[str, Any], texts: Path | None, steps: int, limit: int, run: Path
) -> dict[str, Any]:
    """Train one row on the first texts of the corpus and measure it on held-out queries.

    `n` counts what each figure is of; `before` is the backbone that was fine-tuned.
    """
    from workbench import Backbone
    from workbench.embedders.config import GEMConfig
    from workbench.evaluation.gem import FACTS, evaluate
    from workbench.fieldguide.exam import limited, read_exam
    from workbench.files import shipped
    from workbench.texts import read_texts
    from workbench.training.corpus import Corpus
    from workbench.training.gem import train
    from workbench.training.gem_config import GEMTraining

    recipe = GEMTraining(
        p=0.5, share_insertion=0.5, share_reconstruction=0.0, share_soft_prompt=0.5, lr=5e-4,
        contrastive_lr=5e-4, alpha=0.0, save_steps=1000, bf16="on",
    )  # fmt: skip
    recipe = replace(recipe, **changes)
    table = read_texts(
        str(texts or shipped("fieldguide", "corpus.jsonl")), None, limit=steps * recipe.batch_size
    )
    corpus = Corpus(table.texts, [str(line["response"]) for line in table.rows])
    embedder = train(
        Backbone.load(), corpus, recipe, replace(GEMConfig(lora_rank=64, lora_alpha=128.0), **shape),
        output=run,
    )  # fmt: skip
    report = evaluate(embedder, limit=limit)
    language, before = report.language["GEM's LM"], report.language["the LM before"]
    exam = read_exam(shipped("fieldguide", "eval.jsonl"))
    facts = sum(item.kind in FACTS for item in limited(exam, limit))
    known, shared = report.queries["all facts"], shared_answers(exam)
    return {
        "kept": report.kept["all facts"],
        "neighbours": report.neighbours["gem"],
        "perplexity": language.perplexity,
        "accuracy": language.accuracy,
        "before": {"perplexity": before.perplexity, "accuracy": before.accuracy},
        "batch": recipe.batch_size,
        "n": {
            "kept": known,
            "neighbours": shared,
            "accuracy": facts,
            "perplexity": len(limited(exam, limit)),
        },
    }


def shared_answers(items: list[Any]) -> int:
    """How many one-hop questions have an answer that another one has too: only they have a right neighbour."""
    answers = [item.accept[0] for item in items if item.kind == "one_hop"]
    return sum(answers.count(answer) > 1 for answer in answers)


if __name__ == "__main__":
    typer.run(main)
