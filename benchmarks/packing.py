"""LLM2Vec-Gen training with a LoRA on the shipped corpus: padded batches against packed ones, in bfloat16 autocast.

python -m benchmarks.packing                    # two threads, batches of 24

anyhow    batches as they come, padded
bucketed  what `--packing off` does: pools of batches sorted by length, padded
packed    what `--packing on` does: batches as they come, several texts in a row
low       packed, on a backbone loaded in bfloat16 (`--dtype bfloat16`), as the shipped default is trained
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from benchmarks.runner import Contender, Report, measure
from workbench.backbone import Backbone
from workbench.embedders.config import LLM2VecGenConfig
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.files import shipped
from workbench.texts import read_texts
from workbench.training.batches import BatchOrder, Examples, tokenize_examples
from workbench.training.config import LLM2VecGenTraining
from workbench.training.corpus import Corpus
from workbench.training.llm2vec_gen_step import TrainingStep

RECIPE = LLM2VecGenTraining(lora_rank=16, lora_alpha=32.0, align_reduction="sum")
SHAPE = LLM2VecGenConfig(dimension=384, align_each=True, lora_rank=16, lora_alpha=32.0)
Make = Callable[[list[int]], dict[str, Tensor]]


def run(options: argparse.Namespace) -> Report:
    """Queries a second of every contender over as many queries, forward and backward."""
    torch.set_num_threads(options.threads)
    count = options.batch_size * options.steps
    plain, low = (subject(dtype, count) for dtype in ("float32", "bfloat16"))
    specials = {"specials": SHAPE.n_compression + SHAPE.n_thought, "soft_prompts": SHAPE.n_compression}

    def contender(name: str, of: tuple[TrainingStep, Examples], packs: bool, pool: int) -> Contender:
        step, examples = of
        make: Make = partial(examples.packed, **specials) if packs else examples.batch
        order = BatchOrder(examples, batch_size=options.batch_size, epochs=1, seed=0, pool=pool).batches
        return Contender(name, lambda: go(step, make, order), count)

    return measure(
        "packing",
        "queries",
        [
            contender("low: packed, backbone in bfloat16", low, True, 1),
            contender("packed", plain, True, 1),
            contender("bucketed", plain, False, 4),
            contender("anyhow", plain, False, 1),
        ],
        options.repeats,
        queries=count,
        batch=options.batch_size,
        threads=options.threads,
    )


def go(step: TrainingStep, make: Make, order: list[list[int]]) -> None:
    """Forward and backward over all batches; gradients are dropped."""
    for rows in order:
        with torch.autocast("cpu", torch.bfloat16):
            loss = step(**make(rows)).total
        loss.backward()
        step.zero_grad()


def subject(dtype: str, count: int) -> tuple[TrainingStep, Examples]:
    """A fresh embedder on the shipped backbone and `count` examples of the shipped corpus, with made-up targets."""
    backbone = Backbone.load(device="cpu", dtype=dtype)
    table = read_texts(str(shipped("fieldguide", "corpus.jsonl")), None, limit=count)
    targets = torch.randn(count, 384, generator=torch.Generator().manual_seed(0)).numpy()
    corpus = Corpus(table.texts, [str(row["response"]) for row in table.rows], targets, {})
    examples = tokenize_examples(backbone, corpus, RECIPE, SHAPE)
    return TrainingStep(LLM2VecGen.untrained(backbone, SHAPE), RECIPE), examples


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--threads", type=int, default=2)
    found.add_argument("--batch-size", type=int, default=24)
    found.add_argument("--steps", type=int, default=50, help="batches that every contender goes through")
    found.add_argument("--repeats", type=int, default=3)
    return found


if __name__ == "__main__":
    report = run(parser().parse_args())
    print(report.table())
    print(report.save())
