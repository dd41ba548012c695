"""What the model's own head reads in the special tokens, with the words marked that no one said.

    python -m analyses.logit_lens        # writes data/figures/logit_lens.json

The tables of the paper (arXiv 2603.10913, table 4) for two fixed questions, and over held-out queries the share of top
words that stand in the query, in the model's response alone, or in neither, layer by layer; the control asks for
another response, to another query.
"""

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

TEXTS = ["What is the capital of Kenya?", "Which continent is the country whose capital is Paris on?"]
"""Chosen once, before any figure was looked at: the app's own first two examples."""
K = 5
QUERIES = 300
SORTS = ("in the query", "in the response alone", "in neither")
_WORDS = re.compile(r"[^\W_]+")


def main(
    output: Annotated[Path | None, typer.Option(help="The results file.")] = None,
    limit: Annotated[int, typer.Option(help="Held-out queries.", min=2)] = QUERIES,
) -> None:
    """Read the fixed texts and the held-out queries."""
    from workbench import load_embedder
    from workbench.decoding.figures import partners
    from workbench.fieldguide.exam import read_exam
    from workbench.figures.paper.results import DEFAULT, write_results
    from workbench.files import shipped
    from workbench.lenses.logit import logit_lens

    embedder = load_embedder()
    tokenizer = embedder.backbone.tokenizer
    known = [item.query for item in read_exam(shipped("fieldguide", "eval.jsonl"))]
    queries = random.Random(0).sample(known, min(limit, len(known)))
    responses = embedder.backbone.respond([*TEXTS, *queries])
    readings = logit_lens(embedder, [*TEXTS, *queries], k=K)
    tables = [
        table(tokenizer, *pair) for pair in zip(readings[: len(TEXTS)], responses[: len(TEXTS)], strict=True)
    ]
    asked, own = readings[len(TEXTS) :], responses[len(TEXTS) :]
    others = [own[row] for row in partners(own)]  # refusals and greetings are the same for many queries
    counted, against = (  # [queries, layers, 3]
        np.array([counts(tokenizer, *pair) for pair in zip(asked, said, strict=True)])
        for said in (own, others)
    )
    shares, control = (
        [shares_of(found[:, layer]) for layer in range(found.shape[1])] for found in (counted, against)
    )
    last = [*shares[-1], control[-1][1], gain(counted[:, -1], against[:, -1])]
    data = {"tables": tables, "layers": list(readings[0].layers), "sorts": list(SORTS), "shares": shares,
            "control": [found[1] for found in control]}  # fmt: skip
    numbers = {
        "texts": "” and “".join(TEXTS), "k": K, "tokens": len(readings[0].labels), "queries": len(queries),
        "layer": readings[0].layers[-1],
        **{f"{name}_{end}": value
           for name, found in zip(("query", "response", "novel", "control", "gain"), last, strict=True)
           for end, value in zip(("mean", "low", "high"), found, strict=True)},
    }  # fmt: skip
    print(write_results("logit_lens", data=data, numbers=numbers, artifacts=[DEFAULT, "fieldguide/eval.jsonl"],
                        output=output))  # fmt: skip


def pieces(tokenizer: Any, text: str) -> set[str]:
    """The words of a text in lower case, and what the tokenizer cuts them into, at the start and behind a space.

    Letters that merely stand within a word are none: "it" does not stand in "capital".
    """
    from workbench.lenses.reading import word_of
    from workbench.lenses.tokens import readable_tokens

    words = _WORDS.findall(text)
    found = {word.casefold() for word in words}
    for cut in tokenizer([*words, *(f" {word}" for word in words)], add_special_tokens=False)["input_ids"]:
        found |= {word_of(token) for token in readable_tokens(tokenizer, cut)}
    return found - {""}


def sorter(tokenizer: Any, query: str, response: str) -> Callable[[str, int], int]:
    """Tells of a token's label and id where its word stands: 0 query, 1 response alone, 2 neither, -1 no word."""
    from workbench.lenses.reading import word_of

    control = set(tokenizer.all_special_ids)
    asked, said = (pieces(tokenizer, text) for text in (query, response))

    def sort(token: str, number: int) -> int:
        word = word_of(token)
        if number in control or not word:
            return -1
        return 0 if word in asked else 1 if word in said else 2

    return sort


def sorts(tokenizer: Any, reading: Any, response: str) -> list[list[list[int]]]:
    """For each layer, special token and rank where its word stands, as `sorter` numbers it."""
    sort = sorter(tokenizer, reading.text, response)
    return [
        [[sort(*one) for one in zip(*ranks, strict=True)] for ranks in zip(tokens, numbers, strict=True)]
        for tokens, numbers in zip(reading.tokens, reading.token_ids.tolist(), strict=True)
    ]


def table(tokenizer: Any, reading: Any, response: str) -> dict[str, Any]:
    """One text's last layer."""
    return {
        "text": reading.text, "response": response, "labels": reading.labels, "tokens": reading.tokens[-1],
        "sorts": sorts(tokenizer, reading, response)[-1], "scores": reading.scores[-1].astype(float).tolist(),
    }  # fmt: skip


def counts(tokenizer: Any, reading: Any, response: str) -> list[list[int]]:
    """For each layer how many of the words stand where."""
    flat = [[sort for row in layer for sort in row] for layer in sorts(tokenizer, reading, response)]
    return [[layer.count(sort) for sort in range(len(SORTS))] for layer in flat]


def shares_of(counted: np.ndarray, draws: int = 1000) -> list[list[float]]:
    """Shares of the words `[queries, 3]` with their 95 % bootstrap intervals over queries: mean, low, high each."""
    whole, again = _drawn(counted, draws)
    low, high = np.quantile(again, [0.025, 0.975], axis=0)
    return np.stack([whole, low, high], axis=1).tolist()


def gain(counted: np.ndarray, against: np.ndarray, draws: int = 1000) -> list[float]:
    """How much more of the words stand in the response alone than in the other one alone, paired: mean, low, high."""
    (own, own_again), (other, other_again) = _drawn(counted, draws), _drawn(against, draws)
    low, high = np.quantile(own_again[:, 1] - other_again[:, 1], [0.025, 0.975])
    return [float(own[1] - other[1]), float(low), float(high)]


def _drawn(counted: np.ndarray, draws: int) -> tuple[np.ndarray, np.ndarray]:
    """The shares of the words, `[3]`, and again when queries are drawn anew, `[draws, 3]`: the same ones each time."""
    drawn = np.random.default_rng(0).integers(len(counted), size=(draws, len(counted)))
    again = counted[drawn].sum(1)
    return counted.sum(0) / max(counted.sum(), 1), again / np.maximum(again.sum(1, keepdims=True), 1)


if __name__ == "__main__":
    typer.run(main)
