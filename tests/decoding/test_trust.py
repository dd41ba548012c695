"""Readings and their trust figures, against the parts they are made of."""

import numpy as np
import pytest
import torch

from workbench.decoding import decode
from workbench.decoding.trust import Readings, against_others, cosines, read, shuffled
from workbench.embedders.base import Embedder, Vectors
from workbench.embedders.config import GEMConfig, LLM2VecGenConfig
from workbench.embedders.gem import GEM
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.errors import UsageError


def readings(vectors, decoded) -> Readings:
    rows = len(vectors)
    vectors, decoded = (np.array(table, dtype=np.float32) for table in (vectors, decoded))
    return Readings(
        ["q"] * rows, ["r"] * rows, ["d"] * rows, vectors, decoded, np.zeros((rows, 1, 2), np.float32), 1, 0
    )


def test_figures_by_hand():
    # Cosines: row 0 with its own (1, 0) is 1, row 1 with its own (1, 1) is 1/sqrt(2); crosswise 1/sqrt(2) and 0.
    made = readings([[2, 0], [0, 3]], [[1, 0], [1, 1]])
    np.testing.assert_allclose(made.round_trip, [1, 0.5**0.5], atol=1e-6)
    assert shuffled(made) == pytest.approx(0.5**0.5 / 2, abs=1e-6)
    np.testing.assert_allclose(
        against_others(made.embeddings, made.decoded_embeddings), [0.8535534, 0.3535534], atol=1e-6
    )


def test_a_single_reading_has_nothing_to_be_shuffled_with():
    assert np.isnan(shuffled(readings([[1, 0]], [[1, 0]])))


def test_a_vector_without_length_has_no_cosine():
    assert cosines(np.zeros((1, 2), np.float32), np.ones((1, 2), np.float32)).tolist() == [[0.0]]


def test_read_is_its_parts(tiny_backbone):
    embedder = LLM2VecGen.untrained(tiny_backbone, LLM2VecGenConfig(n_compression=3, dimension=16))
    texts = ["What is gold?", "Who are you, and why?"]
    made = read(embedder, texts, max_new_tokens=12)
    encoding = embedder.represent(texts)
    assert made.decoded == decode.decode(embedder, encoding.soft_prompts, max_new_tokens=12)
    assert made.responses == tiny_backbone.respond(texts, max_new_tokens=12)
    torch.testing.assert_close(torch.as_tensor(made.embeddings), encoding.embedding)
    np.testing.assert_allclose(made.decoded_embeddings, embedder.encode_document(made.decoded), atol=1e-6)


def test_gem_is_read_through_its_cache_by_the_fine_tuned_model(tiny_backbone):
    embedder = GEM.untrained(tiny_backbone, GEMConfig(n_special=2, lora_rank=2))
    with torch.no_grad():
        for update in embedder.module.update.up.values():
            update.normal_(0, 0.05, generator=torch.Generator().manual_seed(0))
    texts = ["What is gold?", "Who are you, and why?"]
    made = read(embedder, texts, max_new_tokens=12)
    cache = embedder.represent(texts).special_cache
    assert made.soft_prompts is None
    assert made.special_tokens == 2
    assert made.decoded == decode.decode(embedder, cache, max_new_tokens=12)
    with embedder.language_model() as tuned:
        assert made.responses == tuned.respond(texts, max_new_tokens=12)
    assert made.responses != tiny_backbone.respond(texts, max_new_tokens=12)


def test_a_method_that_keeps_nothing_to_decode_is_refused(tiny_backbone):
    class Mean(Embedder):
        method, backbone, prompts, dimension = "mean", tiny_backbone, {}, 2

        def tokenize(self, texts, *, instruction=None):
            return self.backbone.tokenize(texts)

        def encode_batch(self, ids):
            return Vectors(torch.ones(len(ids), 2))

        config = tensors = restore = None

    with pytest.raises(UsageError, match="keeps nothing"):
        read(Mean(), ["a"])
