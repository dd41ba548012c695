"""The model that both sides of `benchmarks.official` read: random, seeded, in the format of the official release.

A Qwen3 with a vocabulary of whole words, so that a text of n words has n tokens exactly. The base model and the
checkpoint (special tokens, W_r, W_a) are written to a folder, by hand: no library's own version of the format is in
the way.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

MARKS = ("<pad>", "<unk>", "</s>")
PAD, UNKNOWN, END = range(3)


@dataclass(frozen=True)
class Shape:
    """The size of the model; the head takes as large a part of its work as in Qwen3-0.6B."""

    hidden: int = 384
    layers: int = 6
    heads: int = 6
    key_value_heads: int = 3
    intermediate: int = 1152
    vocabulary: int = 8192
    head: int = 64
    specials: int = 10

    def __str__(self) -> str:
        millions = sum(tensor.numel() for tensor in weights(self, None).values()) / 1e6
        return f"Qwen3, hidden {self.hidden}, {self.layers} layers, vocabulary {self.vocabulary} ({millions:.1f} M)"


SIZES = {
    "small": Shape(),
    "large": Shape(1024, 28, heads=16, key_value_heads=8, intermediate=3072, vocabulary=151_936, head=128),
}
"""For two cores, and for a GPU: the second is as large as Qwen3-0.6B."""


def write(folder: Path, shape: Shape, dtype: str = "float32") -> Path:
    """Base model and checkpoint in `folder`; the checkpoint's path."""
    base, checkpoint = folder / "base", folder / "checkpoint"
    (checkpoint / "encoder").mkdir(parents=True)
    base.mkdir()
    draw = torch.Generator().manual_seed(0)
    kind = getattr(torch, dtype)
    model = {name: tensor.to(kind) for name, tensor in weights(shape, draw).items()}
    save_file(model, base / "model.safetensors", metadata={"format": "pt"})
    _json(base / "config.json", config(shape, shape.vocabulary, dtype))
    _tokenizer(base, shape, 0)
    _tokenizer(checkpoint, shape, shape.specials)
    _json(
        checkpoint / "encoder/config.json",
        config(shape, shape.vocabulary + shape.specials, dtype) | {"num_special_tokens": shape.specials},
    )
    _adapter(checkpoint / "encoder", shape, model["model.embed_tokens.weight"], draw)
    for name in ("reconstruction_mlp", "alignment_mlp"):
        _projection(checkpoint / name, shape.hidden, kind, draw)
    mode = {"encoding_mode": f"last_{shape.specials}_tokens"}
    _json(checkpoint / "encoder_decoder_config.json", mode | {"save_decoder": False})
    run = {"model_name_or_path": str(base), "max_input_length": 512, "torch_dtype": dtype, **mode}
    names = "".join(f"- {name}\n" for name in special_names(shape.specials))
    lines = "".join(f"{key}: {value}\n" for key, value in run.items())
    (checkpoint / "run_config.yml").write_text(f"{lines}special_tokens:\n{names}")
    return checkpoint


def weights(shape: Shape, draw: torch.Generator | None) -> dict[str, Tensor]:
    """The base model's tensors, wide enough that its greedy tokens differ; empty of values where `draw` is None."""
    size = shape.head
    queries, keys = shape.heads * size, shape.key_value_heads * size
    linear = {
        "self_attn.q_proj": (queries, shape.hidden),
        "self_attn.k_proj": (keys, shape.hidden),
        "self_attn.v_proj": (keys, shape.hidden),
        "self_attn.o_proj": (shape.hidden, queries),
        "mlp.gate_proj": (shape.intermediate, shape.hidden),
        "mlp.up_proj": (shape.intermediate, shape.hidden),
        "mlp.down_proj": (shape.hidden, shape.intermediate),
    }
    norms = {"input_layernorm": shape.hidden, "post_attention_layernorm": shape.hidden}
    norms |= {"self_attn.q_norm": size, "self_attn.k_norm": size}

    def random(*sizes: int) -> Tensor:
        if draw is None:
            return torch.empty(sizes, device="meta")
        return torch.randn(sizes, generator=draw) * 1.5 * sizes[-1] ** -0.5

    found = {"model.embed_tokens.weight": random(shape.vocabulary, shape.hidden)}
    for layer in range(shape.layers):
        prefix = f"model.layers.{layer}."
        found |= {f"{prefix}{name}.weight": random(*sizes) for name, sizes in linear.items()}
        found |= {f"{prefix}{name}.weight": torch.ones(sizes) for name, sizes in norms.items()}
    found["model.norm.weight"] = torch.ones(shape.hidden)
    if draw is not None:
        found["model.embed_tokens.weight"][: len(MARKS)] = 0.0  # the head shares them: never the likeliest
    return found


def config(shape: Shape, vocabulary: int, dtype: str) -> dict[str, object]:
    """config.json as transformers 4 wrote it, which transformers 5 reads too."""
    return {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "hidden_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.key_value_heads,
        "head_dim": shape.head,
        "intermediate_size": shape.intermediate,
        "vocab_size": vocabulary,
        "max_position_embeddings": 1024,
        "rope_theta": 10000.0,
        "rms_norm_eps": 1e-6,
        "hidden_act": "silu",
        "attention_bias": False,
        "attention_dropout": 0.0,
        "tie_word_embeddings": True,
        "use_cache": True,
        "eos_token_id": END,
        "pad_token_id": PAD,
        "torch_dtype": dtype,
    }


def special_names(count: int) -> list[str]:
    """The special tokens' names."""
    return [f"<question{number}>" for number in range(1, count + 1)]


def texts(lengths: list[int], vocabulary: int, seed: int) -> list[str]:
    """A text of so many words, and so many tokens, for each of the lengths."""
    draw = np.random.default_rng(seed)
    return [
        " ".join(f"w{word}" for word in draw.integers(len(MARKS), vocabulary, length)) for length in lengths
    ]


def token_rows(count: int, length: int, vocabulary: int, seed: int) -> list[list[int]]:
    """So many rows of random tokens."""
    return np.random.default_rng(seed).integers(len(MARKS), vocabulary, (count, length)).tolist()


def _tokenizer(folder: Path, shape: Shape, specials: int) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = {mark: row for row, mark in enumerate(MARKS)}
    words |= {f"w{row}": row for row in range(len(MARKS), shape.vocabulary)}
    core = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()  # type: ignore[assignment]
    core.add_special_tokens([*MARKS, *special_names(specials)])
    core.save(str(folder / "tokenizer.json"))
    settings: dict[str, object] = {"tokenizer_class": "PreTrainedTokenizerFast", "padding_side": "left"}
    settings |= {"pad_token": "<pad>", "unk_token": "<unk>", "eos_token": "</s>"}
    settings |= {"model_input_names": ["input_ids", "attention_mask"]}
    more = {"additional_special_tokens": special_names(specials)} if specials else {}
    _json(folder / "tokenizer_config.json", {**settings, "clean_up_tokenization_spaces": False, **more})


def _adapter(folder: Path, shape: Shape, embedding: Tensor, draw: torch.Generator) -> None:
    """peft's trainable tokens, which carry the resized input embeddings along."""
    ids = list(range(shape.vocabulary, shape.vocabulary + shape.specials))
    rows = torch.randn(shape.specials, shape.hidden, generator=draw) * 1.5 * shape.hidden**-0.5
    rows = rows.to(embedding.dtype)
    tensors = {"base_layer.weight": torch.cat([embedding, rows]), "trainable_tokens_delta": rows}
    named = {f"base_model.model.embed_tokens.{name}": tensor for name, tensor in tensors.items()}
    save_file(named, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    settings = {"peft_type": "TRAINABLE_TOKENS", "target_modules": "embed_tokens", "token_indices": ids}
    _json(folder / "adapter_config.json", settings | {"task_type": None, "inference_mode": True})


def _projection(path: Path, size: int, kind: torch.dtype, draw: torch.Generator) -> None:
    weight = torch.randn(size, size, generator=draw) * size**-0.5
    state = {"projection.weight": weight.to(kind), "projection.bias": torch.zeros(size, dtype=kind)}
    settings = {"input_dim": size, "output_dim": size, "dtype": str(kind), "size": 1}
    torch.save({"state_dict": state, "config": {**settings, "pooling_mode": "linear"}}, path)


def _json(path: Path, values: dict[str, object]) -> None:
    path.write_text(json.dumps(values))
