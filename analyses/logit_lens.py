"""What the model's own head reads in the special tokens, with the words marked that no one said.

    python -m analyses.logit_lens        # writes data/figures/logit_lens.json

The tables of the paper (arXiv 2603.10913, table 4) for two fixed questions, and over held-out queries the share of top
words that stand in the query, in the model's response alone, or in neither, layer by layer; the control asks for the
response to another query.
"""

import random
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

TEXTS = ["What is the capital of Kenya?", "Which continent is the country whose capital is Paris on?"]
"""Chosen once, before any figure was looked at: the app's own first two examples."""
K = 5
QUERIES = 300
SORTS = ("in the query", "in the response alone", "in neither")


def main(
    output: Annotated[Path | None, typer.Option(help="The results file.")] = None,
    limit: Annotated[int, typer.Option(help="Held-out queries.", min=2)] = QUERIES,
) -> None:
    """Read the fixed texts and the held-out queries."""
    from workbench import load_embedder
    from workbench.fieldguide.exam import read_exam
    from workbench.figures.paper.results import DEFAULT, write_results
    from workbench.files import shipped
    from workbench.lenses.logit import logit_lens

    embedder = load_embedder()
    known = [item.query for item in read_exam(shipped("fieldguide", "eval.jsonl"))]
    queries = random.Random(0).sample(known, min(limit, len(known)))
    responses = embedder.backbone.respond([*TEXTS, *queries])
    readings = logit_lens(embedder, [*TEXTS, *queries], k=K)
    tables = [table(reading, response) for reading, response in zip(readings, responses, strict=False)][
        : len(TEXTS)
    ]
    asked, own = readings[len(TEXTS) :], responses[len(TEXTS) :]
    counted = np.array([counts(*pair) for pair in zip(asked, own, strict=True)])  # [queries, layers, 3]
    against = np.array([counts(*pair) for pair in zip(asked, [*own[1:], own[0]], strict=True)])
    shares, control = (
        [shares_of(found[:, layer]) for layer in range(found.shape[1])] for found in (counted, against)
    )
    last = [*shares[-1], control[-1][1]]
    data = {"tables": tables, "layers": list(readings[0].layers), "sorts": list(SORTS), "shares": shares,
            "control": [found[1] for found in control]}  # fmt: skip
    numbers = {
        "texts": "” and “".join(TEXTS), "k": K, "tokens": len(readings[0].labels), "queries": len(queries),
        "layer": readings[0].layers[-1],
        **{f"{name}_{end}": value for name, found in zip(("query", "response", "novel", "control"), last, strict=True)
           for end, value in zip(("mean", "low", "high"), found, strict=True)},
    }  # fmt: skip
    print(write_results("logit_lens", data=data, numbers=numbers, artifacts=[DEFAULT, "fieldguide/eval.jsonl"],
                        output=output))  # fmt: skip


def sorts(reading: Any, response: str, layer: int) -> list[list[int]]:
    """For each special token and rank where its word stands: 0 query, 1 response alone, 2 neither, -1 no word."""
    from workbench.lenses.reading import is_novel, word_of

    def sort(token: str, is_control: bool) -> int:
        if is_control or not word_of(token):
            return -1
        if not is_novel(token, reading.text):
            return 0
        return 2 if is_novel(token, response) else 1

    return [[sort(token, token.startswith("<|")) for token in ranks] for ranks in reading.tokens[layer]]


def table(reading: Any, response: str) -> dict[str, Any]:
    """One text's last layer."""
    return {
        "text": reading.text, "response": response, "labels": reading.labels, "tokens": reading.tokens[-1],
        "sorts": sorts(reading, response, -1), "scores": reading.scores[-1].astype(float).tolist(),
    }  # fmt: skip


def counts(reading: Any, response: str) -> list[list[int]]:
    """For each layer how many of the words stand where."""
    found = []
    for layer in range(len(reading.layers)):
        flat = [sort for row in sorts(reading, response, layer) for sort in row]
        found.append([flat.count(sort) for sort in range(len(SORTS))])
    return found


def shares_of(counted: np.ndarray, draws: int = 1000) -> list[list[float]]:
    """Shares of the words `[queries, 3]` with their 95 % bootstrap intervals over queries: mean, low, high each."""
    drawn = np.random.default_rng(0).integers(len(counted), size=(draws, len(counted)))
    again = counted[drawn].sum(1)
    again = again / np.maximum(again.sum(1, keepdims=True), 1)
    whole = counted.sum(0) / max(counted.sum(), 1)
    low, high = np.quantile(again, [0.025, 0.975], axis=0)
    return np.stack([whole, low, high], axis=1).tolist()


if __name__ == "__main__":
    typer.run(main)
