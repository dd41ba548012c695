"""Patchscopes: what is put back where it was changes nothing, and a token's own row reads as that token's prompt."""

import numpy as np
import pytest
import torch

from workbench.embedders.config import GEMConfig, LLM2VecGenConfig
from workbench.embedders.gem import GEM
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.errors import UsageError
from workbench.lenses.patchscope import patched_logits, patchscope, repeat_prompt, replaced
from workbench.lenses.states import residual_stream, special_states

FAMILIES = ["llama", "qwen3", "mistral", "gemma2", "gpt2", "gpt_neox"]
TEXTS = ["What is the capital of Japan?", "gold"]


def llm2vec_gen(backbone):
    config = LLM2VecGenConfig(n_compression=3, n_thought=1, dimension=8)
    return LLM2VecGen.untrained(backbone, config)


def plain_logits(backbone, ids):
    with torch.no_grad():
        return backbone.model(torch.tensor([ids])).logits[0, -1]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_state_in_its_own_place_changes_nothing(make_tiny, family):
    backbone = make_tiny(family)
    asked = repeat_prompt(backbone)
    own = plain_logits(backbone, asked.ids)
    batch = backbone.pad([asked.ids])
    with torch.no_grad(), residual_stream(backbone) as stream:
        backbone.hidden(backbone.embed(batch.ids), mask=batch.mask, positions=batch.positions)
    for layer, states in enumerate(stream):
        row = states[:, asked.place]
        torch.testing.assert_close(patched_logits(backbone, asked, row, layer)[0], own, atol=1e-4, rtol=1e-4)
        if layer < len(stream) - 1:
            moved = patched_logits(backbone, asked, -row, layer)[0]
            assert not torch.allclose(moved, own, atol=1e-3), f"layer {layer} is read"


def test_another_tokens_row_reads_as_a_prompt_with_that_token(tiny_backbone):
    """Target layer 0 on a Llama: its input rows are its embeddings, so patching one in is writing the token."""
    asked = repeat_prompt(tiny_backbone)
    tokens = [5, 77, 300]
    rows = tiny_backbone.embed(torch.tensor([tokens]))[0]
    found = patched_logits(tiny_backbone, asked, rows, 0)
    for row, token in zip(found, tokens, strict=True):
        ids = [*asked.ids[: asked.place], token, *asked.ids[asked.place + 1 :]]
        torch.testing.assert_close(row, plain_logits(tiny_backbone, ids), atol=1e-4, rtol=1e-4)


def test_readings_are_the_patched_prompts_probabilities(tiny_backbone):
    embedder = llm2vec_gen(tiny_backbone)
    readings = patchscope(embedder, TEXTS, layers=[1, 2], k=4, target_layer=1)
    for text, states, reading in zip(TEXTS, special_states(embedder, TEXTS), readings, strict=True):
        assert (reading.text, reading.layers, reading.lens) == (text, (1, 2), "patchscope")
        asked = repeat_prompt(tiny_backbone)
        for place, layer in enumerate((1, 2)):
            wanted = patched_logits(tiny_backbone, asked, states.at(layer), 1).softmax(-1).topk(4)
            np.testing.assert_array_equal(reading.token_ids[place], wanted.indices.numpy())
            np.testing.assert_allclose(reading.scores[place], wanted.values.numpy(), atol=1e-5)


def test_behind_the_last_block_no_state_is_read(tiny_backbone):
    """Layer by layer, the last one changes nothing: every special token reads the same there."""
    [reading] = patchscope(llm2vec_gen(tiny_backbone), "gold", target_layer=None)
    assert (reading.token_ids[-1] == reading.token_ids[-1, 0]).all()
    own = plain_logits(tiny_backbone, repeat_prompt(tiny_backbone).ids).softmax(-1)
    np.testing.assert_allclose(reading.scores[-1, 0, 0], float(own.max()), atol=1e-5)
    assert not (reading.scores[0] == reading.scores[0, 0]).all()


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_prompt_is_its_text_with_one_placeholder(make_tiny, family):
    backbone = make_tiny(family)
    asked = repeat_prompt(backbone, "Say {} again: {}".replace("{}", "lion", 1) + "!")
    text = backbone.tokenizer.decode([*asked.ids[: asked.place], *asked.ids[asked.place + 1 :]])
    wanted = "Say lion again:!"
    assert text == (f"<|user|>{wanted}<|assistant|>" if family == "llama" else wanted)
    assert asked.place < len(asked.ids) - 1


def test_gem_reads_with_its_own_fine_tuned_model(make_tiny):
    backbone = make_tiny("llama")
    embedder = GEM.untrained(backbone, GEMConfig(n_special=2, lora_rank=2))
    for part in embedder.module.update.up.values():
        part.data.normal_(0, 0.3, generator=torch.Generator().manual_seed(0))
    [states], [reading] = special_states(embedder, "gold"), patchscope(embedder, "gold", layers=[1], k=3)
    plain = patched_logits(backbone, repeat_prompt(backbone), states.at(1), 0).softmax(-1)
    with embedder.language_model():
        tuned = patched_logits(backbone, repeat_prompt(backbone), states.at(1), 0).softmax(-1)
    np.testing.assert_allclose(reading.scores[0], tuned.topk(3).values.numpy(), atol=1e-5)
    assert not torch.allclose(plain, tuned, atol=1e-3)


def hooks(backbone):
    """The numbers of all hooks on the blocks."""
    return [(list(layer._forward_hooks), list(layer._forward_pre_hooks)) for layer in backbone.layers]


def test_hooks_are_gone_after_an_error(tiny_backbone):
    before = hooks(tiny_backbone)  # transformers leaves its own where hidden states were once asked for

    def fail(layer):
        with replaced(tiny_backbone, layer, 0, torch.zeros(1, 32)):
            raise RuntimeError("on purpose")

    for layer in (0, 1):
        with pytest.raises(RuntimeError, match="on purpose"):
            fail(layer)
    assert hooks(tiny_backbone) == before


def test_what_cannot_be_asked_is_refused(tiny_backbone):
    embedder = llm2vec_gen(tiny_backbone)
    for prompt in ("no place", "two {} places {}"):
        with pytest.raises(UsageError, match=r"must hold \{\} once"):
            patchscope(embedder, "gold", prompt=prompt)
    with pytest.raises(UsageError, match="numbered from 0"):
        patchscope(embedder, "gold", target_layer=3)
