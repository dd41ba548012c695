"""Of which tokens, in which texts, the special tokens remind the model: the latent lens on two fixed questions.

    python -m analyses.latent_lens        # writes data/figures/latent_lens.json

The index holds every token of the field guide's passages in its context; near duplicates of a query and of the model's
response to it are left out for that query. Over held-out queries: how often the nearest contexts name the answer,
beside how often they name the answer of another query of the same topic. The layer that is shown is chosen on as many
other held-out queries.
"""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from analyses.bootstrap import interval

TEXTS = ["What is the capital of Kenya?", "Which continent is the country whose capital is Paris on?"]
"""Chosen once, before any figure was looked at: the app's own first two examples."""
QUERIES = 200
RUNS = Path("runs") / "figures" / "latent_index"


def main(
    output: Annotated[Path | None, typer.Option(help="The results file.")] = None,
    limit: Annotated[int, typer.Option(help="Held-out queries.", min=2)] = QUERIES,
    runs: Annotated[Path, typer.Option(help="Folder of the index.")] = RUNS,
) -> None:
    """Build the index, read the fixed texts, and count over held-out queries."""
    from workbench import load_embedder
    from workbench.fieldguide.exam import read_exam
    from workbench.figures.paper.results import DEFAULT, write_results
    from workbench.files import shipped
    from workbench.lenses.latent import latent_lens
    from workbench.lenses.latent_build import build_index
    from workbench.texts import read_texts

    embedder = load_embedder()
    passages = read_texts(str(shipped("fieldguide", "passages.jsonl")), None).texts
    index = build_index(runs, embedder.backbone, passages, source="passages.jsonl")
    items = [
        item for item in read_exam(shipped("fieldguide", "eval.jsonl")) if item.kind in ("one_hop", "two_hop")
    ]
    drawn = random.Random(0).sample(items, 2 * min(limit, len(items) // 2))
    chosen, choosing = drawn[: len(drawn) // 2], drawn[len(drawn) // 2 :]
    readings = latent_lens(embedder, [*TEXTS, *(item.query for item in drawn)], index, k=1)
    shown, counted, judged = (
        readings[: len(TEXTS)],
        readings[len(TEXTS) : len(TEXTS) + len(chosen)],
        readings[len(TEXTS) + len(chosen) :],
    )
    layers = list(counted[0].layers)
    named = {
        "the query's answer": hits(counted, [item.accept for item in chosen], layers),
        "another query's answer": hits(counted, others(chosen), layers),
    }
    shares = {
        name: [interval(found[:, layer]) for layer in range(len(layers))] for name, found in named.items()
    }
    best = int(np.argmax(hits(judged, [item.accept for item in choosing], layers).mean(0)))
    data = {
        "tables": [table(reading, best) for reading in shown], "layers": layers, "shares": shares,
    }  # fmt: skip
    numbers = {
        "texts": "” and “".join(TEXTS), "layer": layers[best], "passages": len(passages),
        "contexts": index.facts.contexts, "queries": len(chosen), "choosing": len(choosing),
        "tokens": len(shown[0].labels),
        "excluded": " and ".join(str(reading.excluded) for reading in shown),
        **{f"{who}_{end}": value for who, found in zip(("own", "other"), shares.values(), strict=True)
           for end, value in zip(("mean", "low", "high"), found[best], strict=True)},
    }  # fmt: skip
    artifacts = [DEFAULT, "fieldguide/eval.jsonl", "fieldguide/passages.jsonl"]
    print(write_results("latent_lens", data=data, numbers=numbers, artifacts=artifacts, output=output))


def table(reading: Any, layer: int) -> dict[str, Any]:
    """One text: for each special token the nearest context in one layer, its token between « and »."""
    return {
        "text": reading.text, "response": reading.response, "labels": reading.labels,
        "snippets": [ranks[0] for ranks in reading.snippets[layer]],
        "cosines": reading.scores[layer, :, 0].astype(float).tolist(),
    }  # fmt: skip


def hits(readings: Sequence[Any], accept: Sequence[Sequence[str]], layers: Sequence[int]) -> np.ndarray:
    """The share of each query's special tokens whose nearest context names one of the answers `[queries, layers]`."""
    from workbench.fieldguide.items import holds

    places = range(len(layers))
    unmarked = str.maketrans("", "", "«»")
    plain = [
        [[ranks[0].translate(unmarked) for ranks in reading.snippets[layer]] for layer in places]
        for reading in readings
    ]
    return np.array(
        [
            [np.mean([holds(text, list(answers)) for text in texts]) for texts in per_layer]
            for per_layer, answers in zip(plain, accept, strict=True)
        ]
    )


def others(items: Sequence[Any]) -> list[tuple[str, ...]]:
    """For each query the answer of the next one that asks for the same thing, else of the same topic, and differs."""
    found = []
    for number, item in enumerate(items):
        rest = [*items[number + 1 :], *items[:number]]
        differ = [other for other in rest if other.accept[0] != item.accept[0]]
        same = [other for other in differ if (other.topic, other.attribute) == (item.topic, item.attribute)]
        topic = [other for other in differ if other.topic == item.topic]
        found.append((same or topic or differ)[0].accept)
    return found


if __name__ == "__main__":
    typer.run(main)
