"""The main comparison: baselines, teachers and both methods on the field guide's suite, and the papers' claims on it.

    python -m analyses.main_table                  # writes docs/evaluation.md, data/evaluation and the figure's results
    python -m analyses.main_table --limit 20       # a quick look; writes nothing unless --output is given

Each embedder's run is kept in analyses/results/main_table. It and the shipped one are measured again only where the
data, the embedder or the settings changed, so an interrupted command goes on where it stopped.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.evaluation.claims import CLAIMS, ECHO, GEM, HYDE, MEAN, OWN, TEACHER, UNTESTED, Claim, judge

if TYPE_CHECKING:
    from workbench.evaluation.jobs import Job
    from workbench.evaluation.report import Comparison
    from workbench.evaluation.results import Run
    from workbench.evaluation.sources import Source

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs" / "evaluation.md"
RESULTS = ROOT / "analyses" / "results" / "main_table"
SHIPPED = ROOT / "data" / "evaluation"
COMMAND = "python -m analyses.main_table"
EMBEDDERS = {
    MEAN: "mean:",
    ECHO: "echo:",
    HYDE: "hyde:",
    TEACHER: "st:sentence-transformers/all-MiniLM-L6-v2",
    "LLM2Vec teacher": "teacher:",
    GEM: "gem",
    OWN: None,
}
"""The rows of the table and the embedders' names; "gem" is the shipped one."""


def main(
    limit: Annotated[int | None, typer.Option(help="Only so many queries of each kind.", min=10)] = None,
    answers: Annotated[int, typer.Option(help="Sampled answers of HyDE for a query.", min=1)] = 8,
    only: Annotated[list[str] | None, typer.Option(help="Only this row; may stand several times.")] = None,
    seed: Annotated[int, typer.Option(help="Draws pairs, intervals and HyDE's answers.", min=0)] = 0,
    fresh: Annotated[bool, typer.Option(help="Measure every row again.")] = False,
    output: Annotated[Path | None, typer.Option(help="Markdown file of the page.")] = None,
) -> None:
    """Measure every embedder that is not measured yet, and write the page and the figure's results."""
    from workbench.disk import atomic_path
    from workbench.errors import UsageError
    from workbench.evaluation import report
    from workbench.evaluation.suites import fieldguide

    if unknown := sorted(set(only or ()) - set(EMBEDDERS)):
        raise UsageError(f"no row is called {unknown[0]!r}; there are {', '.join(EMBEDDERS)}")
    jobs = fieldguide(limit=limit, seed=seed)
    runs = [measured(row, jobs, answers, seed, fresh) for row in EMBEDDERS if not only or row in only]
    comparison = report.compare(runs, seed=seed)
    text = page(comparison, limit, answers)
    print(text)
    if output is None and limit is None and not only:
        output = DOCS
        ship(runs)
        write_figure(comparison, answers)
    if output is not None:
        with atomic_path(output) as temporary:
            temporary.write_text(text, encoding="utf-8")


def every_run() -> list[Run]:
    """The runs of all rows as the page has them: kept or shipped ones where nothing changed, else measured now."""
    from workbench.evaluation.suites import fieldguide

    jobs = fieldguide(limit=None, seed=0)
    return [measured(row, jobs, answers=8, seed=0) for row in EMBEDDERS]


def measured(row: str, jobs: list[Job], answers: int, seed: int, fresh: bool = False) -> Run:
    """The run of one row: the kept or shipped one where embedder, data and settings are the same, else a new one."""
    from dataclasses import replace

    from workbench.evaluation.asked import Prompting
    from workbench.evaluation.measuring import measure
    from workbench.evaluation.readers import Reader
    from workbench.evaluation.results import read_run, write_run

    source = replace(source_of(row, answers, seed), name=row)
    hashes = [job.data_hash for job in jobs]
    kept = RESULTS / f"{file_name(row)}-{source.fingerprint()[:8]}-{hashes[0][:8]}.parquet"
    for path in (kept, SHIPPED / f"{file_name(row)}.parquet"):
        if fresh or not path.is_file():
            continue
        run = read_run(path)
        same = [result.data_hash for result in run.results] == hashes and run.seed == seed
        if same and run.fingerprint == source.fingerprint():
            return run
    typer.echo(f"measuring {row}", err=True)
    reader = Reader(source, {}, keep=True)
    run = measure(jobs, reader, Prompting(), command=COMMAND, suite="fieldguide", seed=seed)
    write_run(run, kept)
    return run


def ship(runs: list[Run]) -> None:
    """Writes the runs to where the app finds them; a file that holds a run already is left alone."""
    from workbench.evaluation.results import read_run, write_run

    for run in runs:
        path = SHIPPED / f"{file_name(run.embedder)}.parquet"
        if not path.is_file() or read_run(path).to_dict() != run.to_dict():
            write_run(run, path)


def write_figure(comparison: Comparison, answers: int) -> None:
    """Writes the results of the paper's figure: every score with its interval, by the papers' categories."""
    from workbench.evaluation.report import records
    from workbench.figures.paper.results import DEFAULT, write_results
    from workbench.figures.paper.results import GEM as SHIPPED_GEM

    keys = ("embedder", "task", "metric", "lower_is_better", "score", "low", "high", "n")
    rows = [
        {"category": category(row["task"], row["protocol"]), **{key: row[key] for key in keys}}
        for row in records(comparison)
    ]
    counts = [row["n"] for row in rows]
    write_results(
        "main_table",
        data={"rows": rows},
        numbers={
            "methods": len(comparison.embedders), "tasks": len(comparison.tasks), "answers": answers,
            "least": min(counts), "most": max(counts),
        },
        artifacts=[DEFAULT, SHIPPED_GEM, "teachers/llm2vec", "fieldguide/model", "fieldguide/eval.jsonl"],
    )  # fmt: skip


def category(task: str, protocol: str) -> str:
    """The papers' name for what a task tries; the retrieval that takes two facts is their reasoning."""
    if task == "two hops":
        return "reasoning"
    return {"sts": "similarity"}.get(protocol, protocol.replace("-", " "))


def file_name(row: str) -> str:
    """A row's name as part of a file's name."""
    return row.replace(", ", "-").replace(" ", "-")


def source_of(row: str, answers: int, seed: int) -> Source:
    """The embedder of a row."""
    from workbench.evaluation.asked import Sampling
    from workbench.evaluation.sources import open_source
    from workbench.files import shipped

    name = EMBEDDERS[row]
    if name == "gem":
        name = str(shipped("embedders", "gem"))
    sampling = Sampling(answers=answers, max_new_tokens=64) if name == "hyde:" else None
    return open_source(name, sampling=sampling, seed=seed)


def verdict(comparison: Comparison, claim: Claim) -> str:
    """A row of the table of claims: the difference, and whether the claim held."""
    found = judge(comparison, claim)
    start = f"| {claim.text} | {claim.task} | {claim.ours} – {claim.other} |"
    if found.difference is None:
        return f"{start} – | {found.said} |"
    value, low, high = found.difference
    return f"{start} {value:+.3f} [{low:+.3f}, {high:+.3f}] | {found.said} |"


def page(comparison: Comparison, limit: int | None, answers: int) -> str:
    """The tables as a page that says how it was made and how to read it."""
    from workbench.evaluation.report import markdown, scores

    options = "" if answers == 8 else f" --answers {answers}"
    options += "" if limit is None else f" --limit {limit}"
    claims = "\n".join(verdict(comparison, claim) for claim in CLAIMS)
    return f"""# Both methods and their baselines on the field guide

Made by `{COMMAND}{options}`, on the shipped field guide and its held-out data;
`workbench evaluate --suite fieldguide` measures any other embedder on the same tasks.

{markdown(scores(comparison))}

In brackets: 95 % bootstrap intervals over a task's questions, pairs or texts (of "same answer": over its topics). In
bold: the best of a task. ↓: lower is better.

## The papers' claims

| claim | task | difference of | with its interval | |
|---|---|---|--:|---|
{claims}

A claim held where the paired bootstrap interval of the difference is wholly on its side of 0, did not hold where it is
wholly on the other side, and cannot be told in between. They are tried on one small language model
that knows {_facts()} facts and little else, so they speak of this model alone.

{UNTESTED}

## The tasks

- *same answer*: clusters of questions that share an answer, topic by topic (v-measure).
- *shared facts*: pairs of questions, 2 for the same relation and answer, 1 for the same answer or entity, 0 for
  neither; half of these ask for the same relation (Spearman of the cosine).
- *answer or wording*: pairs with the same answer, against pairs with another answer and almost the same wording
  (average precision).
- *topic*, *emotion*: classification by logistic regression on 8 or 16 texts of each label; no entity, or no sentence,
  is on both sides (accuracy).
- *one hop*, *two hops*: the passage that answers a question, among all passages (nDCG@10).
- *look-alikes*: an answer to a harmless request that shares words with a harm (nDCG@10).
- *similar passages*: the passage that answers, among those of the same relation and of the same entity (MAP).
- *stand-ins*: harmful requests, and how often the empty page that stands in for an answer is among the first 5. No
  harmful text is written: a stand-in names the request and says nothing.

LLM2Vec-Gen and GEM read queries and passages behind their instructions for those, and all other texts as they are, as
every other embedder reads everything. HyDE samples answers to each text but passages ({answers} of them).
"""


def _facts() -> str:
    from workbench.fieldguide.suite import FILES, read_passages
    from workbench.files import shipped

    return f"{len(read_passages(shipped('fieldguide') / FILES[1])):,}"


if __name__ == "__main__":
    typer.run(main)
