"""How far harmful requests and their harmless look-alikes lie from refusals, and which of them decode to one.

    python -m analyses.safety        # writes data/figures/safety.json

Refusals are the field guide's own responses to harmful training requests, as the teacher (MiniLM) embeds them: the
space that LLM2Vec-Gen aims at. The baseline is the teacher's vector of the request itself.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from jaxtyping import Float

from analyses.intervals import share

KINDS = ("harmful", "lookalike")
TEACHER = "sentence-transformers/all-MiniLM-L6-v2"
DRAWS = 1000


def main(
    limit: Annotated[int | None, typer.Option(help="Only so many requests of each kind.", min=4)] = None,
    output: Annotated[Path | None, typer.Option(help="The results file.")] = None,
) -> None:
    """Embed, decode, measure, and write the distances and shares."""
    from workbench import decode, load_embedder
    from workbench.fieldguide.exam import limited, read_exam
    from workbench.fieldguide.items import refuses
    from workbench.figures.paper.results import DEFAULT, write_results
    from workbench.files import shipped
    from workbench.training.teachers import load_teacher

    exam = limited(read_exam(shipped("fieldguide", "eval.jsonl")), limit)
    items = [item for item in exam if item.kind in KINDS]
    queries, kinds = [item.query for item in items], [item.kind for item in items]
    embedder, teacher = load_embedder(), load_teacher(TEACHER)
    refused = own_refusals(shipped("fieldguide", "corpus.jsonl"), shipped("fieldguide", "queries.jsonl"))
    refusals = teacher.embed(refused)
    encoding = embedder.represent(queries, instruction=embedder.prompts["query"])
    decoded = decode(embedder, encoding.soft_prompts, max_new_tokens=64)
    said = embedder.backbone.respond(queries, max_new_tokens=64)
    spaces = {
        "LLM2Vec-Gen": encoding.embedding.numpy(),
        "MiniLM, request": teacher.embed(queries),
        "MiniLM, response": teacher.embed(said),
    }
    rows = [space_row(name, distances(vectors, refusals), kinds) for name, vectors in spaces.items()]
    shares = [
        {"kind": kind, "of": of, **share_of([refuses(text) for text in texts], kinds, kind)}
        for of, texts in (("decoded embedding", decoded), ("field guide's response", said))
        for kind in KINDS
    ]
    n = {kind: kinds.count(kind) for kind in KINDS}
    print(write_results(
        "safety",
        data={"kinds": kinds, "spaces": rows, "shares": shares},
        numbers={"refusals": len(refused), **n, "mean_ours": rows[0]["mean"], "mean_teacher": rows[1]["mean"]},
        artifacts=[DEFAULT, "fieldguide/eval.jsonl", "fieldguide/corpus.jsonl"],
        command="python -m analyses.safety" + ("" if limit is None else f" --limit {limit}"),
        output=output,
    ))  # fmt: skip


def own_refusals(corpus: Path, queries: Path) -> list[str]:
    """The different refusals among the field guide's responses to harmful training requests, sorted."""
    from workbench.fieldguide.items import refuses

    lines = queries.read_text(encoding="utf-8").splitlines()
    harmful = {row["query"] for row in map(json.loads, lines) if row["kind"] == "harmful"}
    rows = map(json.loads, corpus.read_text(encoding="utf-8").splitlines())
    return sorted({row["response"] for row in rows if row["query"] in harmful and refuses(row["response"])})


def distances(
    vectors: Float[np.ndarray, "b d"], refusals: Float[np.ndarray, "r d"]
) -> Float[np.ndarray, "b r"]:
    """The cosine distance, 1 - cosine, of each vector to every refusal."""
    from workbench.evaluation.protocol import unit

    return 1 - unit(vectors) @ unit(refusals).T


def space_row(name: str, distance: Float[np.ndarray, "b r"], kinds: list[str]) -> dict[str, Any]:
    """A space's distances to the nearest refusal, their medians by kind, and how well they tell the kinds apart.

    `mean` is the same area for the mean distance to all refusals, so that the choice of the nearest can be judged.
    """
    chosen = {kind: np.array(kinds) == kind for kind in KINDS}
    nearest = {kind: distance[rows].min(axis=1) for kind, rows in chosen.items()}
    value, low, high = auroc(*nearest.values())
    return {
        "name": name,
        "distances": {kind: found.tolist() for kind, found in nearest.items()},
        "medians": {kind: float(np.median(found)) for kind, found in nearest.items()},
        "auroc": {"value": value, "low": low, "high": high},
        "mean": auroc(*(distance[rows].mean(axis=1) for rows in chosen.values()))[0],
    }


def auroc(
    near: Float[np.ndarray, " a"], far: Float[np.ndarray, " b"], seed: int = 0
) -> tuple[float, float, float]:
    """The chance that one of `near` is less than one of `far` (ties count half), and its 95 % bootstrap interval.

    Both sides are drawn again, each with replacement.
    """
    wins = (near[:, None] < far[None, :]) + 0.5 * (near[:, None] == far[None, :])
    generator = np.random.default_rng(seed)
    found = [
        wins[generator.integers(len(near), size=len(near))][
            :, generator.integers(len(far), size=len(far))
        ].mean()
        for _ in range(DRAWS)
    ]
    low, high = np.quantile(found, [0.025, 0.975])
    return float(wins.mean()), float(low), float(high)


def share_of(marks: list[bool], kinds: list[str], kind: str) -> dict[str, Any]:
    """The share of the marks of one kind, with its Wilson interval."""
    chosen = [mark for mark, own in zip(marks, kinds, strict=True) if own == kind]
    return share(sum(chosen) / len(chosen), len(chosen))


if __name__ == "__main__":
    typer.run(main)
