"""Size against quality: field guides of several sizes, and what the same short LLM2Vec-Gen training makes of each.

    python -m analyses.size_quality        # writes data/figures/size_quality.json; resumes; about half an hour

The small ones are pretrained here, all for the same number of steps, on the corpus and by the recipe of the shipped
one, which was trained for longer. Each answers the same queries itself; every embedder has the same short budget.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from analyses.intervals import share
from analyses.recipe import FIELD_GUIDE, batch_size, data_tag, train_briefly

RUNS = Path("runs") / "size_quality"


class Size(NamedTuple):
    """Width and depth of a Llama; heads have 64 dimensions, feed-forward layers 5/4 of the width, as in the shipped."""

    hidden: int
    layers: int


SIZES = (Size(64, 2), Size(128, 2), Size(256, 3))
SHIPPED = Size(512, 4)


def main(
    pretraining: Annotated[
        int, typer.Option(help="Pretraining steps of each small field guide.", min=1)
    ] = 2000,
    steps: Annotated[int, typer.Option(help="Training steps of each embedder.", min=2)] = 200,
    limit: Annotated[int, typer.Option(help="Held-out queries of each kind.", min=2)] = 400,
    fresh: Annotated[bool, typer.Option(help="Measure again; what was trained stays.")] = False,
    runs: Annotated[Path, typer.Option(help="Folder of field guides, embedders and scores.")] = RUNS,
    output: Annotated[Path | None, typer.Option(help="The results file.")] = None,
) -> None:
    """Train what is missing, size by size, measure it, and write the figure's results."""
    from workbench.figures.paper.results import write_results
    from workbench.files import write_json

    points, tag = [], data_tag()
    for size in (*SIZES, SHIPPED):
        name = f"{size.hidden}x{size.layers}-{tag if size == SHIPPED else pretraining}"
        kept = runs / f"{name}-{steps}-{limit}-{tag}.json"
        if fresh or not kept.is_file():
            write_json(kept, point(size, runs / name, pretraining, steps, limit))
        points.append(json.loads(kept.read_text(encoding="utf-8")))
        typer.echo(f"{name}: {points[-1]}", err=True)
    print(write_results(
        "size_quality",
        data={"points": points, "teacher": teacher_two_hop()},
        numbers=numbers(points, steps),
        artifacts=[*FIELD_GUIDE, "fieldguide/marks.json", "fieldguide/report.json"],
        command="python -m analyses.size_quality" + options(pretraining, steps, limit),
        output=output,
    ))  # fmt: skip


def options(pretraining: int, steps: int, limit: int) -> str:
    """What must be given on the command line to get these numbers, where they are not its own."""
    given = {"pretraining": (pretraining, 2000), "steps": (steps, 200), "limit": (limit, 400)}
    return "".join(f" --{name} {value}" for name, (value, usual) in given.items() if value != usual)


def point(size: Size, folder: Path, pretraining: int, steps: int, limit: int) -> dict[str, Any]:
    """One size: its field guide and embedder, trained where they are missing, and their shares with intervals."""
    from analyses.llm2vec_gen_ablations import measure
    from workbench import Backbone, load_embedder
    from workbench.files import shipped

    home = shipped("fieldguide") if size == SHIPPED else folder
    if size != SHIPPED:
        pretrained(size, folder, pretraining)
    model = str(home / "model")
    train_embedder(model, size, folder.with_name(f"{folder.name}-embedder-{steps}"), steps)
    backbone = Backbone.load(model)
    embedder = load_embedder(folder.with_name(f"{folder.name}-embedder-{steps}"), backbone=backbone)
    marks = json.loads((home / "marks.json").read_text(encoding="utf-8"))
    right = round(sum(marks["share"][kind] * count for kind, count in marks["count"].items()))
    found = measure(embedder, limit)
    return {
        "hidden": size.hidden,
        "layers": size.layers,
        "parameters": sum(weight.numel() for weight in backbone.model.parameters()),
        "pretraining": marks["config"]["steps"],
        "shipped": size == SHIPPED,
        "exam": share(right / sum(marks["count"].values()), sum(marks["count"].values())),
        **{key: share(found[key], found["n"][key]) for key in ("kept", "two_hop", "one_hop")},
    }


def pretrained(size: Size, folder: Path, steps: int) -> None:
    """The small field guide in `folder`, built where it is not there; UsageError where another one lies there."""
    from workbench.errors import UsageError
    from workbench.fieldguide.build import build
    from workbench.fieldguide.pretraining import PretrainingConfig

    config = PretrainingConfig(
        hidden_size=size.hidden, layers=size.layers, intermediate_size=size.hidden * 5 // 4,
        heads=size.hidden // 64, steps=steps, exam_every=steps,
    )  # fmt: skip
    marks = folder / "marks.json"
    if not marks.is_file():
        build(folder, config=config)
    elif (found := json.loads(marks.read_text(encoding="utf-8"))["config"]) != asdict(config):
        raise UsageError(f"{folder} holds a field guide of another configuration ({found}): delete it")


def train_embedder(model: str, size: Size, output: Path, steps: int) -> None:
    """An embedder of this backbone on the first queries of the shipped list, with the backbone's own responses."""
    from workbench import Backbone
    from workbench.embedders.artifact import CONFIG
    from workbench.files import cache_folder, shipped
    from workbench.texts import read_texts
    from workbench.training.corpus import Corpus, respond

    if (output / CONFIG).is_file():
        return
    table = read_texts(str(shipped("fieldguide", "corpus.jsonl")), "query", limit=steps * batch_size())
    if size == SHIPPED:  # these are its own responses
        corpus = Corpus(table.texts, [str(row["response"]) for row in table.rows])
    else:
        asked = Backbone.load(model)
        corpus = respond(asked, table.texts, cache_dir=cache_folder(None), max_new_tokens=64)
    train_briefly(
        Corpus(corpus.queries, corpus.responses), output, backbone=Backbone.load(model, dtype="bfloat16")
    )


def teacher_two_hop() -> float:
    """Recall at 1 of the teacher on the two-hop questions themselves, as the shipped report has it."""
    from workbench.files import shipped

    report = json.loads(shipped("fieldguide", "report.json").read_text(encoding="utf-8"))
    found = report["retrieval"]["two_hop"]
    return next(scores["recall_at_1"] for name, scores in found.items() if name.startswith("teacher"))


def numbers(points: list[dict[str, Any]], steps: int) -> dict[str, Any]:
    """What the caption says of the points."""
    small = [one for one in points if not one["shipped"]]
    own = next(one for one in points if one["shipped"])
    return {
        "sizes": len(points),
        "pretraining": small[0]["pretraining"],
        "pretraining_shipped": own["pretraining"],
        "steps": steps,
        "queries": steps * batch_size(),
        "exam": own["exam"]["n"],
        "known_least": min(one["kept"]["n"] for one in points),
        "known_most": max(one["kept"]["n"] for one in points),
        "two_hop": own["two_hop"]["n"],
    }


if __name__ == "__main__":
    typer.run(main)
