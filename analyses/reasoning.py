"""One hop against two: how often each method finds the passage that answers, at rank 1 and near it.

    python -m analyses.reasoning        # writes data/figures/reasoning.json

The runs are those of `analyses.main_table`, kept or shipped ones where nothing changed.
"""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

HOPS = ("one hop", "two hops")
METRICS = ("R@1", "MRR@10", "nDCG@10")


def main(output: Annotated[Path | None, typer.Option(help="The results file.")] = None) -> None:
    """Take the ranks out of the runs and write each metric with its interval."""
    from analyses.main_table import every_run
    from workbench.figures.paper.results import DEFAULT, GEM, write_results

    rows: list[dict[str, Any]] = []
    runs = every_run()
    for run in runs:
        scores = {result.score.task: result.score for result in run.results}
        for hops in HOPS:
            items = np.asarray(scores[hops].items)
            rows += [{"embedder": run.embedder, "hops": hops, **row} for row in figures(items)]
    n = {row["hops"]: row["n"] for row in rows}
    details = next(result.score.details for result in runs[0].results if result.score.task == HOPS[0])
    print(write_results(
        "reasoning",
        data={"rows": rows},
        numbers={"one": n[HOPS[0]], "two": n[HOPS[1]], "passages": details["documents"]},
        artifacts=[DEFAULT, GEM, "teachers/llm2vec", "fieldguide/model", "fieldguide/eval.jsonl"],
        output=output,
    ))  # fmt: skip


def figures(ndcg: np.ndarray) -> list[dict[str, Any]]:
    """Each of METRICS with its 95 % bootstrap interval over queries, from the queries' nDCG@10, `[q]`."""
    from analyses.bootstrap import interval

    rank = ranks(ndcg)
    values = {"R@1": (rank == 1).astype(float), "MRR@10": 1 / rank, "nDCG@10": ndcg}
    rows = []
    for name in METRICS:
        value, low, high = interval(values[name])
        rows.append({"metric": name, "value": value, "low": low, "high": high, "n": len(ndcg)})
    return rows


def ranks(ndcg: np.ndarray) -> np.ndarray:
    """The rank of a query's one right passage, `[q]`, from its nDCG@10, which is 1 / log2(rank + 1); inf beyond 10."""
    found = np.full(len(ndcg), np.inf)
    found[ndcg > 0] = np.rint(2 ** (1 / ndcg[ndcg > 0]) - 1)
    return found


if __name__ == "__main__":
    typer.run(main)
