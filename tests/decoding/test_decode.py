"""Soft prompts to text: the batch, the shapes, what is refused."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from workbench.decoding.decode import decode
from workbench.errors import WorkbenchError


def test_token_embeddings_decode_to_what_the_backbone_says(tiny_backbone):
    """Identity: soft prompts that are the prompt's own embeddings give the backbone's own response."""
    text = "What is the capital of Japan?"
    prompt = tiny_backbone.embed(torch.tensor(tiny_backbone.tokenize([text]).ids))
    said = tiny_backbone.respond([text], max_new_tokens=16)
    assert decode(tiny_backbone, prompt, max_new_tokens=16) == said
    assert decode(SimpleNamespace(backbone=tiny_backbone), prompt[0].numpy(), max_new_tokens=16) == said


def test_batched_equals_single(tiny_backbone):
    vectors = np.random.default_rng(0).normal(size=(9, 4, 32)).astype(np.float32)
    singles = [decode(tiny_backbone, row, max_new_tokens=12)[0] for row in vectors]
    assert decode(tiny_backbone, vectors, max_new_tokens=12, batch_size=4) == singles
    assert decode(tiny_backbone, vectors.astype(np.float16), max_new_tokens=1) is not None
    assert decode(tiny_backbone, vectors[:0]) == []


@pytest.mark.parametrize("shape", [(32,), (2, 3, 31), (1, 2, 3, 32), (2, 0, 32)])
def test_other_shapes_are_refused(tiny_backbone, shape):
    with pytest.raises(WorkbenchError, match="soft prompts of shape"):
        decode(tiny_backbone, np.zeros(shape, dtype=np.float32))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(tiny_backbone, bad):
    vectors = np.zeros((3, 2, 32), dtype=np.float32)
    vectors[1, 0, 5] = bad
    with pytest.raises(
        WorkbenchError, match="1 of 3 soft prompts hold NaN or infinity, the first is number 1"
    ):
        decode(tiny_backbone, vectors)
