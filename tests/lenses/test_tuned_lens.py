"""The tuned lens: untrained it is the logit lens, trained it is nearer to the last layer on texts it never saw."""

import math

import numpy as np
import pytest
import torch

from workbench.embedders.config import GEMConfig, LLM2VecGenConfig
from workbench.embedders.gem import GEM
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.errors import FingerprintMismatch, UsageError, WorkbenchError
from workbench.lenses.logit import logit_lens, norm_and_head
from workbench.lenses.states import special_states
from workbench.lenses.tuned import (
    Translators,
    collect_states,
    divergences,
    train_tuned_lens,
    tuned_lens,
)
from workbench.lenses.tuned_artifact import load_tuned_lens, save_tuned_lens
from workbench.lenses.tuned_config import TunedTraining

NOUNS = ["gold", "the lion", "the guitar", "Paris", "Tokyo", "my best friend", "the river", "a picture"]
CORPUS = [
    f"{opening} {noun}?"
    for noun in NOUNS
    for opening in ("What is", "Tell me about", "Who painted", "Summarize")
]
SHORT = TunedTraining(steps=60, batch_size=64, lr=1e-2)


def llm2vec_gen(backbone):
    return LLM2VecGen.untrained(backbone, LLM2VecGenConfig(n_compression=3, n_thought=1, dimension=8))


def gem(backbone):
    return GEM.untrained(backbone, GEMConfig(n_special=3, lora_rank=2, tuning="full"))


def test_untrained_translators_are_the_logit_lens_exactly(tiny_backbone):
    embedder = llm2vec_gen(tiny_backbone)
    [tuned] = tuned_lens(embedder, "gold", Translators(2, 32), k=6)
    [logit] = logit_lens(embedder, "gold", k=6)
    np.testing.assert_array_equal(tuned.token_ids, logit.token_ids)
    np.testing.assert_array_equal(tuned.scores, logit.scores)
    assert (tuned.lens, tuned.layers) == ("tuned", (0, 1, 2))


@pytest.mark.parametrize("make", [llm2vec_gen, gem])
def test_training_brings_every_layer_but_the_last_nearer_on_held_out_texts(make_tiny, make):
    embedder = make(make_tiny("llama"))
    trained = train_tuned_lens(embedder, CORPUS, SHORT)
    for layer in (0, 1):
        assert trained.tuned[layer] < 0.8 * trained.logit[layer], (layer, trained)
    assert trained.tuned[2] == trained.logit[2] == pytest.approx(0, abs=1e-6)
    assert all(part.grad is None for part in embedder.module.parameters())
    assert trained.states == 29 * 6  # 29 of 32 texts, 3 special and 3 ordinary tokens each


def test_the_same_seed_gives_the_same_translators(tiny_backbone):
    embedder = llm2vec_gen(tiny_backbone)
    config = TunedTraining(steps=5, batch_size=8)
    a, b = (train_tuned_lens(embedder, CORPUS[:8], config).probes for _ in range(2))
    assert torch.equal(a.weight, b.weight)
    assert a.weight.abs().max() > 0
    other = train_tuned_lens(embedder, CORPUS[:8], TunedTraining(steps=5, batch_size=8, seed=1)).probes
    assert not torch.equal(a.weight, other.weight)


def test_divergence_by_hand(tiny_backbone):
    """KL(last || layer) = sum of p * log(p / q), token by token, from the lenses' own probabilities."""
    embedder = llm2vec_gen(tiny_backbone)
    [states], [reading] = special_states(embedder, "gold"), logit_lens(embedder, "gold", k=400)
    found = divergences(norm_and_head(tiny_backbone), Translators(2, 32), states.states)
    probability = np.take_along_axis(reading.scores, reading.token_ids.argsort(-1), -1)
    for layer in (0, 1):
        by_hand = [
            sum(p * math.log(p / q) for p, q in zip(*rows, strict=True))
            for rows in zip(probability[2].tolist(), probability[layer].tolist(), strict=True)
        ]
        assert found[layer] == pytest.approx(sum(by_hand) / 3, rel=1e-3)


@pytest.mark.parametrize("make", [llm2vec_gen, gem])
def test_states_are_special_tokens_and_as_many_ordinary_ones(tiny_backbone, make):
    """One text: its special tokens first, then tokens of its own, none of them padding or a thought token."""
    embedder, texts = make(tiny_backbone), ["gold", "Tell me about gold and about the guitar, please."]
    rows = collect_states(embedder, texts, torch.Generator().manual_seed(0))
    both, lengths = special_states(embedder, texts), []
    start = 0
    for states in both:
        torch.testing.assert_close(rows[:, start : start + 3], states.states, atol=1e-4, rtol=1e-4)
        own = tiny_backbone.embed(torch.tensor([states.token_ids]))[0]
        count = min(3, len(own))
        with embedder.language_model():
            inputs = tiny_backbone.embed(torch.tensor([states.token_ids]))[0]
        for row in rows[0, start + 3 : start + 3 + count]:
            assert (inputs - row).abs().sum(-1).min() < 1e-5
        lengths.append(count)
        start += 3 + count
    assert start == rows.shape[1]


def test_what_is_saved_is_what_is_loaded(tiny_backbone, tmp_path):
    embedder = llm2vec_gen(tiny_backbone)
    config = TunedTraining(steps=3, batch_size=8)
    trained = train_tuned_lens(embedder, CORPUS[:8], config)
    save_tuned_lens(trained, embedder, tmp_path / "a", config)
    again = load_tuned_lens(embedder, tmp_path / "a")
    assert torch.equal(again.weight, trained.probes.weight)
    assert torch.equal(again.bias, trained.probes.bias)
    save_tuned_lens(trained, embedder, tmp_path / "b", config)
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_another_embedder_or_backbone_is_refused(make_tiny, tmp_path):
    embedder = llm2vec_gen(make_tiny("llama"))
    config = TunedTraining(steps=1, batch_size=4)
    save_tuned_lens(train_tuned_lens(embedder, CORPUS[:4], config), embedder, tmp_path, config)
    other = llm2vec_gen(make_tiny("llama"))
    other.module.tokens.data += 1
    with pytest.raises(FingerprintMismatch, match="embedder"):
        load_tuned_lens(other, tmp_path)
    with pytest.raises(FingerprintMismatch, match="weights"):
        load_tuned_lens(llm2vec_gen(make_tiny("llama", seed=1)), tmp_path)


def test_what_is_no_tuned_lens_is_refused(tiny_backbone, tmp_path):
    from workbench.embedders.artifact import save

    embedder = llm2vec_gen(tiny_backbone)
    with pytest.raises(UsageError, match="no tuned lens at"):
        load_tuned_lens(embedder, tmp_path)
    save(embedder, tmp_path / "embedder")
    with pytest.raises(UsageError, match="holds a llm2vec-gen, which is no tuned lens"):
        load_tuned_lens(embedder, tmp_path / "embedder")
    config = TunedTraining(steps=1, batch_size=4)
    folder = save_tuned_lens(train_tuned_lens(embedder, CORPUS[:4], config), embedder, tmp_path / "t", config)
    (folder / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(WorkbenchError, match="is missing or not the file"):
        load_tuned_lens(embedder, folder)
    with pytest.raises(UsageError, match="translators for"):
        tuned_lens(embedder, "gold", Translators(3, 32))
    with pytest.raises(UsageError, match="at least 2 texts"):
        train_tuned_lens(embedder, ["gold"])
    for wrong in ({"steps": 0}, {"lr": 0.0}, {"held_out": 1.0}, {"speed": 1}):
        with pytest.raises(UsageError):
            TunedTraining.from_dict(wrong)
