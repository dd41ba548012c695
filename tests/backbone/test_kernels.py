"""Which kernel runs is a matter of speed alone: gradients agree."""

import copy
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

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


def elsewhere(backbone, kind, memory, monkeypatch, **changes):
    """The backbone as it would stand on a device of another kind, with a card of so many bytes."""
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(total_memory=memory))
    about = {name: getattr(backbone, name) for name in ("hidden_size", "vocab_size", "model", "layers")}
    about |= {"device": torch.device(kind), "dtype": torch.float32, "sharded": False}
    return SimpleNamespace(**about | changes)


def test_a_gpu_holds_a_part_of_what_the_logits_would_take(tiny_backbone, monkeypatch):
    assert kernels.plan_step(tiny_backbone, 10**6) == kernels.StepPlan(1024)
    assert kernels.plan_step(elsewhere(tiny_backbone, "mps", 0, monkeypatch), 1) == kernels.StepPlan(8192)
    graph = kernels.graph_bytes(tiny_backbone)
    responses = (
        100 * graph
    )  # so many logits of 400 tokens, three times, in float32: 0.75 of that over a graph
    large = elsewhere(tiny_backbone, "cuda", 10**15, monkeypatch)
    assert kernels.plan_step(large, responses).positions == int(0.75 * 3 * 4 * 400 * 100)
    small = elsewhere(tiny_backbone, "cuda", graph * 20_000, monkeypatch)
    assert kernels.plan_step(small, responses).positions == 5_000  # a quarter of the card
    assert kernels.plan_step(elsewhere(tiny_backbone, "cuda", 1, monkeypatch), 1).positions == 1024


def test_blocks_are_read_again_where_a_part_leaves_a_gpu_idle(tiny_backbone, monkeypatch):
    card = kernels.graph_bytes(tiny_backbone) * 8_000  # parts of 2,000 positions
    backbone = elsewhere(tiny_backbone, "cuda", card, monkeypatch)
    block = sum(weight.numel() for weight in tiny_backbone.layers[0].parameters())
    for busy, again in ((4_000 * block, False), (4_000 * block + 1, True)):
        monkeypatch.setattr(kernels, "BUSY", {4: busy})
        kept = kernels.plan_step(backbone, 10**9).kept
        inputs = 2 * 32 * 4  # of two blocks of size 32, in float32
        assert kept == (pytest.approx(inputs / kernels.graph_bytes(tiny_backbone)) if again else 1.0)
    spread = elsewhere(tiny_backbone, "cuda", card, monkeypatch, sharded=True)
    assert kernels.plan_step(spread, 10**9).kept == 1.0


def test_a_gpu_reads_many_positions_at_once(tiny_backbone, monkeypatch):
    assert kernels.read_at_once(tiny_backbone) is None
    assert kernels.read_at_once(elsewhere(tiny_backbone, "cuda", 10**12, monkeypatch)) == 8192
    one = kernels.graph_bytes(tiny_backbone) / 2 + 2 * 2 * 32 * 4  # a block's work; keys and values of two
    card = int(one * 32 * 3_000)
    assert kernels.read_at_once(elsewhere(tiny_backbone, "cuda", card, monkeypatch)) in (2_999, 3_000)


WIDE = {"llama", "qwen2", "gpt_neox", "qwen3", "phi", "olmo", "olmo2"}
"""Families whose blocks see everything before a token; Gemma and Mistral look through windows, GPT-2 has no rotation."""


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
    asked = {"positions": (mask.cumsum(1) - 1).clamp(min=0)}
    cached = [backbone.hidden(backbone.embed(ids[:, :3]), mask=way[:, :3] if way.ndim == 2 else way[:, :3, :3],
              positions=asked["positions"][:, :3], use_cache=True).cache for way in (mask, causal_mask(mask))]  # fmt: skip
    found = [
        backbone.hidden(
            backbone.embed(ids[:, 3:]), mask=way, positions=asked["positions"][:, 3:], cache=cache
        ).last
        for way, cache in zip((mask, given), cached, strict=True)
    ]
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


def test_a_norm_with_another_epsilon_is_not_fused(make_tiny):
    class Doubled(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight, self.variance_epsilon = torch.nn.Parameter(torch.ones(16)), 1e-6

        def forward(self, rows):
            return F.rms_norm(rows, (16,), self.weight, 2 * self.variance_epsilon)

    assert kernels.fuse_norms(Doubled()) == 0


def kept_bytes(backbone, work):
    """What `work` keeps for its backward pass, weights left out."""
    kept, weights = {}, {weight.untyped_storage().data_ptr() for weight in backbone.model.parameters()}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        found = work()
    return found, sum(size for place, size in kept.items() if place not in weights)


@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma2", "gpt2", "gpt_neox", "phi3"])
def test_blocks_that_are_read_again_keep_less_and_give_the_same(make_tiny, monkeypatch, family):
    monkeypatch.setattr(
        kernels, "SHORT", 0
    )  # outside, attention has the kernel of a GPU, the same both times
    backbone = make_tiny(family)
    ids = torch.arange(3, 43).reshape(2, 20)
    found = []
    for again in (False, True):
        inputs = backbone.embed(ids).detach().requires_grad_()
        with kernels.read_again(backbone) if again else nullcontext():
            last, kept = kept_bytes(backbone, lambda: backbone.hidden(inputs).last)  # noqa: B023
        (last * torch.linspace(-1, 1, last.numel()).reshape(last.shape).cos()).sum().backward()
        found.append((last.detach(), inputs.grad, kept))
    (last, gradient, kept), (other, same, less) = found
    torch.testing.assert_close(other, last, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(same, gradient, atol=1e-5, rtol=1e-5)
    assert less < kept / 3


def test_reading_again_ends_with_its_block_and_keeps_a_block_s_own_forward(tiny_backbone):
    first, second = tiny_backbone.layers[:2]
    own = first.forward
    first.forward = own
    with pytest.raises(KeyError), kernels.read_again(tiny_backbone):
        assert "forward" in vars(second)
        raise KeyError
    assert vars(first)["forward"] is own
    assert "forward" not in vars(second)
    del first.forward


@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_the_graph_of_a_position_is_about_as_large_as_estimated(make_tiny, family):
    backbone, kept = make_tiny(family), {}

    def keep(tensor):
        if tensor.numel() and not isinstance(tensor, torch.nn.Parameter):
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    weights = {weight.untyped_storage().data_ptr() for weight in backbone.model.parameters()}
    rows, length = 8, 40
    inputs = torch.randn(rows, length, backbone.hidden_size, requires_grad=True)
    mask = torch.ones(rows, length, dtype=torch.bool)
    positions = torch.arange(length).expand(rows, -1)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        last = backbone.hidden(inputs, mask=mask, positions=positions).last
    used = sum(size for place, size in kept.items() if place not in weights) / (rows * length)
    assert last.requires_grad
    assert 0.5 < kernels.graph_bytes(backbone) / used < 2
