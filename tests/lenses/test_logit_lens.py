"""The logit lens: in the last layer the model's own logits, in the others what norm and head say by hand."""

import numpy as np
import pytest
import torch

from workbench.embedders.config import GEMConfig, LLM2VecGenConfig
from workbench.embedders.gem import GEM
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.errors import UsageError
from workbench.lenses.logit import logit_lens, norm_and_head, paper_reading
from workbench.lenses.states import special_states

TEXTS = ["What is the capital of Japan?", "gold"]


def llm2vec_gen(backbone):
    return LLM2VecGen.untrained(backbone, LLM2VecGenConfig(n_compression=3, n_thought=1, dimension=8))


@pytest.mark.parametrize("family", ["llama", "qwen3", "mistral", "gemma2", "gpt2", "gpt_neox"])
def test_the_last_layer_is_the_models_own_logits(make_tiny, family):
    """The whole model in one plain pass, its own `logits` (Gemma-2's are soft capped) at the compression tokens."""
    embedder = llm2vec_gen(make_tiny(family))
    backbone, [states] = embedder.backbone, special_states(embedder, TEXTS[:1])
    with torch.no_grad():
        rows = backbone.model.get_input_embeddings()(torch.tensor([states.token_ids]))
        inputs = torch.cat([rows, embedder.module.tokens[None]], dim=1)
        own = backbone.model(inputs_embeds=inputs).logits[0, -3:]
        lens = norm_and_head(backbone)(states.states[-1])
    torch.testing.assert_close(lens, own, atol=1e-4, rtol=1e-4)
    [reading] = logit_lens(embedder, TEXTS[:1], layers=[-1], k=7)
    best = own.softmax(-1).topk(7)
    np.testing.assert_array_equal(reading.token_ids[0], best.indices.numpy())
    np.testing.assert_allclose(reading.scores[0], best.values.numpy(), atol=1e-4)


def test_inner_layers_by_hand(make_tiny):
    """A Llama with untied embeddings: `x / rms(x) * w`, then one dot product a token, in plain Python."""
    backbone = make_tiny("llama", tie_word_embeddings=False)
    embedder = llm2vec_gen(backbone)
    [states], [reading] = special_states(embedder, "gold"), logit_lens(embedder, "gold", layers=[0, 1], k=400)
    weight, head = backbone.model.model.norm.weight.tolist(), backbone.model.lm_head.weight.tolist()
    for place in (0, 1):
        row = states.states[place, 1].tolist()
        rms = (sum(x * x for x in row) / len(row) + 1e-6) ** 0.5
        normed = [x / rms * w for x, w in zip(row, weight, strict=True)]
        logits = np.array([sum(a * b for a, b in zip(normed, column, strict=True)) for column in head])
        wanted = np.exp(logits - logits.max())
        wanted /= wanted.sum()
        np.testing.assert_allclose(reading.scores[place, 1], np.sort(wanted)[::-1], atol=1e-4)
        by_id = reading.scores[place, 1][np.argsort(reading.token_ids[place, 1])]
        np.testing.assert_allclose(by_id, wanted, atol=1e-4)
    np.testing.assert_allclose(reading.scores.sum(-1), 1, atol=1e-4)


@pytest.mark.parametrize("tuning", ["lora", "full"])
def test_gem_is_read_by_its_own_fine_tuned_head(make_tiny, tuning):
    backbone = make_tiny("llama")
    embedder = GEM.untrained(backbone, GEMConfig(n_special=2, lora_rank=2, tuning=tuning))
    before = logit_lens(embedder, "gold", layers=[-1])[0].scores
    parts = embedder.module.update.weights if tuning == "full" else embedder.module.update.up
    for part in parts.values():
        part.data.add_(torch.randn(part.shape, generator=torch.Generator().manual_seed(1)), alpha=0.1)
    [states], [reading] = special_states(embedder, "gold"), logit_lens(embedder, "gold", layers=[-1], k=3)
    assert not np.allclose(before[..., :3], reading.scores, atol=1e-3)
    with embedder.language_model(), torch.no_grad():
        own = backbone.model.lm_head(states.last).softmax(-1).topk(3)
    np.testing.assert_array_equal(reading.token_ids[0], own.indices.numpy())
    np.testing.assert_allclose(reading.scores[0], own.values.numpy(), atol=1e-4)


def test_the_papers_reading_is_the_last_layers_top_five_with_new_words_marked(tiny_backbone):
    embedder = llm2vec_gen(tiny_backbone)
    reading = paper_reading(embedder, TEXTS[0])
    assert (reading.layers, reading.k, reading.lens) == ((2,), 5, "logit")
    [whole] = logit_lens(embedder, [TEXTS[0]], k=9)
    np.testing.assert_array_equal(reading.token_ids[0], whole.token_ids[-1, :, :5])
    words = [token for row in whole.tokens[-1] for token in row]
    text = f"{TEXTS[0]} {words[0].replace('␣', ' ')}"
    assert [token for token, new in zip(words, whole.novel[-1].reshape(-1), strict=True) if new]
    [again] = logit_lens(embedder, [text], layers=[-1], k=1)
    assert again.text == text


def test_a_text_reads_the_same_in_any_company(tiny_backbone):
    embedder = llm2vec_gen(tiny_backbone)
    for text, reading in zip(TEXTS, logit_lens(embedder, TEXTS), strict=True):
        [alone] = logit_lens(embedder, text)
        np.testing.assert_array_equal(alone.token_ids, reading.token_ids)
        np.testing.assert_allclose(alone.scores, reading.scores, atol=1e-5)


def test_bad_layers_and_ranks_are_refused(tiny_backbone):
    embedder = llm2vec_gen(tiny_backbone)
    with pytest.raises(UsageError, match="numbered from 0"):
        logit_lens(embedder, TEXTS, layers=[3])
    for k in (0, 401):
        with pytest.raises(UsageError, match=f"k must be from 1 to the vocabulary's 400, not {k}"):
            logit_lens(embedder, TEXTS, k=k)
