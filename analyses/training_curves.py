"""The losses of a training run, and what its watched queries decode to while it trains.

    python -m analyses.training_curves                      # writes data/figures/training_curves.json
    python -m analyses.training_curves --run runs/mine      # of a run that `workbench train --watch-every` watched

Nothing is trained or measured here: the figure shows what the run wrote beside its embedder.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

if TYPE_CHECKING:
    from workbench.training.history import History
    from workbench.training.watched import Watch

RUN = ("runs", "llm2vec-gen")
SHOWN, LOOKS = 3, 4
"""How many watched queries are written out, and at how many steps."""
LOSSES = ("loss_align", "loss_recon")


def main(
    run: Annotated[Path | None, typer.Option(help="The run's folder; else the shipped record.")] = None,
    output: Annotated[Path | None, typer.Option(help="The results file.")] = None,
) -> None:
    """Read the run's log and what was watched of it, and write both as the figure's results."""
    from workbench.figures.paper.results import write_results
    from workbench.files import shipped
    from workbench.training.history import read_run
    from workbench.training.watched import read_watch

    folder = run or shipped(*RUN)
    history, watch = read_run(folder), read_watch(folder)
    logged, looks = losses(history), watched(watch)
    print(write_results(
        "training_curves",
        data={"losses": logged, "watched": looks, "samples": samples(watch)},
        numbers=numbers(history, watch),
        artifacts=[] if run else ["/".join((*RUN, name)) for name in ("log.jsonl", "watch/samples.jsonl")],
        command="python -m analyses.training_curves" + (f" --run {run}" if run else ""),
        output=output,
    ))  # fmt: skip


def losses(history: History) -> list[dict[str, Any]]:
    """The logged losses, a row for each line of the log."""
    from workbench.errors import UsageError

    rows = [
        {"step": row["step"], **{name: row[name] for name in LOSSES}}
        for row in history.rows
        if all(name in row for name in LOSSES)
    ]
    if not rows:
        raise UsageError(
            f"{history.folder} has logged neither {' nor '.join(LOSSES)}: is it an LLM2Vec-Gen run?"
        )
    return rows


def watched(watch: Watch) -> list[dict[str, Any]]:
    """For each look the mean cosine of the watched samples with the teacher's vectors of their responses, its interval
    (bootstrap over the samples, 95 %), and the share of samples that decode to the response word by word."""
    from analyses.bootstrap import interval
    from workbench.errors import UsageError

    rows = []
    for step in watch.steps:
        there = [sample for sample in watch.samples if sample.step == step]
        cosines = [sample.cosine for sample in there if sample.cosine is not None]
        if not cosines:
            raise UsageError(f"{watch.folder}: no sample with a cosine was watched at step {step}")
        value, low, high = interval(np.array(cosines))
        rows.append({
            "step": step, "cosine": value, "low": low, "high": high, "n": len(there),
            "exact": sum(sample.decoded == sample.response for sample in there) / len(there),
        })  # fmt: skip
    return rows


def samples(watch: Watch) -> list[dict[str, Any]]:
    """The first SHOWN watched samples, in the corpus' order, with what they decode to at LOOKS steps and at the end."""
    rows = list(dict.fromkeys(sample.row for sample in watch.samples))[:SHOWN]
    steps = chosen(watch.steps, LOOKS)
    found = {(sample.row, sample.step): sample for sample in watch.samples}
    return [
        {
            "query": found[row, steps[0]].query,
            "response": found[row, steps[0]].response,
            "decoded": [{"step": step, "text": found[row, step].decoded} for step in steps],
        }
        for row in rows
    ]


def chosen(steps: Sequence[int], count: int) -> list[int]:
    """At most `count` of the steps: the first, the last, and some between, closer together early on."""
    places = np.geomspace(1, len(steps), min(count, len(steps)))
    return [steps[place] for place in sorted({round(place) - 1 for place in places})]


def numbers(history: History, watch: Watch) -> dict[str, Any]:
    """What the caption says of the run."""
    settings = history.settings
    return {
        "steps": watch.steps[-1],
        "batch": settings["batch_size"],
        "teacher": str(settings["teacher"]).rpartition("/")[2],
        "samples": len({sample.row for sample in watch.samples}),
        "looks": len(watch.steps),
        "shown": min(SHOWN, len({sample.row for sample in watch.samples})),
        "every": settings["logging_steps"],
        "reduction": settings["align_reduction"],
    }


if __name__ == "__main__":
    typer.run(main)
