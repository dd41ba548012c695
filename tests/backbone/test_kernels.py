"""Which kernel runs is a matter of speed alone: gradients agree."""

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
