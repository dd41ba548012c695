"""`workbench evaluate`: an embedder on a suite or on the files of a task: a table or JSON, and a parquet file."""

import json
import shlex
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli import options, say
from workbench.config import Config
from workbench.errors import UsageError
from workbench.evaluation.asked import Prompting, Sampling, TaskFiles, TaskSettings

if TYPE_CHECKING:
    from workbench.evaluation.jobs import Job

EMBEDDER = (
    "A folder or hub id of ours, or an official checkpoint; st:PATH_OR_ID (sentence-transformers); mean:, last:, "
    "echo: or hyde:BACKBONE; teacher:PATH. The shipped default without it."
)
TASK = (
    "sts, classification, clustering, pair-classification, retrieval, reranking, safety, reasoning, multiple-choice "
    "or perplexity, on the files below."
)


@options.with_flags(TaskFiles, TaskSettings, Prompting, Sampling)
def evaluate(
    files: TaskFiles,
    settings: TaskSettings,
    prompting: Prompting,
    sampling: Sampling,
    embedder: Annotated[str | None, typer.Option("--embedder", help=EMBEDDER)] = None,
    suite: Annotated[
        str | None,
        typer.Option(
            "--suite", help="fieldguide (shipped), or parity (published scores; --data is its folder)."
        ),
    ] = None,
    task: Annotated[str | None, typer.Option("--task", help=TASK)] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="What the task is called; else as its file.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=2, help="fieldguide: at most so many queries of each kind.")
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", min=0, help="Draws the intervals, the suite's pairs, HyDE's answers.")
    ] = 0,
    output: Annotated[
        Path | None, typer.Option("--output", help="Also write the run as .parquet, for `workbench report`.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object with main_score.")] = False,
    batch_size: options.ReadAtOnce = None,
    backbone: options.BackbonePath = None,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    trust_remote_code: options.TrustRemoteCode = False,
) -> None:
    """Measure an embedder on a suite, or on a task as mteb defines it, with 95 % bootstrap intervals.

    On a task an embedder of ours reads texts behind its instruction for that kind of task (its prompts STS,
    Classification, Retrieval-query, document and so on); --prompt-name takes that of one task, --prompt "" none.
    Every other embedder reads texts its own way: baselines and teachers as they are, a sentence-transformers model as
    its configuration says. In the suite fieldguide, ours reads queries and documents behind its instructions for
    those, and other texts as they are; in the suite parity, behind those of each task.
    """
    if output is not None:
        options.check_output(output, (".parquet",))

    from workbench.evaluation.measuring import measure
    from workbench.evaluation.readers import Reader
    from workbench.evaluation.report import markdown, one
    from workbench.evaluation.results import write_run
    from workbench.evaluation.sources import open_source

    own = {"embedder": embedder, "suite": suite, "task": task, "name": name, "limit": limit, "seed": seed}
    run_on = {"backbone": backbone, "device": device, "dtype": dtype, "trust_remote_code": trust_remote_code}
    configs = (files, settings, prompting, sampling)
    command = command_line({**own, "batch_size": batch_size, **run_on}, configs)
    check_source(embedder, task, prompting, sampling)
    jobs = read_jobs(suite, task, files, settings, name=name, limit=limit, seed=seed)
    with _warnings_as_notes():
        source = open_source(embedder, sampling=sampling, seed=seed, **run_on)
        run = measure(
            jobs,
            Reader(source, {}, batch_size, keep=suite is not None),
            prompting,
            command=command,
            suite=suite,
            seed=seed,
            progress=lambda task: say.note(f"measuring {task}") if len(jobs) > 1 else None,
        )
    if as_json:
        print(json.dumps(run.to_dict(), ensure_ascii=False))
    else:
        print(markdown(one(run), left=2))
    if output is not None:
        write_run(run, output)
        say.note(f"the run is in {output}")


def command_line(own: dict[str, Any], configs: tuple[Config, ...]) -> str:
    """The command that gives this run again: every option that was given or that has a value of its own."""
    for config in configs:
        defaults = {field.name: field.default for field in fields(config)}  # type: ignore[arg-type]
        own = {**own, **{key: value for key, value in config.to_dict().items() if value != defaults[key]}}
    words = ["workbench", "evaluate"]
    for key, value in own.items():
        if value in (None, False, "auto"):
            continue
        words.append(f"--{key.replace('_', '-')}")
        words += [] if value is True else [str(value)]
    return shlex.join(words)


def check_source(embedder: str | None, task: str | None, prompting: Prompting, sampling: Sampling) -> None:
    """Refuses, before anything is loaded, what does not go together with the embedder's form."""
    from workbench.evaluation.jobs import SPEAKING
    from workbench.evaluation.sources import parse

    form = parse(embedder).form
    if form != "hyde" and sampling != Sampling():
        raise UsageError("--answers and --max-new-tokens belong to --embedder hyde:BACKBONE")
    if task in SPEAKING:
        if form == "st":
            raise UsageError(f"--task {task} asks a language model, and {embedder} has none")
        if prompting != Prompting():
            raise UsageError(f"--prompt and --prompt-name do not belong to --task {task}")


def read_jobs(
    suite: str | None,
    task: str | None,
    files: TaskFiles,
    settings: TaskSettings,
    *,
    name: str | None,
    limit: int | None,
    seed: int,
) -> "list[Job]":
    """The tasks that were asked for, their files read; UsageError for options that do not go together."""
    from workbench.evaluation import suites
    from workbench.evaluation.jobs import prepare

    if (suite is None) == (task is None):
        raise UsageError("give either --suite or --task")
    if limit is not None and suite != "fieldguide":
        raise UsageError("--limit belongs to --suite fieldguide")
    if task is not None:
        return [prepare(task, files.given(), settings.given(), task=name)]
    if suite not in suites.SUITES:
        raise UsageError(f"no suite named {suite!r}; there are {', '.join(suites.SUITES)}")
    extra = [
        *(role for role in files.given() if role != "data"),
        *settings.given(),
        *(["name"] if name else []),
    ]
    if extra:
        raise UsageError(f"--{extra[0].replace('_', '-')} does not belong to --suite {suite}")
    folder = None if files.data is None else Path(files.data).expanduser()
    if suite == "fieldguide":
        return suites.fieldguide(folder, limit=limit, seed=seed)
    if folder is None:
        raise UsageError("--suite parity needs --data: the folder of its files")
    return suites.parity(folder)


@contextmanager
def _warnings_as_notes() -> Iterator[None]:
    """Warnings, such as how many texts lost their tail, as one line each."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: say.note(str(message))  # type: ignore[assignment]
        yield
