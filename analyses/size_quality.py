"""Size against quality: field guides of several sizes, and what the same short LLM2Vec-Gen training makes of each.

    python -m analyses.size_quality                          # writes data/figures/size_quality.json; resumes
    python -m analyses.size_quality --sizes 64x2 --sizes 640x8
    python -m analyses.size_quality --only-pretrain 640x8    # on another machine, say

All are pretrained for as many steps as the shipped one, on its corpus and by its recipe. Each answers the same queries
itself; every embedder has the same short budget. What was measured of a size lies in analyses/results/size_quality and
is used again; field guides and embedders lie in runs/size_quality.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from analyses.intervals import share
from analyses.recipe import FIELD_GUIDE, batch_size, data_tag, train_briefly

RUNS = Path("runs") / "size_quality"
KEPT = Path("analyses") / "results" / "size_quality"


class Size(NamedTuple):
    """Width and depth of a Llama; heads have 64 dimensions, feed-forward layers 5/4 of the width, as in the shipped."""

    hidden: int
    layers: int

    def __str__(self) -> str:
        return f"{self.hidden}x{self.layers}"

    @classmethod
    def of(cls, name: str) -> "Size":
        """What `name` writes as 640x8; a usage error where it is none."""
        width, _, depth = name.partition("x")
        if not (
            width.isdecimal() and depth.isdecimal() and int(depth) and int(width) and int(width) % 64 == 0
        ):
            raise typer.BadParameter(
                f"{name!r} is no size: a multiple of 64, x, and the number of layers (640x8)"
            )
        return cls(int(width), int(depth))


SHIPPED = Size(512, 4)
SIZES = ("64x2", "128x2", "256x3")
"""Beside the shipped one."""


def main(
    pretraining: Annotated[
        int, typer.Option(help="Pretraining steps of each field guide but the shipped.", min=1)
    ] = 6000,
    steps: Annotated[int, typer.Option(help="Training steps of each embedder.", min=2)] = 200,
    limit: Annotated[int, typer.Option(help="Held-out queries of each kind.", min=2)] = 400,
    fresh: Annotated[bool, typer.Option(help="Measure again; what was trained stays.")] = False,
    sizes: Annotated[
        list[str] | None, typer.Option(help="Width x layers; once for each beside the shipped.")
    ] = None,
    only_pretrain: Annotated[str | None, typer.Option(help="Pretrain this size, and nothing else.")] = None,
    runs: Annotated[Path, typer.Option(help="Folder of field guides and embedders.")] = RUNS,
    rows: Annotated[Path, typer.Option(help="Folder of what was measured of each size.")] = KEPT,
    output: Annotated[Path | None, typer.Option(help="The results file.")] = None,
) -> None:
    """Train what is missing, size by size, measure it, and write the figure's results."""
    from workbench.figures.paper.results import write_results
    from workbench.files import write_json

    if only_pretrain:
        size = Size.of(only_pretrain)
        pretrained(size, runs / f"{size}-{pretraining}", pretraining)
        return
    points, tag, names = [], data_tag(), sizes or [*SIZES]
    for size in (*map(Size.of, names), SHIPPED):
        name = f"{size}-{tag if size == SHIPPED else pretraining}"
        kept = rows / f"{name}-{steps}-{limit}-{tag}.json"
        if fresh or not kept.is_file():
            write_json(kept, point(size, runs / name, pretraining, steps, limit))
        points.append(json.loads(kept.read_text(encoding="utf-8")))
        typer.echo(f"{name}: {points[-1]}", err=True)
    print(write_results(
        "size_quality",
        data={"points": points, "teacher": teacher_two_hop()},
        numbers=numbers(points, steps),
        artifacts=[*FIELD_GUIDE, "fieldguide/marks.json", "fieldguide/report.json"],
        command="python -m analyses.size_quality" + options(pretraining, steps, limit, names),
        output=output,
    ))  # fmt: skip


def options(pretraining: int, steps: int, limit: int, sizes: list[str]) -> str:
    """What must be given on the command line to get these numbers, where they are not its own."""
    given = {"pretraining": (pretraining, 6000), "steps": (steps, 200), "limit": (limit, 400)}
    other = [f" --sizes {size}" for size in sizes] if sizes != [*SIZES] else []
    return "".join([f" --{name} {value}" for name, (value, usual) in given.items() if value != usual] + other)


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
    """The field guide of this size in `folder`, built where it is missing; UsageError where another one is there."""
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
    others = [one for one in points if not one["shipped"]]
    own = next(one for one in points if one["shipped"])
    return {
        "sizes": len(points),
        "pretraining": others[0]["pretraining"],
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
