"""Checkpoints in the format of the official LLM2Vec-Gen release, written by hand: random, tiny, without peft."""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

SPECIAL = [f"<question{n}>" for n in range(1, 6)]
READ = 3
DIMENSION = 12
RUN = {
    "wandb_run_notes": "None",
    "model_name_or_path": "base",
    "pretrained_teacher_path": "some/teacher",
    "pretrained_teacher_path_2": "None",
    "model_revision": "main",
    "special_tokens": SPECIAL,
    "max_input_length": 64,
    "encoding_mode": f"last_{READ}_tokens",
    "torch_dtype": "float32",
    "lr_scheduler_kwargs": {},
}


def write_checkpoint(parent: Path, base: Path, seed: int = 0, **run) -> Path:
    """A checkpoint `parent/checkpoint` for the model in `base`, which is copied beside it; `run` changes settings."""
    folder, draw = parent / "checkpoint", torch.Generator().manual_seed(seed)
    shutil.copytree(base, parent / "base", dirs_exist_ok=True)
    (folder / "encoder").mkdir(parents=True)
    ids = write_tokenizer(folder, base)
    config = json.loads((base / "config.json").read_text())
    size, rows = config["hidden_size"], torch.randn(len(ids), config["hidden_size"], generator=draw)
    settings = {"vocab_size": ids[-1] + 1, "num_special_tokens": len(ids), "eos_token_id": 0}
    write_json(folder / "encoder/config.json", config | settings)
    write_adapter(folder, vocabulary(base, ids, draw), rows, ids)
    write_projection(folder / "reconstruction_mlp", size, size, draw)
    write_projection(folder / "alignment_mlp", size, DIMENSION, draw)
    # as the official training writes it: every setting on a line, in Python's own words
    lines = [f"{key}: {value}\n" for key, value in {**RUN, **run}.items()]
    (folder / "run_config.yml").write_text("".join(lines))
    return folder


def write_json(path: Path, values) -> None:
    path.write_text(json.dumps(values))


def write_tokenizer(folder: Path, base: Path) -> list[int]:
    """The base model's tokenizer with the special tokens added; their ids."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(folder / "tokenizer_config.json", {"additional_special_tokens": SPECIAL})
    return [tokenizer.token_to_id(token) for token in SPECIAL]


def vocabulary(base: Path, ids: list[int], draw: torch.Generator) -> torch.Tensor:
    """The base model's input embeddings, resized to hold the special tokens, whose rows are random and not used."""
    rows = load_file(base / "model.safetensors")["model.embed_tokens.weight"]
    resized = torch.randn(ids[-1] + 1, rows.shape[1], generator=draw)
    resized[: ids[0]] = rows[: ids[0]]
    return resized


def write_adapter(folder: Path, resized: torch.Tensor, rows: torch.Tensor, ids: list[int], **others) -> None:
    """peft's trainable tokens, which carry the resized embeddings along; `others` are further tensors."""
    tensors = {
        "embed_tokens.base_layer.weight": resized,
        "embed_tokens.trainable_tokens_delta": rows,
        **others,
    }
    tensors = {f"base_model.model.{name}": tensor.contiguous() for name, tensor in tensors.items()}
    save_file(tensors, folder / "encoder/adapter_model.safetensors")
    settings = {"peft_type": "TRAINABLE_TOKENS", "target_modules": "embed_tokens", "token_indices": ids}
    write_json(folder / "encoder/adapter_config.json", settings)


def write_projection(path: Path, size_in: int, size_out: int, draw: torch.Generator, **config) -> None:
    """One pickled linear layer."""
    state = {
        "projection.weight": torch.randn(size_out, size_in, generator=draw) * size_in**-0.5,
        "projection.bias": torch.randn(size_out, generator=draw),
    }
    settings = {"input_dim": size_in, "output_dim": size_out, "dtype": "torch.float32", "size": 1}
    torch.save({"state_dict": state, "config": {**settings, "pooling_mode": "linear", **config}}, path)


def projection(folder: Path, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias of a checkpoint's projection."""
    state = torch.load(folder / name, weights_only=True)["state_dict"]
    return state["projection.weight"], state["projection.bias"]


def adapter(folder: Path) -> dict[str, torch.Tensor]:
    """The adapter's tensors by peft's names."""
    tensors = load_file(folder / "encoder/adapter_model.safetensors")
    return {name.removeprefix("base_model.model."): tensor for name, tensor in tensors.items()}


def add_lora(folder: Path, base: Path) -> dict[str, torch.Tensor]:
    """Gives every second linear layer a LoRA of rank 2 and alpha 6; what it adds to each layer's weight, by layer."""
    draw, updates = torch.Generator().manual_seed(7), {}
    tensors = {f"base_model.model.{name}": tensor for name, tensor in adapter(folder).items()}
    weights = load_file(base / "model.safetensors")
    for name in sorted(name for name in weights if name.endswith("proj.weight"))[::2]:
        down, up = (torch.randn(2, n, generator=draw) * 0.2 for n in weights[name].shape[::-1])
        layer = name.removeprefix("model.").removesuffix(".weight")
        tensors[f"base_model.model.{layer}.lora_A.weight"] = down
        tensors[f"base_model.model.{layer}.lora_B.weight"] = up.T.contiguous()
        updates[layer] = 6 / 2 * up.T @ down
    save_file(tensors, folder / "encoder/adapter_model.safetensors")
    path = folder / "encoder/adapter_config.json"
    write_json(path, json.loads(path.read_text()) | {"peft_type": "LORA", "r": 2, "lora_alpha": 6})
    return updates
