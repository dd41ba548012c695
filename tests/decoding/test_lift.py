"""Readings of vectors that were never encoded: identity, trust figures by hand, batches, refusals."""

import numpy as np
import pytest
import torch

from workbench.decoding.lift import Lifted, read_vectors
from workbench.embedders.config import GEMConfig, LifterConfig, LLM2VecGenConfig
from workbench.embedders.gem import GEM
from workbench.embedders.lifter import Lifter
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.errors import WorkbenchError

TEXT = "What is the capital of Japan?"


def lifter_to(prompts, dimension):
    """A lifter that gives these soft prompts `[n, d]` for every vector."""
    lifter = Lifter(LifterConfig(width=4, n_prompts=len(prompts), dimension=dimension, size=32))
    with torch.no_grad():
        lifter.outer.weight.zero_()
        lifter.outer.bias.copy_(prompts.flatten())
    return lifter


@pytest.mark.parametrize("method", ["llm2vec-gen", "gem"])
def test_lifted_token_embeddings_decode_to_what_the_plain_backbone_says(make_tiny, method):
    backbone = make_tiny("llama")
    embedder = LLM2VecGen.untrained(backbone, LLM2VecGenConfig(dimension=24, n_compression=3))
    if method == "gem":
        embedder = GEM.untrained(backbone, GEMConfig(n_special=2, lora_rank=2))
        with torch.no_grad():
            for up in embedder.module.update.up.values():
                up.normal_(0, 0.5, generator=torch.Generator().manual_seed(0))
    prompt = backbone.embed(torch.tensor(backbone.tokenize([TEXT]).ids))[0]
    vectors = np.random.default_rng(0).normal(size=(3, embedder.dimension)).astype(np.float32)
    reading = read_vectors(embedder, lifter_to(prompt, embedder.dimension), vectors, max_new_tokens=12)
    said = backbone.respond([TEXT], max_new_tokens=12)
    assert reading.decoded == said * 3
    assert reading.soft_prompts.shape == (3, len(prompt), 32)
    again = embedder.encode_document(said)[0]
    np.testing.assert_allclose(reading.decoded_embeddings, np.stack([again] * 3), atol=1e-5)
    cosine = vectors @ again / (np.linalg.norm(vectors, axis=1) * np.linalg.norm(again))
    np.testing.assert_allclose(reading.round_trip, cosine, atol=1e-5)


def test_a_batch_changes_nothing(make_tiny):
    backbone = make_tiny("llama")
    embedder = LLM2VecGen.untrained(backbone, LLM2VecGenConfig(dimension=24, n_compression=3))
    lifter = Lifter(LifterConfig(width=8, n_prompts=3, dimension=24, size=32))
    with torch.no_grad():
        lifter.outer.weight.mul_(30)
    vectors = np.random.default_rng(1).normal(size=(5, 24)).astype(np.float32)
    together = read_vectors(embedder, lifter, torch.tensor(vectors), max_new_tokens=8, batch_size=2)
    singles = [read_vectors(embedder, lifter, row, max_new_tokens=8).decoded[0] for row in vectors]
    assert together.decoded == singles
    assert len(set(singles)) > 1, "the vectors are told apart"
    assert read_vectors(embedder, lifter, vectors[0]).vectors.shape == (1, 24)


def test_trust_by_hand():
    """cos((1,0),(1,0)) = 1, cos((0,2),(3,4)) = 0.8; crossed: cos((1,0),(3,4)) = 0.6, cos((0,2),(1,0)) = 0."""
    vectors = np.array([[1, 0], [0, 2]], dtype=np.float32)
    again = np.array([[1, 0], [3, 4]], dtype=np.float32)
    reading = Lifted(vectors, ["a", "b"], again, np.zeros((2, 1, 4), dtype=np.float32))
    np.testing.assert_allclose(reading.round_trip, [1.0, 0.8], rtol=1e-6)
    assert reading.shuffled == pytest.approx(0.3)
    single = Lifted(vectors[:1], ["a"], again[:1], np.zeros((1, 1, 4), dtype=np.float32))
    assert np.isnan(single.shuffled)
    with pytest.raises(ValueError, match="columns differ"):
        Lifted(vectors, ["a"], again, np.zeros((2, 1, 4), dtype=np.float32))


def test_vectors_of_another_space_are_refused(tiny_backbone):
    embedder = LLM2VecGen.untrained(tiny_backbone, LLM2VecGenConfig(dimension=24, n_compression=3))
    lifter = Lifter(LifterConfig(width=8, n_prompts=3, dimension=24, size=32))
    with pytest.raises(WorkbenchError, match=r"vectors of shape \[2, 32\], but this lifter reads \[b, 24\]"):
        read_vectors(embedder, lifter, np.ones((2, 32), dtype=np.float32))
