"""What a backbone is, as hashes: the parts of a fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from workbench import files

# Says where or how a model runs, not what it is.
VOLATILE = {
    "transformers_version",
    "_name_or_path",
    "architectures",
    "dtype",
    "torch_dtype",
    "_commit_hash",
    "use_cache",
}
VOLATILE |= {
    "quantization_config",
    "_attn_implementation",
    "attn_implementation",
    "return_dict",
    "output_attentions",
    "output_hidden_states",
}


def config_hash(config: Any) -> str:
    """Hash of the architecture's settings, without library version, path, dtype and attention implementation."""
    kept = {key: value for key, value in config.to_dict().items() if key not in VOLATILE}
    return files.hash_bytes(json.dumps(kept, sort_keys=True, default=str))


def tokenizer_hash(tokenizer: Any) -> str:
    """Hash of the fast tokenizer's own JSON, without the padding and truncation that a call may have left in it."""
    backend = json.loads(tokenizer.backend_tokenizer.to_str())
    backend.update(padding=None, truncation=None)
    return files.hash_bytes(json.dumps(backend, sort_keys=True))


def template_hash(tokenizer: Any) -> str:
    """Hash of the chat template; the hash of nothing for a model without one."""
    return files.hash_bytes(json.dumps(tokenizer.chat_template or "", sort_keys=True))


def module_hash(module: nn.Module) -> str:
    """Hash of a module's weights as they would be saved: tied copies count once. Depends on the dtype in memory."""
    tied = set(getattr(module, "all_tied_weights_keys", None) or ())
    state = {name: tensor for name, tensor in module.state_dict().items() if name not in tied}
    return _tensors_hash((name, state[name]) for name in sorted(state))


def folder_hash(folder: Path) -> str:
    """Hash of the weights in a saved folder, independent of the device, the dtype and the shards they are read into."""
    shards = sorted(folder.glob("*.safetensors"))
    if not shards:
        return files.hash_bytes(*(files.hash_file(path) for path in sorted(folder.glob("*.bin"))))
    names = sorted((name, shard) for shard in shards for name in _names(shard))
    return _tensors_hash((name, _read(shard, name)) for name, shard in names)


def _names(shard: Path) -> list[str]:
    with safe_open(shard, framework="pt") as opened:
        return list(opened.keys())


def _read(shard: Path, name: str) -> Tensor:
    with safe_open(shard, framework="pt") as opened:
        return opened.get_tensor(name)


def _tensors_hash(tensors: Iterable[tuple[str, Tensor]]) -> str:
    digest = hashlib.sha256()
    for name, tensor in tensors:
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
