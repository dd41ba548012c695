"""Backbones in 4 bits: what is asked of bitsandbytes, and where that is refused."""

from __future__ import annotations

import importlib.util
from typing import Any, Literal

import torch

from workbench.errors import UsageError

Quantization = Literal["nf4"]
PACKAGE = "bitsandbytes"


def loading_options(quantization: str | None, device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
    """What `from_pretrained` is told: nothing for None; NF4 with doubly quantized scales for "nf4" (arXiv 2305.14314).

    The linear layers of the blocks get 4 bits a weight and are computed in `dtype`; embeddings, norms and head stay as
    they are. Raises UsageError for another name, where bitsandbytes is missing, and on a CPU.
    """
    if quantization is None:
        return {}
    if quantization != "nf4":
        raise UsageError(f"unknown quantization {quantization!r}: nf4, or none")
    if importlib.util.find_spec(PACKAGE) is None:
        raise UsageError("a backbone in 4 bits needs bitsandbytes: pip install bitsandbytes")
    if device.type == "cpu":
        raise UsageError("a backbone in 4 bits needs a GPU: without one, load it in full")
    from transformers import BitsAndBytesConfig

    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=quantization,
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )
    return {"quantization_config": config, "device_map": {"": device}}
