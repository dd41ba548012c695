"""Which special token each decoded token needs, and whether that prediction holds when one intervenes.

    python -m analyses.attribution        # writes data/figures/attribution.json

The map of one fixed question (each special token replaced by nothing), and over held-out queries its prediction beside
what happens when the token is replaced by those of other texts.
"""

import random
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

TEXT = "Which continent is the country whose capital is Paris on?"
"""Chosen once, before any figure was looked at: the app's own example of two hops."""
QUERIES = 30
POINTS = 1500
"""Effects that are drawn; the correlation is over all of them."""


def main(
    output: Annotated[Path | None, typer.Option(help="The results file.")] = None,
    limit: Annotated[int, typer.Option(help="Held-out queries.", min=2)] = QUERIES,
) -> None:
    """Make the maps, intervene, and write both."""
    from workbench import load_embedder
    from workbench.fieldguide.exam import read_exam
    from workbench.figures.paper.results import DEFAULT, write_results
    from workbench.files import shipped
    from workbench.lenses.attribution import attribute_tokens
    from workbench.lenses.verification import verify

    embedder = load_embedder()
    known = [item.query for item in read_exam(shipped("fieldguide", "eval.jsonl"))]
    queries = random.Random(0).sample(known, min(limit, len(known)))
    found = attribute_tokens(embedder, TEXT)
    checked = verify(embedder, [attribute_tokens(embedder, query) for query in queries])
    shown = np.sort(np.random.default_rng(0).permutation(len(checked.real))[:POINTS])
    data = {
        "labels": found.labels, "tokens": found.tokens, "values": found.values.astype(float).tolist(),
        "predicted": checked.predicted[shown].astype(float).tolist(),
        "real": checked.real[shown].astype(float).tolist(),
    }  # fmt: skip
    numbers = {
        "text": TEXT, "decoded": found.decoded, "queries": len(queries), "effects": len(checked.real),
        "shown": len(shown), "correlation": checked.correlation,
        "low": checked.interval[0], "high": checked.interval[1],
        "control": checked.control, "control_low": checked.control_interval[0],
        "control_high": checked.control_interval[1],
    }  # fmt: skip
    print(write_results("attribution", data=data, numbers=numbers, artifacts=[DEFAULT, "fieldguide/eval.jsonl"],
                        output=output))  # fmt: skip


if __name__ == "__main__":
    typer.run(main)
