"""The states that every lens reads: equal to what the embedder itself reads, on every family, in any company."""

import pytest
import torch

from workbench.embedders.baselines import load_baseline
from workbench.embedders.config import GEMConfig, LLM2VecGenConfig
from workbench.embedders.gem import GEM
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.errors import UsageError
from workbench.lenses.states import SpecialStates, checked_layers, residual_stream, special_states

TEXTS = ["What is the capital of Japan?", "gold", "Tell me about gold and about the guitar, please."]


def llm2vec_gen(backbone, *, lora=True):
    config = LLM2VecGenConfig(n_compression=3, n_thought=2, dimension=8, lora_rank=2 if lora else 0)
    return moved(LLM2VecGen.untrained(backbone, config))


def gem(backbone):
    return moved(GEM.untrained(backbone, GEMConfig(n_special=3, lora_rank=2)))


def moved(embedder):
    """With a LoRA that changes what is read."""
    draw = torch.Generator().manual_seed(0)
    for name, part in embedder.module.named_parameters():
        if ".up." in name:
            part.data.normal_(0, 0.2, generator=draw)
    return embedder


@pytest.mark.parametrize("family", ["llama", "qwen3", "mistral", "gemma2", "gpt2", "gpt_neox"])
@pytest.mark.parametrize("make", [llm2vec_gen, gem])
def test_the_last_states_are_what_the_embedder_reads(make_tiny, family, make):
    embedder = make(make_tiny(family))
    found, used = special_states(embedder, TEXTS, batch_size=2), embedder.represent(TEXTS)
    for row, states in enumerate(found):
        torch.testing.assert_close(states.last, used.hidden_states[row], atol=1e-4, rtol=1e-4)
        assert states.text == TEXTS[row]
        assert states.token_ids == used.token_ids[row]
        assert states.labels == ["◆1", "◆2", "◆3"]
        assert states.layers == (0, 1, 2)
        assert (states.states.dtype, states.states.device.type) == (torch.float32, "cpu")


@pytest.mark.parametrize("make", [llm2vec_gen, gem])
def test_the_final_norm_of_the_last_layer_is_what_stands_behind_it(make_tiny, make):
    """A Llama's norm is `x / rms(x) * weight`: the block states are of the same pass as the last states."""
    embedder = make(make_tiny("llama"))
    weight = embedder.backbone.model.model.norm.weight
    for states in special_states(embedder, TEXTS):
        rows = states.states[-1]
        normed = rows / (rows.square().mean(-1, keepdim=True) + 1e-6).sqrt() * weight
        torch.testing.assert_close(normed, states.last, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("make", [llm2vec_gen, gem])
def test_layer_0_is_the_input_rows_of_the_compression_tokens(make_tiny, make):
    embedder = make(make_tiny("llama"))
    for states in special_states(embedder, TEXTS):
        torch.testing.assert_close(states.states[0], embedder.module.tokens.detach()[-3:])


def test_layers_equal_the_models_own_hidden_states_row_by_row(make_tiny):
    """The plain way: every text alone, without padding or cache, `output_hidden_states` of the model itself."""
    embedder = llm2vec_gen(make_tiny("llama"), lora=False)
    for states in special_states(embedder, TEXTS):
        rows = embedder.backbone.embed(torch.tensor([states.token_ids]))
        inputs = torch.cat([rows, embedder.module.tokens[None]], dim=1)
        with torch.no_grad():
            every = embedder.backbone.model(inputs_embeds=inputs, output_hidden_states=True).hidden_states
        torch.testing.assert_close(states.states[0], every[0][0, -3:], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(states.states[1], every[1][0, -3:], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(states.last, every[2][0, -3:], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("make", [llm2vec_gen, gem])
def test_states_depend_on_neither_company_nor_padding(tiny_backbone, make):
    embedder = make(tiny_backbone)
    together = special_states(embedder, TEXTS)
    for text, states in zip(TEXTS, together, strict=True):
        [alone] = special_states(embedder, text)
        torch.testing.assert_close(alone.states, states.states, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(together[0].states[-1], together[1].states[-1], atol=1e-2), "texts differ"


def test_the_lora_is_seen_and_nothing_is_left_behind(make_tiny):
    backbone = make_tiny("llama")
    with_lora, without = llm2vec_gen(backbone), llm2vec_gen(backbone, lora=False)
    [a], [b] = special_states(with_lora, "gold"), special_states(without, "gold")
    assert torch.equal(a.states[0], b.states[0])
    assert not torch.allclose(a.states[1], b.states[1], atol=1e-3)
    for layer in backbone.layers:
        assert not layer._forward_hooks
        assert not layer._forward_pre_hooks


def hooks(backbone):
    """The numbers of all hooks on the blocks."""
    return [(list(layer._forward_hooks), list(layer._forward_pre_hooks)) for layer in backbone.layers]


def test_hooks_are_gone_after_an_error(tiny_backbone):
    before = hooks(tiny_backbone)  # transformers leaves its own where hidden states were once asked for

    def fail():
        with residual_stream(tiny_backbone):
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        fail()
    assert hooks(tiny_backbone) == before


def test_a_text_that_is_cut_says_so(tiny_backbone):
    config = LLM2VecGenConfig(n_compression=2, dimension=8, max_length=12)
    long, short = special_states(LLM2VecGen.untrained(tiny_backbone, config), [TEXTS[0] * 9, "gold"])
    assert (long.truncated, short.truncated) == (True, False)
    assert len(long.token_ids) == 12


def test_no_texts_are_no_states(tiny_backbone):
    assert special_states(llm2vec_gen(tiny_backbone), []) == []


def test_what_has_no_special_tokens_is_refused(tiny_backbone):
    with pytest.raises(UsageError, match="a mean-pool embedder has no special tokens"):
        special_states(load_baseline("mean-pool", tiny_backbone), TEXTS)
    with pytest.raises(UsageError, match="batch_size must be at least 1, not 0"):
        special_states(llm2vec_gen(tiny_backbone), TEXTS, batch_size=0)


def test_layers_are_chosen_by_number(tiny_backbone):
    [states] = special_states(llm2vec_gen(tiny_backbone), "gold")
    assert torch.equal(states.at(-1), states.states[2])
    assert torch.equal(states.at(1), states.states[1])
    assert checked_layers(None, 2) == [0, 1, 2]
    assert checked_layers([-1, 2, 0], 2) == [2, 0]
    for wrong in ([3], [-4]):
        with pytest.raises(UsageError, match="numbered from 0"):
            checked_layers(wrong, 2)
    with pytest.raises(UsageError, match="no layer was asked for"):
        checked_layers([], 2)


def test_shapes_are_checked():
    with pytest.raises((ValueError, TypeError)):
        SpecialStates("a", (0, 1), torch.zeros(3, 2, 4), torch.zeros(2, 4), ["◆1", "◆2"], [1])
