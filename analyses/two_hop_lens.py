"""Whether the entity in the middle of a two-hop question shows in the special tokens before its answer does.

    python -m analyses.two_hop_lens                # writes docs/two_hop_lens.md and the figure beside it
    python -m analyses.two_hop_lens --limit 20     # a quick look; writes nothing

Four lenses read every layer at every special token. An entity shows where the first token of its name is among the
top k at any special token; the control is a random other entity of the same topic.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Annotated, Any

import numpy as np
import typer

DOCS = Path(__file__).parents[1] / "docs"
RUNS = Path("runs") / "two_hop_lens"
NEVER = 10_000


@dataclass(frozen=True)
class Question:
    """A two-hop question with the first tokens of three names: the entity in between, the answer, the control."""

    query: str
    bridge: int
    answer: int
    control: int


def main(
    limit: Annotated[int | None, typer.Option(help="Only so many questions.", min=2)] = None,
    k: Annotated[int, typer.Option(help="How many tokens of a reading count.", min=1)] = 10,
    runs: Annotated[Path, typer.Option(help="Folder of tuned lens and index.")] = RUNS,
    output: Annotated[Path, typer.Option(help="Folder of page and figure.")] = DOCS,
) -> None:
    """Read all questions through the four lenses and write the table and the figure."""
    from workbench import load_embedder
    from workbench.disk import atomic_path
    from workbench.files import write_json

    embedder = load_embedder()
    asked = questions(embedder.backbone, limit)
    shown = {name: first_layers(readings, asked) for name, readings in read(embedder, asked, k, runs)}
    layers = len(embedder.backbone.layers)
    text = page(shown, len(asked), k, layers, limit)
    print(text)
    if limit is not None:
        return
    with atomic_path(output / "two_hop_lens.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    results = {name: {who: first.tolist() for who, first in found.items()} for name, found in shown.items()}
    write_json(
        output / "two_hop_lens.json", {"k": k, "layers": layers, "questions": len(asked), "first": results}
    )
    draw(shown, layers, output / "two_hop_lens.svg")


def questions(backbone: Any, limit: int | None, seed: int = 0) -> list[Question]:
    """The exam's two-hop questions that the model answers right, where three names can be told apart.

    Left out: names that begin with the same token, and a bridge or control that the question names itself.
    """
    from workbench.fieldguide.exam import mark, read_exam
    from workbench.files import shipped

    items = [item for item in read_exam(shipped("fieldguide", "eval.jsonl")) if item.kind == "two_hop"][
        :limit
    ]
    right = mark(items, backbone.respond([item.query for item in items])).right
    entities: dict[str, list[str]] = {}
    for line in shipped("fieldguide", "eval.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row.get("subject"):
            entities.setdefault(row["topic"], []).append(row["subject"])
    random, found = Random(seed), []
    for item, known in zip(items, right, strict=True):
        bridge, answer = first_token(backbone, item.subject), first_token(backbone, item.accept[0])
        others = [
            other
            for other in sorted(set(entities[item.topic]))
            if first_token(backbone, other) not in (bridge, answer)
            and other.lower() not in item.query.lower()
        ]
        if known and bridge != answer and item.subject.lower() not in item.query.lower() and others:
            found.append(Question(item.query, bridge, answer, first_token(backbone, random.choice(others))))
    return found


def first_token(backbone: Any, name: str) -> int:
    """The first token of a name as it stands within a sentence, its article left out."""
    bare = name.removeprefix("the ").removeprefix("The ")
    return backbone.tokenizer(f" {bare}", add_special_tokens=False)["input_ids"][0]


def read(embedder: Any, asked: Sequence[Question], k: int, runs: Path) -> list[tuple[str, list[Any]]]:
    """The readings of every lens; tuned lens and index are made where they are missing."""
    from workbench.files import shipped
    from workbench.lenses.latent import latent_lens
    from workbench.lenses.latent_build import build_index
    from workbench.lenses.logit import logit_lens
    from workbench.lenses.patchscope import patchscope
    from workbench.lenses.tuned import train_tuned_lens, tuned_lens
    from workbench.texts import read_texts

    texts = [question.query for question in asked]
    lines = read_texts(str(shipped("fieldguide", "queries.jsonl")), None, limit=2000).texts
    typer.echo("training the tuned lens", err=True)
    probes = train_tuned_lens(embedder, lines).probes
    passages = read_texts(str(shipped("fieldguide", "passages.jsonl")), None).texts
    index = build_index(runs / "index", embedder.backbone, passages, source="passages.jsonl")
    return [
        ("logit lens", logit_lens(embedder, texts, k=k)),
        ("tuned lens", tuned_lens(embedder, texts, probes, k=k)),
        ("patchscope", patchscope(embedder, texts, k=k)),
        ("latent lens", list(latent_lens(embedder, texts, index, k=k))),
    ]


def first_layers(readings: Sequence[Any], asked: Sequence[Question]) -> dict[str, np.ndarray]:
    """For the bridge, the answer and the control the first layer at which each question shows it; NEVER if none."""
    found = {}
    for who in ("bridge", "answer", "control"):
        first = []
        for reading, question in zip(readings, asked, strict=True):
            hit = (reading.token_ids == getattr(question, who)).any(axis=(1, 2))
            first.append(int(np.array(reading.layers)[hit].min(initial=NEVER)))
        found[who] = np.array(first)
    return found


def page(shown: dict[str, dict[str, np.ndarray]], count: int, k: int, layers: int, limit: int | None) -> str:
    """The table, how to read it, and what it does not say."""
    option = "" if limit is None else f" --limit {limit}"
    lines = [
        "| lens | bridge shows | answer shows | control shows | bridge before the answer | control before the answer |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for name, found in shown.items():
        bridge, answer, control = (found[who] for who in ("bridge", "answer", "control"))
        shares = [bridge < NEVER, answer < NEVER, control < NEVER, bridge < answer, control < answer]
        lines.append(f"| {name} | " + " | ".join(f"{share.mean():.3f}" for share in shares) + " |")
    shown_by = "Share of questions by the first layer at which a name shows"
    picture = "" if limit else f"\n![{shown_by}](two_hop_lens.svg)\n"
    return f"""# Does the entity in the middle show first?

Made by `python -m analyses.two_hop_lens{option}`: {count} of the exam's two-hop questions (which the model answers
right, and whose names begin with different tokens), layers 0 (input rows) to {layers}, top {k} at any of the special
tokens. Shares of the questions.

{chr(10).join(lines)}

*Bridge* is the entity that the question describes without naming it ("the country whose capital is Paris": France),
*control* a random other entity of the same topic. *Before* means in an earlier layer, or the other one never.
The model's own answers name the bridge ("That is France. ..."), so seeing it in the last layer is seeing the
response; only an earlier layer than the answer's speaks for a step in between. A share counts as such only as far as
it lies above the control's.
{picture}"""


def draw(shown: dict[str, dict[str, np.ndarray]], layers: int, path: Path) -> None:
    """Small multiples, one a lens: the share of questions in which each name has shown by a layer."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from workbench.disk import atomic_path
    from workbench.figures.palette import OKABE_ITO

    with plt.rc_context({"svg.fonttype": "none", "svg.hashsalt": "two-hop", "font.size": 8}):
        figure, axes = plt.subplots(1, len(shown), figsize=(6.9, 2.0), sharey=True, layout="constrained")
        for axis, (name, found) in zip(axes, shown.items(), strict=True):
            steps = range(layers + 1)
            for colour, mark, who in zip(OKABE_ITO, "o^s", found, strict=False):
                shares = [(found[who] <= layer).mean() for layer in steps]
                axis.plot(steps, shares, color=colour, marker=mark, markersize=3, linewidth=1.2, label=who)
            axis.set(title=name, xlabel="layer", ylim=(-0.03, 1.03), xticks=list(steps))
            axis.spines[["top", "right"]].set_visible(False)
        axes[0].set_ylabel("share of questions")
        axes[0].legend(frameon=False, loc="upper left")
        with atomic_path(path) as temporary:
            figure.savefig(temporary, format="svg", metadata={"Date": None})
        plt.close(figure)


if __name__ == "__main__":
    typer.run(main)
