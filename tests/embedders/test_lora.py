"""The low-rank update against the same update merged into the weights."""

import copy

import pytest
import torch

from workbench.embedders.config import LLM2VecGenConfig
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.embedders.lora import Lora

TEXTS = ["What is the capital of Japan?", "gold"]


def forward(backbone):
    ids = backbone.pad([[5, 6, 7, 8]])
    return backbone.hidden(backbone.embed(ids.ids), mask=ids.mask, positions=ids.positions).last


def lora_of(backbone, *, trained=True):
    lora = Lora(backbone.model, 2, 4.0, torch.Generator().manual_seed(0))
    if trained:
        for up in lora.up.values():
            up.data.normal_(0, 0.1)
    return lora


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_the_hooks_compute_what_merged_weights_compute(make_tiny, family):
    backbone = make_tiny(family)
    lora = lora_of(backbone)
    with lora.active(backbone.model):
        hooked = forward(backbone)
    merged = make_tiny(family)
    layers = dict(merged.model.named_modules())
    for key, down in lora.down.items():
        update = lora.scale * lora.up[key] @ down
        weight = layers[key.replace("/", ".")].weight
        weight.data += update if family == "llama" else update.T
    torch.testing.assert_close(hooked, forward(merged), atol=1e-5, rtol=1e-5)


def test_a_fresh_lora_changes_nothing_and_a_closed_one_leaves_nothing(make_tiny):
    backbone = make_tiny("llama")
    before = forward(backbone)
    with lora_of(backbone, trained=False).active(backbone.model):
        assert torch.equal(forward(backbone), before)
    with lora_of(backbone).active(backbone.model):
        assert not torch.allclose(forward(backbone), before)
    assert torch.equal(forward(backbone), before)


def test_an_error_inside_removes_the_hooks_too(make_tiny):
    backbone = make_tiny("llama")
    before = forward(backbone)

    def fail():
        with lora_of(backbone).active(backbone.model):
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        fail()
    assert torch.equal(forward(backbone), before)


def test_the_head_has_no_update(tiny_backbone):
    lora = lora_of(tiny_backbone)
    assert not any("lm_head" in key for key in lora.down)
    assert len(lora.down) == 2 * 7  # q, k, v, o, gate, up, down in each of two layers


def test_gradients_of_a_padded_batch_equal_those_of_plain_forwards_row_by_row(make_tiny):
    backbone = make_tiny("llama")
    config = LLM2VecGenConfig(dimension=6, n_compression=2, lora_rank=2, lora_alpha=4.0)
    embedder = LLM2VecGen.untrained(backbone, config)
    lora = embedder.module.lora
    for up in lora.up.values():
        up.data.normal_(0, 0.1)
    ids = embedder.tokenize(TEXTS).ids
    probe = torch.randn(len(ids), 2, 32)  # not the squares: the final norm makes their sum a constant
    (embedder.hidden_states(ids) * probe).sum().backward()
    batched = {
        name: part.grad.clone() for name, part in embedder.module.named_parameters() if part.grad is not None
    }
    reference = copy.deepcopy(embedder.module)
    reference.zero_grad()
    total = torch.zeros(())
    for row, part in zip(ids, probe, strict=True):
        inputs = torch.cat([backbone.embed(torch.tensor([row])), reference.tokens[None]], dim=1)
        mask = torch.ones(inputs.shape[:2], dtype=torch.bool)
        with reference.encoder_side(backbone):
            states = backbone.hidden(inputs, mask=mask, positions=torch.arange(inputs.shape[1])[None])
        total = total + (states.last[0, -2:] * part).sum()
    total.backward()
    plain = {name: part.grad for name, part in reference.named_parameters() if part.grad is not None}
    assert set(batched) == set(plain)
    for name, gradient in plain.items():
        torch.testing.assert_close(
            batched[name], gradient, atol=1e-4 * gradient.abs().max().item(), rtol=1e-4
        )
