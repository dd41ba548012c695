"""Which kernel runs is a matter of speed alone: gradients agree."""

import copy

import pytest
import torch
import torch.nn.functional as F
from devices import elsewhere

from workbench.backbone import kernels, model
from workbench.masks import causal_mask


@pytest.mark.parametrize("masked", [False, True])
def test_both_kernels_have_the_same_gradients(tiny_backbone, monkeypatch, masked):
    ids = torch.arange(3, 27).reshape(2, 12)
    mask = torch.ones(2, 12, dtype=torch.bool)
    mask[0, :4] = not masked
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    found = []
    for short in (0, kernels.SHORT):
        monkeypatch.setattr(kernels, "SHORT", short)
        inputs = tiny_backbone.embed(ids).detach().requires_grad_()
        last = tiny_backbone.hidden(inputs, mask=mask, positions=positions).last[mask]
        (last * torch.linspace(-1, 1, last.numel()).reshape(last.shape).cos()).sum().backward()
        found.append((last.detach(), inputs.grad))
    for fused, plain in zip(*found, strict=True):
        scale = plain.abs().max()
        assert scale > 0
        torch.testing.assert_close(fused / scale, plain / scale, atol=1e-5, rtol=0)


def test_only_short_texts_with_gradients_leave_the_fused_kernel():
    cpu = torch.device("cpu")

    def plain(device, length):
        with kernels.attention_kernel(device, length):
            return not torch.backends.cuda.flash_sdp_enabled()

    assert plain(cpu, kernels.SHORT)
    assert not plain(cpu, kernels.SHORT + 1)
    assert not plain(torch.device("meta"), kernels.SHORT)
    with torch.no_grad():
        assert not plain(cpu, kernels.SHORT)


WIDE = {"llama", "qwen2", "gpt_neox", "qwen3", "phi", "olmo", "olmo2"}
"""Families whose blocks see all before a token; Gemma and Mistral look through windows, GPT-2 does not rotate."""


@pytest.mark.parametrize("family", [*sorted(WIDE), "mistral", "gemma2", "gemma3", "gpt2"])
def test_a_gpu_is_given_masks_that_it_need_not_be_asked_about(make_tiny, monkeypatch, family):
    backbone = make_tiny(family)
    assert kernels.sees_everything(backbone) == (family in WIDE)
    mask = torch.tensor([[False, False, True, True, True], [True] * 5])
    assert kernels.unasked_mask(backbone, mask, 2) is mask  # a CPU answers at once
    given = kernels.unasked_mask(elsewhere(backbone, "cuda", 0, monkeypatch), mask, 2)
    if family not in WIDE:
        assert given is mask
        return
    assert torch.equal(given, causal_mask(mask)[:, -2:])
    ids = torch.arange(3, 13).reshape(2, 5)
    inputs, positions = backbone.embed(ids), (mask.cumsum(1) - 1).clamp(min=0)
    found = []
    for first, then in ((mask[:, :3], mask), (causal_mask(mask)[:, :3, :3], given)):
        read = backbone.hidden(inputs[:, :3], mask=first, positions=positions[:, :3], use_cache=True)
        behind = {"mask": then, "positions": positions[:, 3:], "cache": read.cache}
        found.append(backbone.hidden(inputs[:, 3:], **behind).last)
    torch.testing.assert_close(found[1], found[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", ["llama", "qwen3", "gpt_neox", "gemma2", "gpt2"])
def test_what_is_all_real_needs_neither_mask_nor_positions(make_tiny, monkeypatch, family):
    backbone = make_tiny(family)
    inputs = backbone.embed(torch.arange(3, 27).reshape(2, 12))
    positions = torch.arange(12).expand(2, -1)
    known = backbone.hidden(inputs, mask=torch.ones(2, 12, dtype=torch.bool), positions=positions).last
    torch.testing.assert_close(backbone.hidden(inputs).last, known, atol=1e-6, rtol=1e-6)
    grouped, gpu = family in ("llama", "qwen3"), elsewhere(backbone, "cuda", 0, monkeypatch)
    assert kernels.needs_mask(gpu) == grouped
    gpu.dtype = torch.bfloat16
    assert not kernels.needs_mask(gpu)
    assert not kernels.needs_mask(backbone)
    if grouped:
        monkeypatch.setattr(model, "needs_mask", lambda _: True)
        torch.testing.assert_close(backbone.hidden(inputs).last, known, atol=1e-5, rtol=1e-5)


def outcome(backbone):
    """States and gradients of two texts, one of them padded."""
    ids = torch.arange(3, 27).reshape(2, 12)
    mask = torch.ones(2, 12, dtype=torch.bool)
    mask[0, :4] = False
    inputs = backbone.embed(ids).detach().requires_grad_()
    last = backbone.hidden(inputs, mask=mask, positions=(mask.cumsum(1) - 1).clamp(min=0)).last[mask]
    (last * torch.linspace(-1, 1, last.numel()).reshape(last.shape).cos()).sum().backward()
    return last.detach(), inputs.grad


NORMS = {"llama": 5, "qwen3": 9, "mistral": 5, "qwen2": 5, "olmo2": 9, "gemma2": 0, "gpt2": 0, "gpt_neox": 0}
"""Two blocks: RMS norms before attention and feed-forward, of queries and keys where there are, and the last one.
Gemma adds one to its weights, the others' are layer norms."""


@pytest.mark.parametrize("family", NORMS)
def test_a_fused_norm_is_the_same_norm(make_tiny, family):
    backbone = make_tiny(family)
    with torch.no_grad():
        for name, weight in backbone.model.named_parameters():
            if "norm" in name:
                weight.copy_(torch.linspace(0.5, 1.5, len(weight)))
    plain = outcome(backbone)
    assert kernels.fuse_norms(backbone.model) == NORMS[family]
    assert kernels.fuse_norms(backbone.model) == 0  # they are already
    for found, known in zip(outcome(backbone), plain, strict=True):
        torch.testing.assert_close(found, known, atol=1e-5, rtol=1e-5)


def test_fused_norms_are_torch_s_own_and_leave_other_numbers_alone(make_tiny, monkeypatch):
    backbone, called = make_tiny("qwen3"), []
    kernels.fuse_norms(backbone.model)
    fused = F.rms_norm
    monkeypatch.setattr(F, "rms_norm", lambda *parts: called.append(1) or fused(*parts))
    outcome(copy.deepcopy(backbone))
    assert len(called) == 9
    norm = backbone.layers[0].input_layernorm
    rows = torch.randn(3, 32, dtype=torch.float64)
    assert torch.equal(norm(rows), type(norm).forward(norm, rows))
    assert len(called) == 9


class Gated(torch.nn.Module):
    """A norm with a gate, which may be asked for, as in models with linear attention."""

    def __init__(self, asks):
        super().__init__()
        self.weight, self.eps, self.asks = torch.nn.Parameter(torch.ones(16)), 1e-6, asks

    def forward(self, rows, gate=None):
        normed = F.rms_norm(rows, (16,), self.weight, self.eps)
        return normed if gate is None and not self.asks else normed * F.silu(gate)


def test_a_norm_with_a_gate_keeps_it():
    assert kernels.fuse_norms(Gated(asks=True)) == 0
    norm, rows, gate = Gated(asks=False), torch.randn(3, 16), torch.randn(3, 16)
    known = norm(rows, gate), norm(rows, gate=gate)
    assert kernels.fuse_norms(norm) == 1
    for found, expected in zip((norm(rows, gate), norm(rows, gate=gate)), known, strict=True):
        assert torch.equal(found, expected)


def test_a_norm_with_another_epsilon_is_not_fused(make_tiny):
    class Doubled(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight, self.variance_epsilon = torch.nn.Parameter(torch.ones(16)), 1e-6

        def forward(self, rows):
            return F.rms_norm(rows, (16,), self.weight, 2 * self.variance_epsilon)

    assert kernels.fuse_norms(Doubled()) == 0
