"""The TransformerLens bridge computes what Hugging Face computes, and what the embedder's encoder side computes."""

import pytest
import torch

from workbench.embedders.config import GEMConfig, LLM2VecGenConfig
from workbench.embedders.gem import GEM
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.errors import WorkbenchError
from workbench.lenses.bridge import ParityReport, bridge_of, bridge_states, merged, parity
from workbench.lenses.states import special_states

FAMILIES = ["llama", "qwen3", "mistral", "gpt2", "gpt_neox", "gemma2"]
TEXT = "What is the capital of Japan?"


def embedder_of(backbone, kind):
    if kind == "llm2vec-gen":
        config = LLM2VecGenConfig(n_compression=3, n_thought=1, dimension=8, lora_rank=2)
        embedder = LLM2VecGen.untrained(backbone, config)
    else:
        tuning = kind.removeprefix("gem-")
        embedder = GEM.untrained(backbone, GEMConfig(n_special=3, lora_rank=2, tuning=tuning))
    draw = torch.Generator().manual_seed(0)
    for name, part in embedder.module.named_parameters():
        if ".up." in name or ".weights." in name:
            part.data.add_(torch.randn(part.shape, generator=draw), alpha=0.05)
    return embedder


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_are_those_of_hugging_face(make_tiny, family):
    report = parity(make_tiny(family))
    assert report.difference <= 1e-4
    assert report.passed
    assert report.largest > 1
    report.require()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", ["llm2vec-gen", "gem-lora", "gem-full"])
def test_residuals_of_the_bridge_are_the_states_that_lenses_read(make_tiny, family, kind):
    embedder = embedder_of(make_tiny(family), kind)
    [states] = special_states(embedder, TEXT)
    found = bridge_states(bridge_of(embedder), embedder, TEXT)
    torch.testing.assert_close(found, states.states[1:], atol=1e-4, rtol=1e-4)
    plain = bridge_states(bridge_of(embedder.backbone), embedder, TEXT)
    assert not torch.allclose(plain, states.states[1:], atol=1e-3), "the update counts"


@pytest.mark.parametrize("kind", ["llm2vec-gen", "gem-lora", "gem-full"])
def test_the_source_is_left_as_it_was(make_tiny, kind):
    backbone = make_tiny("gpt2")
    embedder = embedder_of(backbone, kind)
    before = {name: weight.clone() for name, weight in backbone.model.state_dict().items()}
    vectors, attention = (
        embedder.encode([TEXT], convert_to_tensor=True),
        backbone.model.config._attn_implementation,
    )
    bridge_of(embedder)
    parity(backbone)
    assert all(torch.equal(weight, before[name]) for name, weight in backbone.model.state_dict().items())
    assert backbone.model.config._attn_implementation == attention
    assert torch.equal(embedder.encode([TEXT], convert_to_tensor=True), vectors)
    assert merged(embedder) is not backbone.model


def test_a_bridge_that_computes_something_else_is_told(make_tiny, monkeypatch):
    from workbench.lenses import bridge

    wrap = bridge._wrap

    def shifted(model):
        model.lm_head.weight.data[0] += 1e-2
        return wrap(model)

    monkeypatch.setattr(bridge, "_wrap", shifted)
    report = parity(make_tiny("llama"))
    assert not report.passed
    with pytest.raises(WorkbenchError, match="computes something else: LlamaForCausalLM, 3 texts"):
        report.require()
    assert ParityReport("X", 1, 9e-5, 0.1).passed
    assert not ParityReport("X", 1, 2e-4, 0.1).passed
    assert ParityReport("X", 1, 2e-3, 30.0).passed


def test_an_unknown_architecture_is_refused(make_tiny, monkeypatch):
    backbone = make_tiny("llama")
    unknown = type("NobodysForCausalLM", (type(backbone.model),), {})
    monkeypatch.setattr(backbone.model, "__class__", unknown)
    with pytest.raises(WorkbenchError, match="no bridge for NobodysForCausalLM"):
        bridge_of(backbone)
