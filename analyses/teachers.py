"""What the teacher is worth: LLM2Vec-Gen trained with each, by the shipped recipe, in one table.

    python -m analyses.teachers          # prints it, and writes docs/teachers.md; resumes; about 25 minutes

MiniLM's row is the shipped embedder; the two others are trained into runs/teachers/.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from analyses.recipe import train_like_shipped

DOCS = Path(__file__).parents[1] / "docs" / "teachers.md"
RUNS = Path("runs") / "teachers"
WEIGHTS = {"data/teachers/llm2vec": 0.0027, "mean-pool": 0.0038}
"""Weight of the alignment loss: MiniLM's vectors have length 1 and a variance of 0.90 over 300 responses, these two
338 and 235, so the same weight would drown the reconstruction."""
NAMES = {
    "data/teachers/llm2vec": "LLM2Vec-style (same backbone)",
    "mean-pool": 'mean pool (same backbone, the paper\'s "JEPA mode")',
}


def main(
    runs: Annotated[Path, typer.Option(help="Folder of the trainings.")] = RUNS,
    output: Annotated[Path, typer.Option(help="Markdown file of the table.")] = DOCS,
    limit: Annotated[int | None, typer.Option(help="Only so many queries of each kind.", min=2)] = None,
) -> None:
    """Train what is missing, measure all, write the table."""
    from workbench import load_embedder
    from workbench.disk import atomic_path
    from workbench.files import measured, shipped, write_json

    rows = {}
    for teacher in [None, *WEIGHTS]:
        name = "MiniLM (shipped)" if teacher is None else NAMES[teacher]
        kept = (
            runs
            / f"{'minilm' if teacher is None else Path(teacher).name}{f'-{limit}' if limit else ''}.scores.json"
        )
        if not kept.is_file():
            embedder = load_embedder() if teacher is None else train_like_shipped(
                shipped("fieldguide", "corpus.jsonl"), runs / Path(teacher).name,
                teacher=teacher, w_align=WEIGHTS[teacher],
            )  # fmt: skip
            write_json(kept, measured(measure(embedder, teacher, limit)))
        rows[name] = json.loads(kept.read_text(encoding="utf-8"))
    text = page(rows, limit)
    print(text)
    with atomic_path(output) as temporary:
        temporary.write_text(text, encoding="utf-8")


def measure(embedder: Any, teacher: str | None, limit: int | None) -> dict[str, float]:
    """What the embedder keeps and finds, and what its teacher finds from the query itself."""
    from analyses import fieldguide_tasks
    from workbench.evaluation import fieldguide
    from workbench.training.teachers import DEFAULT, load_teacher

    report = fieldguide.evaluate(embedder, load_teacher(teacher or DEFAULT, embedder.backbone), limit=limit)
    own = {
        f"teacher_{kind}": next(s.recall_at_1 for name, s in methods.items() if name.startswith("teacher"))
        for kind, methods in report.retrieval.items()
    }
    found = asdict(fieldguide_tasks.evaluate(embedder, limit=limit))
    return {"kept": report.decoding["all facts"].kept, **own, **found}


COLUMNS = {
    "kept": "decoded fact right, of what the LM knows",
    "two_hop": "two hops, R@1",
    "teacher_two_hop": "its teacher on the query",
    "one_hop": "one hop, R@1",
    "teacher_one_hop": "its teacher on the query",
    "answer": "same answer, 1-NN",
    "emotion": "same emotion, 1-NN",
    "harm": "harmful or look-alike, 1-NN",
}


def page(rows: dict[str, dict[str, float]], limit: int | None) -> str:
    """The table as a page that says how it was made."""
    lines = [f"| teacher | {' | '.join(COLUMNS.values())} |", "|---|" + "--:|" * len(COLUMNS)]
    lines += [
        f"| {name} | " + " | ".join(f"{row[key]:.3f}" for key in COLUMNS) + " |" for name, row in rows.items()
    ]
    option = "" if limit is None else f" --limit {limit}"
    return "\n".join([
        "# LLM2Vec-Gen with three teachers", "",
        f"Made by `python -m analyses.teachers{option}` on the field guide's held-out queries.",
        "Every row is the shipped recipe; only the teacher differs, and with it the alignment's weight: "
        + ", ".join(f"{weight} for `{name}`" for name, weight in WEIGHTS.items()) + ",",
        "because their vectors are longer than MiniLM's. The columns are those of [baselines.md](baselines.md).", "",
        *lines, "",
    ])  # fmt: skip


if __name__ == "__main__":
    typer.run(main)
