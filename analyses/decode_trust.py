"""Whether the figures beside a reading tell true from shuffled pairs: the distributions, and how far they overlap.

    python -m analyses.decode_trust        # writes data/figures/decode_trust.json

Held-out queries of the field guide, drawn by a seed; in a shuffled pair the text is what another query's decodes to.
"""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

QUERIES = 200
DRAWS = 1000
FIGURES = ("score", "cosine less null", "likelihood gap")


def main(
    output: Annotated[Path | None, typer.Option(help="The results file.")] = None,
    limit: Annotated[int, typer.Option(help="Held-out queries.", min=2)] = QUERIES,
) -> None:
    """Judge true pairs, shuffled pairs, and vectors that nobody encoded."""
    from workbench import load_embedder
    from workbench.decoding.reference import load_reference
    from workbench.evaluation.trust import SHUFFLED, TRUE, column, judged
    from workbench.figures.paper.results import DEFAULT, write_results
    from workbench.files import cache_folder

    embedder = load_embedder()
    reference = load_reference(embedder, cache_dir=cache_folder())
    badges = judged(embedder, reference, items=limit)
    values = {name: {sort: column(badges[sort], name) for sort in (TRUE, SHUFFLED)} for name in FIGURES}
    found = {name: area(values[name][TRUE], values[name][SHUFFLED]) for name in FIGURES}
    levels = {sort: shares([badge.level for badge in given]) for sort, given in badges.items()}
    data = {"values": values, "auroc": found, "threshold": reference.threshold, "levels": levels}
    numbers = {
        "queries": len(badges[TRUE]),
        "high_true": 100 * levels[TRUE]["high"], "high_shuffled": 100 * levels[SHUFFLED]["high"],
        **{f"auroc_{end}": value for end, value in zip(("mean", "low", "high"), found["score"], strict=True)},
    }  # fmt: skip
    artifacts = [DEFAULT, "fieldguide/eval.jsonl", "trust/default.json"]
    print(write_results("decode_trust", data=data, numbers=numbers, artifacts=artifacts, output=output))


def area(true: list[float], shuffled: list[float], seed: int = 0) -> list[float]:
    """The AUROC with its 95 % bootstrap interval over queries, each with both of its pairs: value, low, high."""
    from workbench.evaluation.trust import auroc

    a, b = np.array(true), np.array(shuffled)
    drawn = np.random.default_rng(seed).integers(len(a), size=(DRAWS, len(a)))
    low, high = np.quantile([auroc(a[rows].tolist(), b[rows].tolist()) for rows in drawn], [0.025, 0.975])
    return [auroc(true, shuffled), float(low), float(high)]


def shares(levels: list[Any]) -> dict[str, float]:
    """The share of each level of badges."""
    return {level: levels.count(level) / len(levels) for level in ("high", "doubtful", "off the manifold")}


if __name__ == "__main__":
    typer.run(main)
