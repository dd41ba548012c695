"""The official package llm2vec-gen 0.1.3 beside us: same weights, same data, in turns, each in its own interpreter.

python -m benchmarks.official                         # all of it; /opt/wb/official, or --official, has the package
python -m benchmarks.official --only encode train     # encode, decode, train, memory
python -m benchmarks.official --dtype bfloat16        # where a GPU is present: --device cuda is found by itself

Embeddings, decoded texts and training losses of both sides must agree before anything is timed.

encode   1,000 texts of mixed length, 4 to 96 tokens. Its `encode` has no batch size and takes all texts as one batch;
         it is also given batches of 32, in the order of the texts, and sorted by length as its evaluation script does
         for it. Ours takes 32 too, and on a GPU also as many as it takes there by itself
decode   16 texts, 64 tokens each, from their soft prompts. Its `generate` takes one text; the model's own loop, which
         would take 16, runs beside it
train    forward, backward and AdamW on a batch of 32, n = 10, float32 unless --dtype says otherwise; gradient
         checkpointing on at its side, as its training has it; the teacher's vectors are given on both sides
memory   a training step: the peak above what the loaded model holds; on a CPU each in a fresh process
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import beside
from benchmarks import official_model as data
from benchmarks.agreement import agree, same_texts
from benchmarks.beside import shape_of, suffix, tolerance
from benchmarks.official_ours import Ours
from benchmarks.runner import Bar, Contender, MemoryReport, Report, measure
from benchmarks.wire import Peer
from workbench.backbone.kernels import on_gpu

STEPS = {"32, 64": (32, 64), "256, 64": (256, 64), "64, 256": (64, 256)}
"""Tokens of query and response."""
Opened = Callable[[str], AbstractContextManager[Any]]
DEFAULT = "/opt/wb/official"
INSTALL = """python3 -m venv {0}
{0}/bin/pip install torch==2.13.0 transformers==4.56.2 peft==0.18.0 datasets hydra-core
{0}/bin/pip install --no-deps llm2vec-gen==0.1.3"""


def run(options: argparse.Namespace) -> Iterator[Report | MemoryReport]:
    """The reports, one after the other."""
    with tempfile.TemporaryDirectory() as folder:
        shape = shape_of(options)
        checkpoint = str(data.write(Path(folder), shape, options.dtype))
        loaded = {"checkpoint": checkpoint, "threads": options.threads, "device": options.device}
        setting = {"model": str(shape), "dtype": options.dtype}
        batches = training_batches(shape, options.batch_size)
        counted = options.device != "cpu"  # a GPU's memory is counted by torch, a process's by the system
        if "memory" in options.only and not counted:
            yield from memory(options, fresh(options, loaded), batches, setting)
        if options.only == ["memory"] and not counted:
            return
        ours = Ours()
        with official(options) as theirs:
            trains = ours.load(**loaded)["trains"], theirs.ask("load", **loaded)["trains"]
            if trains[0] != trains[1]:
                raise SystemExit(f"we train {trains[0]} numbers, the official code {trains[1]}")
            setting |= {"trained numbers": trains[0]}
            if "memory" in options.only and counted:
                sides = {"ours": ours, "official": theirs}
                yield from memory(options, lambda side: nullcontext(sides[side]), batches, setting)
            if "encode" in options.only:
                yield encode(options, ours, theirs, shape, setting)
            if "decode" in options.only:
                yield decode(options, ours, theirs, shape, setting)
            if "train" in options.only:
                yield from train(options, ours, theirs, batches, setting)


def encode(options: argparse.Namespace, ours: Ours, theirs: Peer, shape: data.Shape, setting: Any) -> Report:
    """1,000 texts: a log-normal length, most of them short, some five times as long."""
    draw, size = np.random.default_rng(0), options.encode_batch
    lengths = np.exp(draw.normal(np.log(16), 0.75, options.texts)).round().clip(4, 96).astype(int).tolist()
    texts = data.texts(lengths, shape.vocabulary, seed=1)
    by_itself = None if on_gpu(torch.device(options.device)) else size
    mine = ours.encode(texts, by_itself)
    answers = theirs.ask("encode", texts=texts, batch_size=size, ordered=True, answer=True)
    agree(mine, answers, tolerance(options))

    def their(batch_size: int | None, ordered: bool) -> Any:
        request = {"texts": texts, "batch_size": batch_size, "ordered": ordered, "answer": False}
        return lambda: theirs.ask("encode", **request)

    whole, same = "official, its encode: all texts as one batch", f"official, batches of {size}"
    # Those that `agree` has read already are not warmed up.
    contenders = [Contender("ours", lambda: ours.encode(texts, by_itself), len(texts), warm_up=False)]
    equal = "ours"
    if by_itself is None:
        equal = f"ours, batches of {size}"
        contenders.append(Contender(equal, lambda: ours.encode(texts, size), len(texts)))
    contenders += [
        Contender(
            f"official, batches of {size}, sorted for it", their(size, True), len(texts), warm_up=False
        ),
        Contender(same, their(size, False), len(texts), warm_up=False),
        Contender(whole, their(None, False), len(texts), warm_up=False),
    ]
    bars = [Bar("ours", whole, least=1.5), Bar(equal, same, least=1.5)]
    more = {"texts": len(texts), "tokens": f"4 to 96, {np.mean(lengths):.1f} on average", "batch": size}
    return measure(
        f"official_encode{suffix(options)}", "texts", contenders, options.repeats, bars, **setting, **more
    )


def decode(options: argparse.Namespace, ours: Ours, theirs: Peer, shape: data.Shape, setting: Any) -> Report:
    """16 texts decoded from their soft prompts."""
    count, tokens = options.decode_texts, options.tokens
    texts = data.texts([8 + row for row in range(count)], shape.vocabulary, seed=2)
    ours.prompts(texts)
    theirs.ask("prompts", texts=texts)
    mine = ours.decode(tokens)
    together = theirs.ask("decode_together", tokens=tokens)
    same = same_texts(mine, theirs.ask("decode", tokens=tokens), options)
    same_texts(mine, together, options)
    if any(len(text.split()) != tokens for text in mine):
        raise SystemExit(f"a text ended before {tokens} tokens: its decoding would be measured too cheap")
    alone, all_at_once = (
        "official, its generate: one text at a time",
        "official, the loop inside it: all texts",
    )
    contenders = [
        Contender("ours", lambda: ours.decode(tokens), count * tokens),
        Contender(
            all_at_once, lambda: theirs.ask("decode_together", tokens=tokens), count * tokens, warm_up=False
        ),
        Contender(alone, lambda: theirs.ask("decode", tokens=tokens), count * tokens, warm_up=False),
    ]
    more = {"texts": count, "tokens each": tokens, "decoded the same by both": same}
    bars = [Bar("ours", alone, least=15.0)]
    return measure(
        f"official_decode{suffix(options)}", "tokens", contenders, options.repeats, bars, **setting, **more
    )


def train(
    options: argparse.Namespace, ours: Ours, theirs: Peer, batches: dict[str, Any], setting: Any
) -> Iterator[Report]:
    """A step on each of the batches; the losses of the first two must be the same."""
    for name in options.steps:
        ours.batch(name, **batches[name])
        theirs.ask("batch", name=name, **batches[name])
        request = {"name": name, "steps": 2, "lr": options.lr}
        losses = ours.train(**request), theirs.ask("train", **request)
        agree(np.array(losses[0]), losses[1], tolerance(options))
        once: dict[str, Any] = request | {"steps": 1}
        contenders = [
            Contender("ours", lambda once=once: ours.train(**once), 1, warm_up=False),
            Contender("official", lambda once=once: theirs.ask("train", **once), 1, warm_up=False),
        ]
        more = {"batch": options.batch_size, "tokens of query and response": name}
        bars = [Bar("ours", "official", least=1.5)]
        label = name.replace(", ", "_")
        yield measure(
            f"official_train_{label}{suffix(options)}",
            "steps",
            contenders,
            options.repeats,
            bars,
            **setting,
            **more,
        )


def memory(
    options: argparse.Namespace, opened: Opened, batches: dict[str, Any], setting: Any
) -> Iterator[MemoryReport]:
    """The peak of a step above the loaded model; `opened` gives a side by its name."""
    for name in options.steps:
        above: dict[str, list[float]] = {"ours": [], "official": []}
        held: dict[str, list[float]] = {"ours": [], "official": []}
        for _ in range(options.memory_repeats):
            for side in above:
                with opened(side) as peer:
                    for kept in ("first", name):
                        peer.ask("batch", name=kept, **batches[kept])
                    found = peer.ask("peak", name=name, first="first", lr=options.lr)
                above[side].append(found["peak"] - found["before"])
                held[side].append(found["before"])
        more = {f"held before, {side}, MB": round(statistics.median(held[side])) for side in held}
        more |= {"batch": options.batch_size, "tokens of query and response": name}
        label = name.replace(", ", "_")
        bars = [Bar("ours", "official", most=0.6)]
        yield MemoryReport.of(
            f"official_memory_{label}{suffix(options)}", "official", above, bars, **setting, **more
        )


def training_batches(shape: data.Shape, size: int) -> dict[str, dict[str, Any]]:
    """A batch for each of STEPS, the response closed by the end of text, and a small one by the name "first"."""
    found = {}
    for name, (query, response) in {"first": (8, 8), **STEPS}.items():
        rows = 2 if name == "first" else size
        found[name] = {
            "queries": data.token_rows(rows, query, shape.vocabulary, 3),
            "responses": [
                [*row[:-1], data.END] for row in data.token_rows(rows, response, shape.vocabulary, 4)
            ],
            "targets": np.random.default_rng(5).standard_normal((rows, shape.hidden)).tolist(),
        }
    return found


def fresh(options: argparse.Namespace, loaded: dict[str, Any]) -> Opened:
    """A side in a process of its own, the model loaded."""

    @contextmanager
    def opened(side: str) -> Iterator[Peer]:
        with our_process(options) if side == "ours" else official(options) as peer:
            peer.ask("load", **loaded)
            yield peer

    return opened


@contextmanager
def official(options: argparse.Namespace) -> Iterator[Peer]:
    """The official package in its interpreter; SystemExit with the commands that install it where it is absent."""
    python = Path(options.official).absolute() / "bin" / "python"
    if not python.is_file():
        raise SystemExit(
            f"no official package at {options.official}; these make it there:\n{INSTALL.format(options.official)}"
        )
    quiet = {"TRANSFORMERS_VERBOSITY": "error", "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}
    with Peer([str(python), "-m", "benchmarks.official_worker"], **quiet) as peer:
        yield peer


@contextmanager
def our_process(options: argparse.Namespace) -> Iterator[Peer]:
    """Our side in a fresh process."""
    with Peer([sys.executable, "-m", "benchmarks.official_ours"]) as peer:
        yield peer


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = beside.parser(__doc__, repeats=5, texts=1000, decode_texts=16)
    kinds, place = ["encode", "decode", "train", "memory"], os.environ.get("WORKBENCH_OFFICIAL", DEFAULT)
    found.add_argument("--official", default=place, help="its virtual environment; else $WORKBENCH_OFFICIAL")
    found.add_argument("--only", nargs="+", choices=kinds, default=kinds)
    found.add_argument("--steps", nargs="+", choices=list(STEPS), default=list(STEPS))
    found.add_argument("--memory-repeats", type=int, default=2)
    found.add_argument("--encode-batch", type=int, default=32)
    found.add_argument("--lr", type=float, default=3e-4)
    return found


if __name__ == "__main__":
    beside.publish(run(parser().parse_args()))
