"""Embedders for the tests of the causal lenses: tiny, and with an update that changes something."""

import torch

from workbench.embedders.config import GEMConfig, LLM2VecGenConfig
from workbench.embedders.gem import GEM
from workbench.embedders.llm2vec_gen import LLM2VecGen


def llm2vec_gen(backbone, **config) -> LLM2VecGen:
    """Three compression tokens behind one thought token, a LoRA, and a `W_r` that is not the identity."""
    settings = {
        "n_compression": 3,
        "n_thought": 1,
        "dimension": 8,
        "lora_rank": 2,
        "max_length": 64,
        **config,
    }
    return _moved(LLM2VecGen.untrained(backbone, LLM2VecGenConfig(**settings), seed=1))


def gem(backbone, **config) -> GEM:
    """Three special tokens and a LoRA."""
    return _moved(GEM.untrained(backbone, GEMConfig(**{"n_special": 3, "lora_rank": 2, **config}), seed=1))


def _moved(embedder):
    draw = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for weight in embedder.module.parameters():
            weight.add_(0.05 * torch.randn(weight.shape, generator=draw))
    return embedder
