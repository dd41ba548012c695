"""The attention lens: identities that hold for every family, and the weights against a slow softmax."""

import math

import numpy as np
import pytest
import torch

from workbench.embedders.config import LLM2VecGenConfig
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.errors import UsageError
from workbench.lenses.attention import SpecialAttention, special_attention

TEXT = "What is the capital of Japan?"


@pytest.fixture(params=["llama", "qwen3", "gemma2", "gpt2"])
def seen(request, make_tiny):
    config = LLM2VecGenConfig(n_compression=3, n_thought=1, dimension=8)
    return special_attention(LLM2VecGen.untrained(make_tiny(request.param), config), TEXT)


def test_rows_sum_to_one_and_nothing_leaks(seen):
    np.testing.assert_allclose(seen.weights.sum(-1), 1, atol=1e-5)
    assert seen.leak == 0
    assert seen.deviation < 1e-4
    np.testing.assert_array_equal(seen.declared, np.tril(np.ones_like(seen.declared)))


def test_special_tokens_end_the_sequence(seen):
    assert seen.tokens[-4:] == ["◆1", "◆2", "◆3", "◆4"]
    assert seen.is_special.tolist() == [False] * (len(seen.tokens) - 4) + [True] * 4
    assert "".join(seen.tokens[:-4]).replace("␣", " ").endswith(TEXT)


def test_shares_add_up(seen):
    on_special = seen.weights[:, :, seen.is_special][:, :, :, seen.is_special].sum(-1).mean(-1)
    np.testing.assert_allclose(seen.on_text() + seen.on_first() + on_special, 1, atol=1e-5)
    assert seen.received().sum() == pytest.approx(1, abs=1e-5)
    every = [seen.weights_of(layer, head) for layer in range(seen.layers) for head in range(seen.heads)]
    np.testing.assert_allclose(np.mean(every, axis=0), seen.weights_of(), atol=1e-6)


def test_first_layer_weights_by_a_slow_softmax(make_tiny):
    """GPT-2, layer 0, the last special token: q·k / sqrt(size) from the layer's own matrices, softmaxed by hand."""
    backbone = make_tiny("gpt2")
    embedder = LLM2VecGen.untrained(backbone, LLM2VecGenConfig(n_compression=2, dimension=8))
    seen = special_attention(embedder, TEXT)
    ids = torch.tensor([embedder.tokenize([TEXT]).ids[0]])
    block, parts = backbone.model.transformer.h[0], backbone.model.transformer
    with torch.no_grad():
        inputs = torch.cat([backbone.embed(ids), embedder.module.tokens[None]], dim=1)
        inputs = inputs + parts.wpe(torch.arange(inputs.shape[1]))
        query, key, _ = block.attn.c_attn(block.ln_1(inputs)).split(backbone.hidden_size, dim=-1)
    size = backbone.hidden_size // seen.heads
    for head in range(seen.heads):
        q, k = (x[0, :, head * size : (head + 1) * size].tolist() for x in (query, key))
        scores = [
            math.exp(sum(a * b for a, b in zip(q[-1], row, strict=True)) / math.sqrt(size)) for row in k
        ]
        np.testing.assert_allclose(seen.weights[0, head, -1], np.array(scores) / sum(scores), atol=1e-4)


def test_the_backbone_is_left_as_it_was(tiny_backbone):
    before = tiny_backbone.model.config._attn_implementation
    embedder = LLM2VecGen.untrained(tiny_backbone, LLM2VecGenConfig(n_compression=2, dimension=8))
    vectors = embedder.encode([TEXT])
    special_attention(embedder, TEXT)
    assert tiny_backbone.model.config._attn_implementation == before
    np.testing.assert_array_equal(embedder.encode([TEXT]), vectors)


def test_long_texts_are_cut_and_said_so(tiny_backbone):
    embedder = LLM2VecGen.untrained(
        tiny_backbone, LLM2VecGenConfig(n_compression=2, dimension=8, max_length=12)
    )
    assert special_attention(embedder, TEXT * 9).truncated
    assert not special_attention(embedder, "gold").truncated


def test_what_has_no_attention_is_refused(tiny_backbone):
    embedder = LLM2VecGen.untrained(tiny_backbone, LLM2VecGenConfig(n_compression=2, dimension=8))
    with pytest.raises(UsageError, match="empty text"):
        special_attention(embedder, "  ")
    with pytest.raises(UsageError, match="no layer 7"):
        special_attention(embedder, "gold").weights_of(layer=7)


def test_a_leak_is_found():
    weights = np.zeros((1, 1, 2, 2), dtype=np.float32)
    weights[0, 0] = [[0.9, 0.1], [0.5, 0.5]]
    seen = SpecialAttention(
        ["a", "◆1"], np.array([False, True]), np.tril(np.ones((2, 2), bool)), weights, 0.0, False
    )
    assert seen.leak == pytest.approx(0.1)


def test_shapes_are_checked():
    with pytest.raises((ValueError, TypeError)):
        SpecialAttention(
            ["a", "b"],
            np.zeros(2, bool),
            np.ones((3, 3), bool),
            np.ones((1, 1, 2, 2), np.float32),
            0.0,
            False,
        )


def test_gem_shows_text_special_tokens_and_answer_with_the_proof(make_tiny):
    from workbench.embedders.config import GEMConfig
    from workbench.embedders.gem import GEM

    embedder = GEM.untrained(make_tiny("llama"), GEMConfig(n_special=3, lora_rank=2))
    seen = special_attention(embedder, TEXT)
    assert seen.tokens[int(seen.is_prefix.sum())] == "◆1"
    assert seen.is_special.sum() == 3
    assert seen.is_suffix.sum() > 1
    assert seen.leak == 0
    assert seen.deviation < 1e-5
    assert seen.audit is not None
    assert seen.audit.passed
    suffix, prefix = np.flatnonzero(seen.is_suffix), np.flatnonzero(seen.is_prefix)
    assert seen.weights[:, :, suffix][:, :, :, prefix].max() == 0
    assert not embedder.backbone.layers[0]._forward_pre_hooks


def test_the_lora_of_the_encoder_side_counts_once(tiny_backbone):
    config = LLM2VecGenConfig(n_compression=3, dimension=12, lora_rank=2)
    embedder = LLM2VecGen.untrained(tiny_backbone, config)
    with torch.no_grad():
        for update in embedder.module.lora.up.values():
            update.normal_(0, 0.3, generator=torch.Generator().manual_seed(0))
    seen = special_attention(embedder, "gold")
    assert seen.deviation < 1e-4
    before = embedder.represent(["gold"]).hidden_states
    with embedder.module.encoder_side(tiny_backbone):
        assert torch.equal(embedder.represent(["gold"]).hidden_states, before)
    with torch.no_grad():
        for update in embedder.module.lora.up.values():
            update.zero_()
    assert not torch.allclose(embedder.represent(["gold"]).hidden_states, before, atol=1e-2)
