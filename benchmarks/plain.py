"""Our `encode` and `decode` beside what anyone would write with Hugging Face alone, on the same weights.

python -m benchmarks.plain                    # the random Qwen3 of benchmarks.official; as large as Qwen3-0.6B on a GPU
python -m benchmarks.plain --dtype bfloat16   # where a GPU is present

encode  384 texts of mixed length against a bare forward pass over the same padded vectors, batch by batch: no
        tokenizing, no projections, nothing put back in order
decode  from soft prompts against a bare `generate(inputs_embeds=...)`, without turning tokens into text
floor   on a GPU alone: tokens a second of one decoded text, beside what reading all weights once a token allows at the
        bandwidth that a copy reaches on this card
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from benchmarks import beside
from benchmarks import official_model as data
from benchmarks.agreement import agree, same_texts
from benchmarks.beside import shape_of, suffix, tolerance
from benchmarks.runner import Bar, Contender, Report, measure
from workbench.backbone import Backbone
from workbench.backbone.kernels import on_gpu
from workbench.decoding.decode import decode
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.embedders.official import load_checkpoint


class Inputs(NamedTuple):
    """What a bare forward pass reads."""

    vectors: Tensor
    mask: Tensor
    positions: Tensor


def run(options: argparse.Namespace) -> Iterator[Report]:
    """The reports, one after the other."""
    torch.set_num_threads(options.threads)
    shape = shape_of(options)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = data.write(Path(folder), shape, options.dtype)
        embedder = load_checkpoint(checkpoint, device=options.device, dtype=options.dtype)
        load: Any = AutoModelForCausalLM.from_pretrained
        model = load(Path(folder) / "base", dtype=embedder.backbone.dtype).to(options.device).eval()
    setting = {"model": str(shape), "dtype": options.dtype}
    yield encoding(options, embedder, model, shape, setting)
    soft_prompts = embedder.represent(
        data.texts([20] * options.decode_texts, shape.vocabulary, 2)
    ).soft_prompts
    assert soft_prompts is not None
    yield decoding(options, embedder, model, soft_prompts, setting)
    if torch.cuda.is_available():
        yield floor(options, embedder, model, soft_prompts[:1], setting)


def encoding(
    options: argparse.Namespace, embedder: LLM2VecGen, model: Any, shape: data.Shape, setting: Any
) -> Report:
    """Texts a second."""
    draw, size = np.random.default_rng(0), options.batch_size
    lengths = np.exp(draw.normal(np.log(24), 0.7, options.texts)).round().clip(4, 128).astype(int).tolist()
    texts = data.texts(lengths, shape.vocabulary, seed=1)
    batches = prepared(embedder, texts, size)

    def bare() -> list[Tensor]:
        return [forward(model, inputs, embedder.module.n_compression) for inputs in batches]

    hidden = torch.cat(bare())
    order = sorted(range(len(texts)), key=lambda row: lengths[row], reverse=True)
    embedding = embedder.module.project(hidden).embedding.detach().cpu().numpy()
    agree(np.asarray(embedder.encode(texts, batch_size=size))[order], embedding, tolerance(options))
    contenders = [
        Contender("ours: encode", lambda: embedder.encode(texts, batch_size=size), len(texts)),
        Contender("bare forward", bare, len(texts)),
    ]
    if on_gpu(embedder.backbone.device):
        by_itself = "ours: encode, without a batch size"
        contenders.insert(0, Contender(by_itself, lambda: embedder.encode(texts), len(texts)))
    more = {"texts": len(texts), "tokens": f"4 to 128, {np.mean(lengths):.1f} on average", "batch": size}
    bars = [Bar("ours: encode", "bare forward", least=0.95)]
    return measure(
        f"plain_encode{suffix(options)}", "texts", contenders, options.repeats, bars, **setting, **more
    )


@torch.inference_mode()
def prepared(embedder: LLM2VecGen, texts: list[str], size: int) -> list[Inputs]:
    """The batches that `encode` makes of the texts, the special tokens behind each."""
    backbone, specials = embedder.backbone, embedder.module.tokens.detach()
    ids = sorted(embedder.tokenize(texts).ids, key=len, reverse=True)
    found = []
    for start in range(0, len(ids), size):
        batch = backbone.pad(ids[start : start + size])
        rows = len(batch.ids)
        vectors = torch.cat(
            [backbone.embed(batch.ids), specials.to(backbone.dtype).expand(rows, -1, -1)], dim=1
        )
        mask = torch.cat([batch.mask, batch.mask.new_ones(rows, len(specials))], dim=1)
        found.append(Inputs(vectors, mask.long(), (mask.cumsum(dim=1) - 1).clamp(min=0)))
    return found


@torch.inference_mode()
def forward(model: Any, inputs: Inputs, last: int) -> Tensor:
    """A forward pass, and nothing else: the states of the last positions."""
    return model.base_model(
        inputs_embeds=inputs.vectors,
        attention_mask=inputs.mask,
        position_ids=inputs.positions,
        use_cache=False,
    ).last_hidden_state[:, -last:]


def decoding(
    options: argparse.Namespace, embedder: LLM2VecGen, model: Any, soft_prompts: Tensor, setting: Any
) -> Report:
    """New tokens a second; all texts in one batch."""
    backbone, new = embedder.backbone, options.tokens
    ours = decode(embedder, soft_prompts, max_new_tokens=new)
    theirs = backbone.detokenize(generate(backbone, model, soft_prompts, new).tolist())
    same = same_texts(ours, theirs, options)
    count = len(soft_prompts) * new
    contenders = [
        Contender("ours: decode", lambda: decode(embedder, soft_prompts, max_new_tokens=new), count),
        Contender("bare generate", lambda: generate(backbone, model, soft_prompts, new), count),
    ]
    more = {"texts": len(soft_prompts), "tokens each": new, "decoded the same by both": same}
    bars = [Bar("ours: decode", "bare generate", least=0.9)]
    return measure(
        f"plain_decode{suffix(options)}", "tokens", contenders, options.repeats, bars, **setting, **more
    )


@torch.inference_mode()
def generate(backbone: Backbone, model: Any, soft_prompts: Tensor, new: int) -> Tensor:
    """Hugging Face's own loop."""
    vectors = soft_prompts.to(backbone.device, backbone.dtype)
    return model.generate(
        inputs_embeds=vectors,
        attention_mask=torch.ones(vectors.shape[:2], dtype=torch.long, device=vectors.device),
        max_new_tokens=new,
        do_sample=False,
        eos_token_id=list(backbone.eos_ids),
        pad_token_id=backbone.pad_id,
    )


def floor(
    options: argparse.Namespace, embedder: LLM2VecGen, model: Any, soft_prompts: Tensor, setting: Any
) -> Report:
    """Tokens a second of one text; the last contender copies as many bytes as the weights have, once a token."""
    new = options.tokens
    weights = sum(weight.numel() * weight.element_size() for weight in model.parameters())
    speed = bandwidth(embedder.backbone.device)
    contenders = [
        Contender("ours: decode", lambda: decode(embedder, soft_prompts, max_new_tokens=new), new),
        Contender("bare generate", lambda: generate(embedder.backbone, model, soft_prompts, new), new),
        Contender("floor: every weight read once a token", lambda: time.sleep(new * weights / speed), new),
    ]
    more = {"tokens": new, "weights GB": round(weights / 1e9, 2), "bandwidth GB/s": round(speed / 1e9)}
    return measure(
        f"plain_floor{suffix(options)}", "tokens", contenders, options.repeats, [], **setting, **more
    )


def bandwidth(device: torch.device, size: int = 2**28, repeats: int = 5) -> float:
    """Bytes a second that a copy reads and writes, at its best."""
    source = torch.ones(size, dtype=torch.float32, device=device)
    target, best = torch.empty_like(source), 0.0
    for _ in range(repeats):
        wait()
        started = time.perf_counter()
        target.copy_(source)
        wait()
        best = max(best, 2 * source.numel() * source.element_size() / (time.perf_counter() - started))
    return best


def wait() -> None:
    """Until a GPU has done what was asked of it."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def parser() -> argparse.ArgumentParser:
    """The command line."""
    return beside.parser(__doc__, repeats=7, texts=384, decode_texts=32)


if __name__ == "__main__":
    beside.publish(run(parser().parse_args()))
