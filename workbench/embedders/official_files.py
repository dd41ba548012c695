"""The files of an official checkpoint, read safely and checked one by one: settings, tokenizer, layers, adapter.

Whatever is wrong with a file is a WorkbenchError of one line that names it. Nothing in a checkpoint is executed.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from safetensors.torch import load_file
from torch import Tensor

from workbench.errors import WorkbenchError

SETTINGS = "adapter_config.json"
WEIGHTS, PICKLED = "adapter_model.safetensors", "adapter_model.bin"
UNKNOWN_SCALES = ("use_rslora", "alpha_pattern", "alora_invocation_tokens", "layer_replication")
"""Options of a LoRA that change what it computes and leave no tensor of their own behind."""


class Linear(NamedTuple):
    """A projection `W x + b`."""

    weight: Float[Tensor, "o i"]
    bias: Float[Tensor, " o"]


class Adapter(NamedTuple):
    """What the encoder's adapter holds, in float32 except for `vocabulary`."""

    ids: list[int]
    """The special tokens' ids."""
    tokens: Float[Tensor, "s d"]
    """Their input rows."""
    vocabulary: list[Tensor]
    """The copies of the base model's input embeddings `[v, d]` that the adapter carries along."""
    lora: dict[str, Tensor]
    """`lora_A` and `lora_B` of every layer that has them, by the encoder's own names; empty without a LoRA."""
    rank: int
    alpha: float


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file."""
    try:
        values = json.loads(_existing(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise WorkbenchError(f"{path} is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise WorkbenchError(f"{path} holds no settings by name")
    return values


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; Python objects in it are read as None, never made."""
    import yaml

    class Plain(yaml.SafeLoader):
        pass

    Plain.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, suffix, node: None)
    try:
        values = yaml.load(_existing(path).read_text(encoding="utf-8"), Loader=Plain)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise WorkbenchError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise WorkbenchError(f"{path} holds no settings by name")
    return values


def read_tokenizer(path: Path) -> Any:
    """The fast tokenizer in a `tokenizer.json`, without padding and truncation."""
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(_existing(path)))
    except WorkbenchError:
        raise
    except Exception as error:  # the library raises nothing narrower
        raise WorkbenchError(f"{path} cannot be read: {error}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def read_projection(path: Path, identity: int | None = None) -> Linear:
    """A pickled projection; the identity of that size where the training was told to do without one."""
    if identity is not None and not path.exists():
        return Linear(torch.eye(identity), torch.zeros(identity))
    content = _unpickled(path)
    parts = content if isinstance(content, dict) else {}
    settings, state = parts.get("config"), parts.get("state_dict")
    if not isinstance(settings, dict) or not isinstance(state, dict):
        raise WorkbenchError(f"{path} is no projection of the official format")
    kind = settings.get("pooling_mode", "linear"), settings.get("size", 1)
    if kind != ("linear", 1) or set(state) != {"projection.weight", "projection.bias"}:
        raise WorkbenchError(f"{path} is a projection of another kind than one linear layer for every token")
    if not all(isinstance(part, Tensor) and part.is_floating_point() for part in state.values()):
        raise WorkbenchError(f"{path} is no projection of the official format")
    weight, bias = state["projection.weight"].float(), state["projection.bias"].float()
    if weight.ndim != 2 or bias.shape != weight.shape[:1]:
        raise WorkbenchError(f"{path}: a weight of {tuple(weight.shape)} and a bias of {tuple(bias.shape)}")
    return Linear(weight, bias)


def read_adapter(folder: Path, ids: list[int]) -> Adapter:
    """The adapter in the checkpoint's folder `encoder`, for special tokens of these ids."""
    settings = read_json(folder / SETTINGS)
    kind = settings.get("peft_type")
    if kind not in ("TRAINABLE_TOKENS", "LORA"):
        raise WorkbenchError(f"{folder / SETTINGS}: an adapter of type {kind!r} cannot be read here")
    tensors, embeddings = {}, {}
    for name, tensor in _weights(folder).items():
        name = name.removeprefix("base_model.model.")
        if name.startswith("embed_tokens."):
            embeddings[name.removeprefix("embed_tokens.")] = tensor
        else:
            tensors[name] = tensor
    known = (".lora_A.weight", ".lora_B.weight") if kind == "LORA" else ()
    if unknown := sorted(name for name in tensors if not name.endswith(known)):
        raise WorkbenchError(f"{folder} holds more than special tokens and a LoRA: {unknown[0]}")
    rank, alpha = _scale(settings, folder) if tensors else (0, 16.0)
    return Adapter(
        ids=ids,
        tokens=_token_rows(embeddings, settings, ids, folder),
        vocabulary=[tensor for name, tensor in embeddings.items() if name.endswith("weight")],
        lora={name: tensor.float() for name, tensor in tensors.items()},
        rank=rank,
        alpha=alpha,
    )


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise WorkbenchError(f"the checkpoint is not whole: {path} is missing")
    return path


def _unpickled(path: Path) -> Any:
    """What a pickle holds, as far as that is tensors and plain values; everything else is refused unread."""
    try:
        return torch.load(_existing(path), map_location="cpu", weights_only=True)
    except WorkbenchError:
        raise
    except Exception as error:  # pickle, zipfile and torch each have their own
        raise WorkbenchError(
            f"{path} is refused: it is damaged, or holds more than tensors and plain values, which could run code"
        ) from error


def _weights(folder: Path) -> dict[str, Tensor]:
    path = folder / WEIGHTS
    if not path.exists() and (folder / PICKLED).exists():
        tensors = _unpickled(folder / PICKLED)
        if not isinstance(tensors, dict) or not all(isinstance(t, Tensor) for t in tensors.values()):
            raise WorkbenchError(f"{folder / PICKLED} holds more than tensors by name")
        return tensors
    try:
        return load_file(_existing(path))
    except WorkbenchError:
        raise
    except Exception as error:  # safetensors' own, and what a torn header leads to
        raise WorkbenchError(f"{path} cannot be read: {error}") from error


def _scale(settings: dict[str, Any], folder: Path) -> tuple[int, float]:
    """Rank and alpha of the LoRA."""
    if others := [name for name in UNKNOWN_SCALES if settings.get(name)]:
        raise WorkbenchError(f"{folder / SETTINGS}: a LoRA with {', '.join(others)} cannot be read here")
    rank, alpha = settings.get("r"), settings.get("lora_alpha")
    if type(rank) is not int or rank < 1 or not isinstance(alpha, int | float):
        raise WorkbenchError(f"{folder / SETTINGS}: a LoRA of rank {rank!r} and alpha {alpha!r}")
    return rank, float(alpha)


def _token_rows(
    embeddings: dict[str, Tensor], settings: dict[str, Any], ids: list[int], folder: Path
) -> Float[Tensor, "s d"]:
    """The special tokens' input rows: from peft's trainable tokens, or from an embedding that was saved whole."""
    own = [tensor for name, tensor in embeddings.items() if name.endswith("trainable_tokens_delta")]
    if own:
        trained = settings.get("token_indices") or settings.get("trainable_token_indices")
        trained = trained.get("embed_tokens") if isinstance(trained, dict) else trained
        trained = trained if isinstance(trained, list) else []
        if own[0].shape[:1] != (len(trained),) or not all(type(token) is int for token in trained):
            raise WorkbenchError(f"{folder}: its trained token rows are not those that {SETTINGS} lists")
        rows = {token: row for row, token in enumerate(trained)}
    else:
        own = [embeddings[name] for name in ("weight", "modules_to_save.weight") if name in embeddings]
        rows = {token: token for token in ids if own and token < len(own[0])}
    if not own or own[0].ndim != 2 or not set(ids) <= set(rows):
        raise WorkbenchError(f"{folder} lacks trained rows of the special tokens")
    return own[0][[rows[token] for token in ids]].float()
