"""The three ablation tables of the GEM paper (arXiv 2506.04344, tables 2 to 4) on the field guide.

    python -m analyses.gem_ablations mix          # table 2: the share of texts without special tokens
    python -m analyses.gem_ablations objectives   # table 3: vanilla, mixed NTP, and the contrastive loss on top
    python -m analyses.gem_ablations tokens       # table 4: the number of special tokens

Every run is short (--steps, --limit) and lands in analyses/results/gem_ablations/; a finished run is not repeated.
"""

import json
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

RESULTS = Path(__file__).parent / "results" / "gem_ablations"


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
    steps: Annotated[int, typer.Option(help="Training steps of a run.", min=2)] = 300,
    limit: Annotated[int, typer.Option(help="Held-out queries of each kind.", min=1)] = 150,
    results: Annotated[Path, typer.Option(help="Folder of the runs and the table.")] = RESULTS,
) -> None:
    """Train and measure the rows of one table, one after the other, and print it as Markdown."""
    from workbench.files import measured, write_json

    rows = []
    for name, changes, shape in settings(table, steps):
        row = results / f"{table.value}-{name.replace(' ', '-').replace('+', 'and')}-{steps}.json"
        if not row.is_file():
            found = measure(changes, shape, texts, steps, limit, row)
            write_json(row, measured({"setting": name, "steps": steps, "limit": limit, **found}))
        rows.append(json.loads(row.read_text(encoding="utf-8")))
    print(f"| {table.value} | bottleneck, facts kept | 1-NN, same answer | perplexity | facts right, plain |")
    print("|---|--:|--:|--:|--:|")
    for row in rows:
        figures = (row[key] for key in ("kept", "neighbours", "perplexity", "accuracy"))
        cells = ["–" if figure is None else f"{figure:.3f}" for figure in figures]
        print(f"| {row['setting']} | " + " | ".join(cells) + " |")


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
    changes: dict[str, Any], shape: dict[str, Any], texts: Path | None, steps: int, limit: int, row: Path
) -> dict[str, float]:
    """Train one row on the first texts of the corpus and measure it on held-out queries."""
    from workbench import Backbone
    from workbench.embedders.config import GEMConfig
    from workbench.evaluation.gem import evaluate
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
        output=row.with_suffix(""),
    )  # fmt: skip
    report = evaluate(embedder, limit=limit)
    language = report.language["GEM's LM"]
    return {
        "kept": report.kept["all facts"],
        "neighbours": report.neighbours["gem"],
        "perplexity": language.perplexity,
        "accuracy": language.accuracy,
    }


if __name__ == "__main__":
    typer.run(main)
