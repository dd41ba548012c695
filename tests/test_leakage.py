"""The proof of the bottleneck: it holds on every family, and planted mask bugs are caught."""

import pytest
import torch

from workbench.errors import UsageError, WorkbenchError
from workbench.leakage import audit_backbone, audit_leakage
from workbench.masks import bottleneck_mask, to_additive

FAMILIES = ("llama", "qwen2", "qwen3", "mistral", "gemma2", "gpt2", "gpt_neox")
LENGTH = 12


def example(vocab_size=300):
    """Two rows of 12: three special tokens after a prefix of four; the second row is padded on the left by three."""
    draw = torch.Generator().manual_seed(0)
    ids = torch.randint(5, vocab_size, (2, LENGTH), generator=draw)
    special = torch.zeros(2, LENGTH, dtype=torch.bool)
    special[:, 5:8] = True
    padding = torch.ones(2, LENGTH, dtype=torch.bool)
    padding[1, :3] = False
    return ids, special, padding


@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_leaks_in_eager_attention(make_tiny, family):
    backbone = make_tiny(family)
    with backbone.eager_attention():
        audit = audit_leakage(backbone, *example())
    assert audit.kernel == "eager"
    assert audit.applied == [0.0] * len(backbone.layers)
    assert audit.gradient == [0.0] * len(backbone.layers)
    assert audit.through > 1e-4
    assert audit.passed


@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "gemma2"])
def test_next_to_nothing_leaks_in_sdpa(make_tiny, family):
    backbone = make_tiny(family, attn_implementation="sdpa")
    audit = audit_leakage(backbone, *example())
    assert audit.kernel == "sdpa"
    assert audit.passed, audit.summary()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_backbone_is_audited_on_its_own_tokens(make_tiny, family):
    audit = audit_backbone(make_tiny(family))
    assert audit.passed, audit.summary()
    assert audit.through > 0


def planted(bug: str, ids, special, padding, dtype):
    declared = bottleneck_mask(special, padding)
    if bug == "one cell":
        declared[0, 9, 1] = True
    elif bug == "off by one":
        declared = bottleneck_mask(special.roll(-1, dims=1), padding)
    elif bug == "plain causal":
        declared = bottleneck_mask(torch.zeros_like(special), padding)
    elif bug == "boolean":
        return declared[:, None]
    return to_additive(declared, dtype)


@pytest.mark.parametrize("bug", ["one cell", "off by one", "plain causal", "boolean"])
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_planted_bug_is_caught(make_tiny, family, bug):
    backbone = make_tiny(family)
    ids, special, padding = example()
    with backbone.eager_attention():
        handed = planted(bug, ids, special, padding, backbone.dtype)
        audit = audit_leakage(backbone, ids, special, padding, handed=handed)
    assert not audit.passed, audit.summary()
    assert max(audit.applied) > 0
    if bug != "off by one":
        assert max(audit.gradient) > 0
    with pytest.raises(WorkbenchError, match="does not hold"):
        audit.require()


def test_a_bottleneck_that_is_shut_does_not_pass(make_tiny):
    """Special tokens that see only themselves leak nothing and carry nothing."""
    backbone = make_tiny("llama")
    ids, special, padding = example()
    shut = bottleneck_mask(special, padding)
    shut[:, 5:8, :5] = False
    with backbone.eager_attention():
        audit = audit_leakage(backbone, ids, special, padding, handed=to_additive(shut, backbone.dtype))
    assert max(audit.applied) == max(audit.gradient) == audit.through == 0
    assert not audit.passed


def test_the_hooks_are_gone_after_the_audit(make_tiny):
    backbone = make_tiny("llama")
    audit_leakage(backbone, *example())
    assert not any(layer._forward_pre_hooks for layer in backbone.layers)


def test_a_row_without_a_suffix_cannot_be_audited(make_tiny):
    ids, special, padding = example()
    special[:, 5:] = True
    with pytest.raises(UsageError, match="suffix of two tokens"):
        audit_leakage(make_tiny("llama"), ids, special, padding)
