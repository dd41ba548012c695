"""Which kernel runs is a matter of speed alone: gradients agree."""

from types import SimpleNamespace

import pytest
import torch

from workbench.backbone import kernels


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


def test_a_gpu_holds_as_many_positions_as_a_share_of_its_memory(tiny_backbone, monkeypatch):
    assert kernels.positions_at_once(tiny_backbone) == 1024
    card = SimpleNamespace(total_memory=kernels.graph_bytes(tiny_backbone) * 20_000)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: card)
    config = tiny_backbone.model
    for kind, expected in (("cuda", 5_000), ("mps", 8192)):
        elsewhere = SimpleNamespace(
            device=torch.device(kind),
            dtype=torch.float32,
            hidden_size=tiny_backbone.hidden_size,
            model=config,
        )
        assert kernels.positions_at_once(elsewhere) == expected
    card.total_memory = 1
    elsewhere.device = torch.device("cuda")
    assert kernels.positions_at_once(elsewhere) == 1024


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
