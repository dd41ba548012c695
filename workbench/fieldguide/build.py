"""Builds the field guide from its seed: corpus, tokenizer, pretraining, exam."""

from __future__ import annotations

import json
import shutil
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.disk import atomic_path
from workbench.errors import WorkbenchError
from workbench.fieldguide.corpus import (
    Tables,
    encyclopedia,
    exam_items,
    training_items,
    training_passages,
    unlabelled_queries,
)
from workbench.fieldguide.exam import BARS, Marks, sit, write_exam
from workbench.files import read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

    from workbench.fieldguide.pretraining import PretrainingConfig, TokenBatches

QUERIES = 48_000  # unlabelled queries of the training wordings, for training embedders


def build(
    output: Path,
    *,
    seed: int = 0,
    steps: int | None = None,
    config: PretrainingConfig | None = None,
    progress: bool = True,
) -> Marks:
    """Makes `output`/{model, eval.jsonl, passages.jsonl, queries.jsonl, marks.json} from the tables and a seed.

    `config` gives the model another size or schedule; without one it is the shipped one's, with `seed` and `steps`.
    Resumes from the last checkpoint under `output`/.build, where one with the same configuration lies. Returns the
    marks of the final exam. Raises WorkbenchError where the folder holds a build of another configuration.
    """
    from workbench.fieldguide.pretraining import PretrainingConfig

    started = time.monotonic()
    if config is None:
        config = PretrainingConfig(seed=seed)
        config = config if steps is None else replace(config, steps=steps)
    work = output / ".build"
    _claim(work, config)
    tables = Tables.load()
    say(f"{len(tables.facts)} facts in {len(tables.topics)} topics", progress)
    write_texts(tables, output, config.seed)
    model, tokenizer = _train(tables, config, work, progress)
    _save(model, tokenizer, output / "model")
    marks = examine(output, tables, config.seed)
    write_json(output / "marks.json", {"share": marks.share, "count": marks.count, "config": asdict(config)})
    shutil.rmtree(work)
    say(f"built in {(time.monotonic() - started) / 60:.1f} minutes", progress)
    return marks


def examine(output: Path, tables: Tables, seed: int) -> Marks:
    """Sits the whole exam with the weights as they were saved."""
    from workbench.backbone import Backbone

    backbone = Backbone.load(str(output / "model"))
    return sit(backbone, exam_items(tables, seed))


def write_texts(tables: Tables, output: Path, seed: int) -> None:
    """Writes the exam, the encyclopedia's passages and the unlabelled queries for training embedders."""
    write_exam(exam_items(tables, seed), output / "eval.jsonl")
    rows = [
        {"text": text, "topic": fact.topic, "subject": fact.x, "attribute": fact.attribute, "value": fact.y}
        for text, fact in encyclopedia(tables).items()
    ]
    _write_lines(rows, output / "passages.jsonl")
    items = unlabelled_queries(tables, QUERIES, seed + 1)
    rows = [{"query": item.query, "kind": item.kind, "topic": item.topic} for item in items]
    _write_lines(rows, output / "queries.jsonl")


def say(line: str, progress: bool = True) -> None:
    """One line of progress on stderr."""
    if progress:
        print(f"fieldguide: {line}", file=sys.stderr, flush=True)


def table_of(marks: Marks) -> str:
    """The marks as an aligned text table with the bar of each kind."""
    lines = [f"{'kind':12} {'items':>5} {'right':>6} {'bar':>5}"]
    for kind, share in marks.share.items():
        bar = f"{BARS[kind]:.2f}" if kind in BARS else ""
        lines.append(f"{kind:12} {marks.count[kind]:5d} {share:6.3f} {bar:>5}")
    return "\n".join(lines)


def _claim(work: Path, config: PretrainingConfig) -> None:
    """Makes the work folder, or checks that what lies there was begun with the same configuration.

    Raises WorkbenchError where it was begun with another one, or does not say with which.
    """
    work.mkdir(parents=True, exist_ok=True)
    note = work / "config.json"
    if note.exists() and read_json(note) != asdict(config):
        raise WorkbenchError(
            f"{work} holds an unfinished build of another configuration: delete it, or repeat its options"
        )
    write_json(note, asdict(config))


def _train(
    tables: Tables, config: PretrainingConfig, work: Path, progress: bool
) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """The tokenizer, then the model from random weights on the corpus that the seed draws."""
    from workbench.fieldguide.pretraining import pretrain
    from workbench.fieldguide.tokenizer import train_tokenizer

    lines = _lines(tables, config)
    tokenizer = train_tokenizer(lines[:60_000], config.vocabulary)
    batches = _batches(lines, tokenizer, config, progress)
    sit = _sitting(tables, tokenizer, config, progress)
    return pretrain(batches, tokenizer, config, work / "checkpoints", sit), tokenizer


def _lines(tables: Tables, config: PretrainingConfig) -> list[str]:
    from workbench.fieldguide.pretraining import training_texts

    texts = config.steps * config.batch_size
    items = training_items(tables, round(0.95 * texts), config.seed)
    passages = training_passages(tables, texts - len(items), config.seed)
    return training_texts([(item.query, item.response) for item in items], passages, config.seed)


def _batches(
    lines: list[str], tokenizer: PreTrainedTokenizerFast, config: PretrainingConfig, progress: bool
) -> TokenBatches:
    from workbench.fieldguide.pretraining import TokenBatches

    batches = TokenBatches(lines, tokenizer, config)
    say(
        f"{len(lines)} texts, {sum(map(len, batches.ids))} tokens, {len(tokenizer)} vocabulary entries",
        progress,
    )
    return batches


def _sitting(
    tables: Tables, tokenizer: PreTrainedTokenizerFast, config: PretrainingConfig, progress: bool
) -> Callable[[LlamaForCausalLM], float]:
    """A small exam of other draws than the final one, for early stopping."""
    from workbench.backbone import Backbone

    trial = [item for item in exam_items(tables, config.seed + 7) if item.kind in BARS][::4]

    def sitting(model: LlamaForCausalLM) -> float:
        marks = sit(Backbone.wrap(model, tokenizer), trial)
        say("trial " + ", ".join(f"{kind} {share:.2f}" for kind, share in marks.share.items()), progress)
        return min(marks.facts, marks.lowest)

    return sitting


def _save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Saves weights in half precision (they are read back to fp32 on a CPU) with the tokenizer."""
    with atomic_path(folder) as temporary:
        model.half().save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)


def _write_lines(rows: list[dict[str, str]], path: Path) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(
            "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8"
        )
