"""The baselines and both methods on the field guide's tasks, in one table.

    python -m analyses.baselines                      # prints it, and writes docs/baselines.md
    python -m analyses.baselines --limit 20           # a quick look; writes nothing unless --output is given

All embedders read the same held-out queries (data/fieldguide/eval.jsonl) and the same passages.
"""

from pathlib import Path
from typing import Annotated, Any

import typer

DOCS = Path(__file__).parents[1] / "docs" / "baselines.md"
COMMAND = "python -m analyses.baselines"


def main(
    limit: Annotated[int | None, typer.Option(help="Only so many queries of each kind.", min=2)] = None,
    answers: Annotated[int, typer.Option(help="Sampled answers of HyDE for a query.", min=1)] = 8,
    output: Annotated[Path | None, typer.Option(help="Markdown file of the table.")] = None,
) -> None:
    """Measure every embedder and write the table."""
    from analyses.fieldguide_tasks import evaluate, table
    from workbench.disk import atomic_path

    scores = {}
    for name, embedder in embedders(answers).items():
        typer.echo(f"measuring {name}", err=True)
        scores[name] = evaluate(embedder, limit=limit)
    text = table(scores)
    print(text)
    if output is None and limit is None:
        output = DOCS
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(output) as temporary:
            temporary.write_text(page(text, limit, answers), encoding="utf-8")


def embedders(answers: int) -> dict[str, Any]:
    """Every embedder of the table by its name, baselines first, all on the shipped backbone."""
    from workbench import Backbone, load_embedder
    from workbench.embedders.baselines import HyDE, HyDEConfig, load_baseline
    from workbench.files import shipped
    from workbench.training.teachers import load_teacher

    backbone, teacher = Backbone.load(), load_teacher()
    found: dict[str, Any] = {
        "mean pool": load_baseline("mean-pool", backbone),
        "last token": load_baseline("last-token", backbone),
        "Echo": load_baseline("echo", backbone),
        "teacher (MiniLM)": load_baseline("teacher", backbone, teacher),
        f"HyDE (MiniLM, {answers} answers)": HyDE(
            backbone, teacher, HyDEConfig(answers=answers, max_new_tokens=64)
        ),
    }
    own = shipped("teachers", "llm2vec")
    found["teacher (LLM2Vec-style)"] = load_baseline("teacher", backbone, load_teacher(str(own), backbone))
    found["GEM"] = load_embedder(shipped("embedders", "gem"), backbone=backbone)
    found["LLM2Vec-Gen"] = load_embedder(backbone=backbone)
    return found


def page(text: str, limit: int | None, answers: int) -> str:
    """The table as a page that says how it was made and how to read it."""
    options = "" if answers == 8 else f" --answers {answers}"
    options += "" if limit is None else f" --limit {limit}"
    return f"""# Baselines and both methods on the field guide

Made by `{COMMAND}{options}`. Every figure is a share of held-out queries (`data/fieldguide/eval.jsonl`).

{text}

*Two hops* and *one hop* are recall at 1 of the passage that answers, among all passages of `passages.jsonl`. The
other columns ask whether the nearest other query, by cosine, has the same answer (one-hop questions; only answers that
two of them share count), the same emotion, or is a harmful request (or a harmless look-alike) too.

HyDE lets the model write {answers} answers to a query before anything is embedded; every other row reads it once.
Queries go in behind the "query" instruction where an embedder has one (`workbench fieldguide evaluate` gives none).
"""


if __name__ == "__main__":
    typer.run(main)
