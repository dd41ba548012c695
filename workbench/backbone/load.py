"""From a name to a frozen model and its tokenizer: the one place that chooses files, device and dtype."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as hf_logging

from workbench import files
from workbench.backbone.kernels import fuse_norms, on_gpu
from workbench.backbone.quantization import Quantization, loading_options
from workbench.errors import UsageError, WorkbenchError
from workbench.hub import HubAccess, commit_of, fetch_command
from workbench.processes import here

FIELDGUIDE = "fieldguide"
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


class Loaded(NamedTuple):
    """What `load` found: the model on its device, its tokenizer, the revision, and the folder if it is local."""

    model: Any
    tokenizer: Any
    revision: str | None
    folder: Path | None


def load(
    id_or_path: str,
    device: str,
    dtype: str | torch.dtype,
    revision: str | None,
    trust: bool,
    hub: HubAccess | None = None,
    quantization: Quantization | None = None,
) -> Loaded:
    """Load a decoder-only LM and its tokenizer; raises `UsageError` where the name, not the work, is wrong."""
    folder = local_folder(id_or_path)
    if folder is not None:
        _check_shards(folder)
    target = pick_device(device)
    weights = {"dtype": pick_dtype(dtype, target)}
    weights |= loading_options(quantization, target, weights["dtype"])
    source = str(folder or id_or_path)
    hub = hub or HubAccess()
    options: dict[str, Any] = {"revision": revision, "trust_remote_code": trust}
    options |= hub.options() if folder is None else {"local_files_only": True}
    with quiet():
        try:
            config = AutoConfig.from_pretrained(source, **options)
            _check_decoder_only(config, id_or_path)
            tokenizer = AutoTokenizer.from_pretrained(source, **options)
            model, info = cast(Any, AutoModelForCausalLM).from_pretrained(
                source, config=config, output_loading_info=True, **weights, **options
            )
        except (OSError, ValueError, ImportError) as error:
            offline = folder is None and options["local_files_only"]
            fetch = fetch_command(id_or_path, revision, hub.cache_dir) if offline else None
            raise UsageError(_why_not(id_or_path, fetch, error)) from error
        except (WorkbenchError, KeyboardInterrupt, MemoryError):
            raise
        except (
            Exception
        ) as error:  # a torn safetensors file, a state that does not fit: the libraries' own types
            raise WorkbenchError(
                f"cannot read the weights of backbone {id_or_path!r}: {_one_line(error)}"
            ) from error
    if missing := sorted(info["missing_keys"]):
        raise WorkbenchError(
            f"backbone {id_or_path!r} lacks {len(missing)} weights, the first is {missing[0]}"
        )
    commit = None if folder else commit_of(id_or_path, "config.json", revision, hub.cache_dir)
    if quantization is None:  # else the weights were put in place as they were read
        model = model.to(target)
    if on_gpu(target):  # on a CPU one kernel gains nothing over eight
        fuse_norms(model)
    return Loaded(model, tokenizer, commit or revision, folder)


def local_folder(id_or_path: str) -> Path | None:
    """The folder that a name stands for, None for a hub id; "fieldguide" is the shipped default."""
    if id_or_path == FIELDGUIDE:
        return files.shipped("fieldguide", "model")
    path = Path(id_or_path).expanduser()
    if id_or_path.strip() and path.is_dir():
        if not (path / "config.json").is_file():
            raise UsageError(f"backbone {id_or_path!r} is a folder without a config.json")
        return path
    looks_like_a_path = id_or_path.startswith((".", "/", "~")) or id_or_path.count("/") > 1
    if path.exists() or looks_like_a_path or not id_or_path.strip():
        raise UsageError(
            f"no backbone at {id_or_path!r}: it must be a folder written by save_pretrained, or a hub id"
        )
    return None


def pick_device(device: str) -> torch.device:
    """ "auto" = the GPU that torch sees, else Apple's, else the CPU; anything else is torch's own device string.

    Of several processes on a machine, each takes the GPU of its own number.
    """
    if device in ("auto", "cuda") and torch.cuda.is_available() and here().count > 1:
        own = here().local
        torch.cuda.set_device(own)  # a teacher's library asks for the current one
        return torch.device("cuda", own)
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"no device {device!r} here: {_one_line(error)}") from error


def pick_dtype(dtype: str | torch.dtype, device: torch.device) -> torch.dtype:
    """ "auto" = bfloat16 on a GPU that has it, else float32, which is the reference of every figure."""
    if isinstance(dtype, torch.dtype):
        return dtype
    if dtype == "auto":
        return torch.bfloat16 if on_gpu(device) and torch.cuda.is_bf16_supported() else torch.float32
    if dtype not in DTYPES:
        raise UsageError(f"unknown dtype {dtype!r}: one of auto, {', '.join(DTYPES)}")
    return DTYPES[dtype]


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the libraries' progress bars and advice off the terminal: what matters is raised."""
    level, bars = hf_logging.get_verbosity(), hf_logging.is_progress_bar_enabled()
    hf_logging.set_verbosity_error()
    hf_logging.disable_progress_bar()
    try:
        yield
    finally:
        hf_logging.set_verbosity(level)
        if bars:
            hf_logging.enable_progress_bar()


def _check_shards(folder: Path) -> None:
    """Refuses an index of weights that names files elsewhere: they would be read, and no fingerprint would see them."""
    for name in ("model.safetensors.index.json", "pytorch_model.bin.index.json"):
        if (folder / name).is_file():
            index = files.read_json(folder / name)
            shards = index.get("weight_map") if isinstance(index, dict) else None
            if not isinstance(shards, dict):
                raise WorkbenchError(f"{folder / name} is no index of weights: it has no weight_map")
            files.check_inside(shards.values(), str(folder / name))


def _check_decoder_only(config: Any, name: str) -> None:
    kinds = getattr(config, "architectures", None) or []
    if getattr(config, "is_encoder_decoder", False) or any("MaskedLM" in kind for kind in kinds):
        raise UsageError(
            f"{name!r} is a {'/'.join(kinds) or config.model_type}: a backbone is a decoder-only LM"
        )


def _why_not(name: str, fetch: str | None, error: Exception) -> str:
    """One line; `fetch` is the command that brings a hub's model here, where only the cache was looked at."""
    if "trust_remote_code" in str(error):
        return f"backbone {name!r} carries code of its own; pass --trust-remote-code to run it"
    if fetch:
        return (
            f"unknown backbone {name!r}: no folder of that name, not in the hub's cache, and the hub is out of reach "
            f"from here or not to be asked; where it is in reach: {fetch}"
        )
    return f"cannot load backbone {name!r}: {_one_line(error)}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
