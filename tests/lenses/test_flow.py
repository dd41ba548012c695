"""Attention flow: rollout and entropy by hand, the weights of the whole sequence, words, and a bound on memory."""

import math

import numpy as np
import pytest
import torch
from causal_embedders import gem, llm2vec_gen
from torch.utils._python_dispatch import TorchDispatchMode

from workbench.embedders.baselines import load_baseline
from workbench.errors import UsageError, WorkbenchError
from workbench.lenses import flow as flow_module
from workbench.lenses.attention import special_attention
from workbench.lenses.attention_flow import AttentionFlow, entropy
from workbench.lenses.flow import attention_flow, rollout, rollout_of
from workbench.lenses.words import TEMPLATE, words_of

TEXT = "What is the capital of Japan?"


def test_rollout_by_hand():
    """Two layers, three tokens; half of each row stays where it is. The layers do not commute."""
    first = [[1.0, 0, 0], [1, 0, 0], [0, 0, 1]]  # (A + I) / 2 = [[1, 0, 0], [0.5, 0.5, 0], [0, 0, 1]]
    second = [[1.0, 0, 0], [0, 1, 0], [0, 1, 0]]  # (A + I) / 2 = [[1, 0, 0], [0, 1, 0], [0, 0.5, 0.5]]
    # second @ first; its last row is 0.5 * [0.5, 0.5, 0] + 0.5 * [0, 0, 1]
    found = rollout(np.array([first, second], dtype=np.float32))
    np.testing.assert_allclose(found, [[1, 0, 0], [0.5, 0.5, 0], [0.25, 0.25, 0.5]], atol=1e-6)


def test_rollout_normalizes_rows():
    """A row [0, 0.5]: with the identity [0, 1.5], normalized [0, 1]."""
    found = rollout(np.array([[[1.0, 0.0], [0.0, 0.5]]], dtype=np.float32))
    np.testing.assert_allclose(found, np.eye(2), atol=1e-6)


def test_entropy_by_hand():
    rows = np.array([[0.25, 0.25, 0.25, 0.25], [1, 0, 0, 0], [0.5, 0.25, 0.25, 0]], dtype=np.float32)
    np.testing.assert_allclose(entropy(rows), [math.log2(4), 0, 1.5], atol=1e-6)


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2"])
@pytest.mark.parametrize("make", [llm2vec_gen, gem])
@pytest.mark.parametrize("at_once", [1, 2**24])
def test_the_rows_are_those_of_the_whole_sequence(make_tiny, monkeypatch, family, make, at_once):
    """However few positions are read at a time; by `special_attention`, which holds every weight."""
    monkeypatch.setattr(flow_module, "WEIGHTS_AT_ONCE", at_once)
    embedder = make(make_tiny(family))
    found, whole = attention_flow(embedder, TEXT), special_attention(embedder, TEXT)
    n, t = len(found.labels), len(found.tokens)
    own = np.flatnonzero(whole.is_special)[-n:]
    np.testing.assert_allclose(found.weights, whole.weights[:, :, own, :t], atol=1e-5)
    np.testing.assert_allclose(found.rolled, rollout_of(whole)[own, :t], atol=1e-5)
    np.testing.assert_allclose(found.weights.sum(-1), 1, atol=1e-5)
    np.testing.assert_allclose(found.rolled.sum(-1), 1, atol=1e-5)
    assert found.deviation < 1e-4
    alone = attention_flow(embedder, TEXT, rollout=False)
    np.testing.assert_allclose(alone.weights, found.weights, atol=1e-5)
    assert alone.rolled is None


def test_a_sliding_window_is_the_models_own(make_tiny):
    """Gemma-2 with a window of 8: no special token sees farther in the layers that slide, and the states agree."""
    embedder = llm2vec_gen(make_tiny("gemma2", sliding_window=8, num_hidden_layers=2))
    found = attention_flow(embedder, TEXT)
    assert found.deviation < 1e-4
    assert len(found.tokens) > 12
    assert min(found.weights[layer, :, -1, :-8].max() for layer in range(2)) == 0


def test_it_says_that_the_weights_are_recomputed(make_tiny):
    embedder = llm2vec_gen(make_tiny("llama"))
    found = attention_flow(embedder, TEXT)
    assert found.recomputed
    assert "sdpa" in found.note
    with embedder.backbone.eager_attention():
        eager = attention_flow(embedder, TEXT)
    assert not eager.recomputed
    assert embedder.backbone.model.config._attn_implementation == "sdpa"


def test_words_are_fed_by_their_tokens(make_tiny):
    embedder = llm2vec_gen(make_tiny("llama"))
    found = attention_flow(embedder, TEXT)
    assert found.words.labels == ["What", "is", "the", "capital", "of", "Japan", "?"]
    assert found.tokens[-4:] == ["◇1", "◆1", "◆2", "◆3"]
    chosen = found.weights[1, 2]  # layer 2, head 3
    for word in range(7):
        wanted = sum(chosen[:, place] for place in range(len(found.tokens)) if found.words.of[place] == word)
        np.testing.assert_allclose(found.fed_by(layer=2, head=3)[:, word], wanted, atol=1e-6)
    template = found.rolled[:, found.words.of == TEMPLATE].sum(-1)
    np.testing.assert_allclose(found.fed_by("rollout").sum(-1) + template, 1, atol=1e-5)


def test_words_of_scripts_and_marks(tiny_backbone):
    embedder = llm2vec_gen(tiny_backbone)
    ids = embedder.tokenize(["Tell me: 日本 is\nit gold-ish?"]).ids[0]
    words = words_of(embedder, ids)
    assert words.labels == ["Tell", "me", ":", "日", "本", "is", "it", "gold", "-", "ish", "?"]
    assert words.of[0] == TEMPLATE  # <|user|>
    assert (np.diff(words.of[1:]) >= 0).all()
    values = np.ones((2, len(ids)), dtype=np.float32)
    assert words.summed(values).sum() == 2 * (len(ids) - 1)


class Largest(TorchDispatchMode):
    """The most numbers that any operation inside gave."""

    def __init__(self):
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        output = function(*args, **(kwargs or {}))
        if isinstance(output, torch.Tensor):
            self.numbers = max(self.numbers, output.numel())
        return output


def test_two_thousand_tokens_stay_computable(make_tiny, monkeypatch):
    """All weights of 4 heads would be 4 t² = 17 million numbers a layer; none of the tensors comes near."""
    monkeypatch.setattr(flow_module, "WEIGHTS_AT_ONCE", 2**20)
    embedder = llm2vec_gen(make_tiny("llama", max_position_embeddings=4096), max_length=2048)
    with Largest() as rolled:
        found = attention_flow(embedder, "gold and silver, " * 500)
    t = len(found.tokens)
    assert t > 2000
    assert found.weights.shape == (2, 4, 3, t)
    np.testing.assert_allclose(found.rolled.sum(-1), 1, atol=1e-4)
    assert rolled.numbers <= 2**20  # WEIGHTS_AT_ONCE
    with Largest() as alone:
        attention_flow(embedder, "gold and silver, " * 500, rollout=False)
    assert alone.numbers < 2**18  # what one layer's MLP gives for the text
    monkeypatch.setattr(flow_module, "ROLLOUT_AT_MOST", 2 * 100**2)
    with pytest.raises(UsageError, match="at most 100 tokens"):
        attention_flow(embedder, "gold and silver, " * 500)


def test_saved_and_loaded(make_tiny, tmp_path):
    found = attention_flow(gem(make_tiny("llama")), TEXT)
    loaded = AttentionFlow.load(found.save(tmp_path / "flow.parquet"))
    for name in ("weights", "rolled", "entropy"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(found, name))
    np.testing.assert_array_equal(loaded.words.of, found.words.of)
    assert (loaded.tokens, loaded.note, loaded.words.labels) == (found.tokens, found.note, found.words.labels)
    frame = found.to_frame()
    row = frame[(frame.layer == 2) & (frame["head"] == 3) & (frame.special == "◆2")].iloc[0]
    np.testing.assert_array_equal(row.weights, found.weights[1, 2, 1])
    assert row.entropy == pytest.approx(found.entropy[1, 2, 1])
    from workbench.lenses.patching import PatchReading

    with pytest.raises(WorkbenchError, match="holds no patch reading"):
        PatchReading.load(tmp_path / "flow.parquet")


def test_what_is_not_there_is_refused(make_tiny, tiny_backbone):
    found = attention_flow(llm2vec_gen(make_tiny("llama")), TEXT, rollout=False)
    with pytest.raises(UsageError, match="no layer 0: they are numbered 1 to 2"):
        found.fed_by(layer=0)
    with pytest.raises(UsageError, match="no head 5"):
        found.fed_by(head=5)
    with pytest.raises(UsageError, match="not asked for"):
        found.fed_by("rollout")
    with pytest.raises(UsageError, match="empty text"):
        attention_flow(llm2vec_gen(make_tiny("llama")), " ")
    with pytest.raises(UsageError, match="no special tokens"):
        attention_flow(load_baseline("mean-pool", tiny_backbone), TEXT)
