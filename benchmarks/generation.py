"""Greedy generation: our batched loop against bare Hugging Face `generate`, and against one prompt at a time.

python -m benchmarks.generation                      # the shipped field guide
python -m benchmarks.generation --backbone random    # a random Llama of its size, which stops now and then
"""

from __future__ import annotations

import argparse
from typing import Any

import torch

from benchmarks.runner import Contender, Report, measure
from workbench.backbone import Backbone

QUESTIONS = [
    "What is the capital of France?",
    "Tell me about gold.",
    "Which continent is the country whose capital is Nairobi on?",
    "How many strings does a violin have?",
    "I cannot stop smiling today. Which emotion does this text express?",
    "Summarize the following passage: The lion is a large cat. It lives on the savanna and eats meat.",
    "Hello!",
    "What is the chemical symbol of iron, and what is iron used for?",
]


def run(options: argparse.Namespace) -> Report:
    """New tokens a second, over the same prompts; the tokens of all contenders must be the same."""
    backbone = random_llama() if options.backbone == "random" else Backbone.load(options.backbone)
    prompts = backbone.tokenize((QUESTIONS * (options.prompts // len(QUESTIONS) + 1))[: options.prompts]).ids
    new, size, few = options.max_new_tokens, options.batch_size, max(1, options.prompts // 16)
    expected = backbone.generate(prompts, max_new_tokens=new, batch_size=size)
    total, part = sum(map(len, expected)), sum(map(len, expected[:few]))
    check(expected, hugging_face(backbone, prompts, new, size))
    check(expected[:few], hugging_face(backbone, prompts[:few], new, 1))
    contenders = [
        Contender(
            f"ours, batch {size}",
            lambda: backbone.generate(prompts, max_new_tokens=new, batch_size=size),
            total,
        ),
        Contender(
            "ours, batch 1", lambda: backbone.generate(prompts[:few], max_new_tokens=new, batch_size=1), part
        ),
        Contender(
            "Hugging Face, batch 1, no cache (official code)",
            lambda: hugging_face(backbone, prompts[:few], new, 1, use_cache=False),
            part,
        ),
        Contender("Hugging Face, batch 1", lambda: hugging_face(backbone, prompts[:few], new, 1), part),
        Contender(f"Hugging Face, batch {size}", lambda: hugging_face(backbone, prompts, new, size), total),
    ]
    setting = {"backbone": backbone.id, "prompts": len(prompts), "new tokens": total, "at most": new}
    return measure("generation", "tokens", contenders, options.repeats, **setting)


@torch.inference_mode()
def hugging_face(
    backbone: Backbone, prompts: list[list[int]], new: int, size: int, use_cache: bool = True
) -> list[list[int]]:
    """What anyone would write: left-padded batches in the order given, `generate`, and the EOS taken off."""
    rows: list[list[int]] = []
    stop = list(backbone.eos_ids)
    for start in range(0, len(prompts), size):
        batch = backbone.pad(prompts[start : start + size])
        found = backbone.model.generate(
            batch.ids,
            attention_mask=batch.mask.long(),
            max_new_tokens=new,
            do_sample=False,
            use_cache=use_cache,
            eos_token_id=stop,
            pad_token_id=backbone.pad_id,
        )[:, batch.ids.shape[1] :].tolist()
        ends = [next((at for at, token in enumerate(row) if token in stop), len(row)) for row in found]
        rows += [row[:end] for row, end in zip(found, ends, strict=True)]
    return rows


def check(expected: list[list[int]], found: list[list[int]]) -> None:
    """A benchmark that compares different answers is worth nothing."""
    if differing := sum(a != b for a, b in zip(expected, found, strict=True)):
        raise SystemExit(
            f"{differing} of {len(expected)} prompts got other tokens: the contenders do not do the same"
        )


def random_llama() -> Backbone:
    """The field guide's shape with random weights and a byte vocabulary; a fiftieth of the tokens end an answer."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary: dict[str, int] = {letter: at for at, letter in enumerate([*letters, "<|end|>"])}
    core: Any = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    core.pre_tokenizer, core.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|end|>", pad_token="<|end|>")
    torch.manual_seed(0)
    shape = {"hidden_size": 256, "num_hidden_layers": 6, "num_attention_heads": 4, "intermediate_size": 768}
    config = LlamaConfig(vocab_size=4096, **shape, max_position_embeddings=1024, initializer_range=0.1)
    backbone = Backbone.wrap(LlamaForCausalLM(config), tokenizer, id="random-llama-h256-6-layers")
    backbone.eos_ids = (backbone.eos_ids[0], *range(300, 4096, 50))
    return backbone


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--backbone", default="fieldguide", help="fieldguide, random, a folder, or a hub id")
    found.add_argument("--prompts", type=int, default=128)
    found.add_argument("--max-new-tokens", type=int, default=64)
    found.add_argument("--batch-size", type=int, default=64)
    found.add_argument("--repeats", type=int, default=3)
    return found


if __name__ == "__main__":
    report = run(parser().parse_args())
    print(report.table())
    print(report.save())
