"""LLM2Vec-Gen training: our step against a plain one with gradients through everything; speed and peak memory.

python -m benchmarks.training                   # two threads, batches of 32
python -m benchmarks.training --threads 1 --batch-size 64

A random Llama of the field guide's size (6 M parameters), queries of about 16 tokens, responses of about 24.

cached   what `workbench.training` does: the query once without gradients, the special tokens behind its cache, logits
         for response positions only, batches bucketed by length
Trainer  the cached step with all that transformers.Trainer adds: collation, optimizer, schedule, log
fused    the cached step with torch's fused attention kernel, which a short text's backward pass otherwise avoids
bfloat16 the cached step on a backbone loaded in bfloat16, for CPUs and GPUs that have it
plain    one forward over query and special tokens with the graph kept through all of it, logits for every position of
         the second pass, batches in random order: a direct reading of the paper, frozen weights
"""

from __future__ import annotations

import argparse
import copy
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer, models
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from benchmarks.runner import Contender, Report, measure
from workbench.backbone import Backbone, kernels
from workbench.embedders.config import LLM2VecGenConfig
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.training.batches import BatchOrder, Examples
from workbench.training.config import LLM2VecGenTraining
from workbench.training.llm2vec_gen import build_trainer
from workbench.training.llm2vec_gen_step import TrainingStep
from workbench.training.run import Run

Batches = list[dict[str, Tensor]]


def run(options: argparse.Namespace) -> Report:
    """Queries a second of every contender over the same queries, and how far each raises the peak memory."""
    torch.set_num_threads(options.threads)
    found = contenders(options)
    memory = {f"peak MB, {name}": in_own_process(name, options) for name in ("cached", "plain")}
    setting = {"queries": options.batch_size * options.steps, "batch size": options.batch_size, **memory}
    return measure("training", "queries", list(found.values()), options.repeats, **setting)


def contenders(options: argparse.Namespace) -> dict[str, Contender]:
    """All contenders by a short name; ratios refer to the last."""
    queries = options.batch_size * options.steps
    embedder, examples = subjects(queries)
    config = LLM2VecGenTraining(batch_size=options.batch_size)
    order = BatchOrder(examples, batch_size=options.batch_size, epochs=1, seed=0).batches
    bucketed = [examples.batch(rows) for rows in order]
    anyhow = [examples.batch(rows.tolist()) for rows in torch.arange(queries).split(options.batch_size)]
    step, low = TrainingStep(embedder, config), TrainingStep(in_bfloat16(embedder), config)

    def under_trainer() -> None:
        with tempfile.TemporaryDirectory() as folder:
            build_trainer(embedder, examples, config, Run(Path(folder))).train()

    return {
        "cached": Contender(
            "cached", lambda: steps(lambda batch: step(**batch).total, embedder, bucketed), queries
        ),
        "trainer": Contender("cached, under Trainer", under_trainer, queries),
        "fused": Contender("cached, fused attention", lambda: fused(step, embedder, bucketed), queries),
        "bfloat16": Contender(
            "cached, backbone in bfloat16",
            lambda: steps(lambda batch: low(**batch).total, embedder, bucketed),
            queries,
        ),
        "plain": Contender(
            "plain", lambda: steps(lambda batch: plain_loss(embedder, **batch), embedder, anyhow), queries
        ),
    }


def steps(loss_of: Callable[[dict[str, Tensor]], Tensor], embedder: LLM2VecGen, batches: Batches) -> None:
    """Forward and backward over all batches; gradients are dropped."""
    for batch in batches:
        loss_of(batch).backward()
        embedder.module.zero_grad()


def fused(step: TrainingStep, embedder: LLM2VecGen, batches: Batches) -> None:
    """`steps` with the fused kernel for every length."""
    with mock.patch.object(kernels, "SHORT", 0):
        steps(lambda batch: step(**batch).total, embedder, batches)


def plain_loss(
    embedder: LLM2VecGen,
    query_ids: Tensor,
    query_mask: Tensor,
    query_positions: Tensor,
    response_ids: Tensor,
    labels: Tensor,
    targets: Tensor,
) -> Tensor:
    """The method without any of our shortcuts: two whole forwards, the graph through all of both."""
    backbone, module = embedder.backbone, embedder.module
    rows, n = len(query_ids), len(module.tokens)
    inputs = torch.cat([backbone.embed(query_ids), module.tokens.expand(rows, -1, -1)], dim=1)
    mask = torch.cat([query_mask, query_mask.new_ones(rows, n)], dim=1)
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    projected = module.project(backbone.hidden(inputs, mask=mask, positions=positions).last[:, -n:])
    inputs = torch.cat([projected.soft_prompts, backbone.embed(response_ids)], dim=1)
    mask = torch.cat([mask.new_ones(rows, n), labels != -100], dim=1)
    positions = torch.arange(inputs.shape[1]).expand(rows, -1)
    logits = backbone.logits(backbone.hidden(inputs, mask=mask, positions=positions).last)
    recon = F.cross_entropy(logits[:, n - 1 : -1].transpose(1, 2), labels)
    return (projected.embedding - targets).square().mean() + recon


def in_bfloat16(embedder: LLM2VecGen) -> LLM2VecGen:
    """The same special tokens on a copy of the backbone in bfloat16."""
    backbone = embedder.backbone
    model = copy.deepcopy(backbone.model).to(torch.bfloat16)
    return LLM2VecGen(Backbone.wrap(model, backbone.tokenizer), embedder.module, embedder.config)


def in_own_process(name: str, options: argparse.Namespace) -> float:
    """How many MB one contender adds to the peak of a fresh process, two steps long."""
    sizes = ["--threads", options.threads, "--batch-size", options.batch_size, "--steps", 2]
    command = [sys.executable, "-m", "benchmarks.training", "--memory-of", name, *map(str, sizes)]
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]
    )
    return float(done.stdout.split()[-1])


def peak_of(name: str, options: argparse.Namespace) -> float:
    """How far one contender raises this process's peak memory, in MB."""
    torch.set_num_threads(options.threads)
    contender = contenders(options)[name]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    contender.work()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def subjects(count: int) -> tuple[LLM2VecGen, Examples]:
    """An embedder and `count` examples: random, seeded, of the shipped default's size."""
    shape = {"hidden_size": 256, "num_hidden_layers": 6, "intermediate_size": 768, "vocab_size": 4096}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 4}
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(**shape, **heads, tie_word_embeddings=True, eos_token_id=0, pad_token_id=0)
    )
    core: Any = Tokenizer(models.WordLevel({"<end>": 0}, unk_token="<end>"))
    backbone = Backbone.wrap(model, PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<end>"))
    draw = np.random.default_rng(0)

    def texts(mean: float, spread: float) -> list[list[int]]:
        lengths = draw.normal(mean, spread, count).round().clip(4, 64).astype(int)
        return [draw.integers(1, 4096, length).tolist() for length in lengths]

    examples = Examples(backbone, texts(16, 4), texts(24, 7), torch.randn(count, 384), 0, 0)
    return LLM2VecGen.untrained(backbone, replace(LLM2VecGenConfig(), dimension=384)), examples


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--threads", type=int, default=2)
    found.add_argument("--batch-size", type=int, default=32)
    found.add_argument("--steps", type=int, default=50, help="batches that every contender goes through")
    found.add_argument("--repeats", type=int, default=3)
    found.add_argument("--memory-of", choices=["cached", "plain"], help="print one contender's peak, in MB")
    return found


if __name__ == "__main__":
    settings = parser().parse_args()
    if settings.memory_of:
        print(peak_of(settings.memory_of, settings))
    else:
        report = run(settings)
        print(report.table())
        print(report.save())
