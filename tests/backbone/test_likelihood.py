"""Likelihoods behind a cache against what step-by-step generation sees, and against one pass without any cache."""

import pytest
import torch
from devices import elsewhere

from workbench.backbone import generation, likelihood
from workbench.backbone.likelihood import mean_log_likelihoods, states_behind_cache
from workbench.embedders.config import GEMConfig
from workbench.embedders.gem import GEM, read_marked
from workbench.objectives import IGNORED, log_likelihoods, reconstruction_loss

TEXTS = ["What is gold?", "Tell me about the guitar that has six strings and a long neck.", "Why?"]


@pytest.fixture(scope="module")
def make_gem(make_tiny):
    """A GEM embedder whose update does something, with a chat template or (GPT-2) without."""

    def make(family):
        embedder = GEM.untrained(make_tiny(family), GEMConfig(n_special=3, lora_rank=2, max_length=64))
        draw = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for up in embedder.module.update.up.values():
                up.normal_(0, 0.3, generator=draw)
        return embedder

    return make


def test_chunks_hold_so_many_logits_and_on_a_gpu_a_sixteenth_of_a_large_batch(tiny_backbone, monkeypatch):
    monkeypatch.setattr(likelihood, "LOGITS_AT_ONCE", 10 * tiny_backbone.vocab_size)
    assert likelihood.chunk_of(tiny_backbone, 16_000) == 10
    gpu = elsewhere(tiny_backbone, "cuda", 0, monkeypatch)
    assert [likelihood.chunk_of(gpu, positions) for positions in (16, 16_000)] == [10, 1_000]


def behind(backbone, cache, ids):
    """The likelihoods of rows of ids behind their caches, padded on the right as they need it."""
    batch = backbone.pad(ids, side="right")
    states = states_behind_cache(backbone, cache.keys_values, cache.last, cache.next_positions, batch.ids)
    return mean_log_likelihoods(backbone, states, batch.ids.masked_fill(~batch.mask, IGNORED))


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma3"])
def test_a_likelihood_behind_a_cache_is_what_greedy_generation_sees(make_gem, monkeypatch, family):
    """Generation takes the likeliest token in each step; its log-likelihood there is noted down."""
    embedder, seen = make_gem(family), []
    choose = generation.choose

    def note(logits, temperature, uniform):
        seen.append(float(logits.log_softmax(dim=-1).max()))
        return choose(logits, temperature, uniform)

    monkeypatch.setattr(generation, "choose", note)
    for text in TEXTS:
        seen.clear()
        cache = embedder.represent([text]).special_cache
        with embedder.language_model() as backbone:
            kept = (cache.keys_values, cache.last, cache.next_positions)
            [ids] = backbone.generate_behind(*kept, max_new_tokens=9)
            closed = [*ids, backbone.eos_ids[0]] if len(ids) < 9 else ids
            found = behind(backbone, cache, [closed])
        assert len(ids) >= 3, "the longer, the more there is to see"
        assert float(found) == pytest.approx(sum(seen[: len(closed)]) / len(closed), abs=1e-5)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_likelihood_behind_a_cache_is_that_of_one_pass_under_the_bottleneck(make_gem, family):
    """Text, special tokens, the answer's opening and the answer in a single row, and no cache at all."""
    embedder = make_gem(family)
    backbone, k = embedder.backbone, 3
    answers = backbone.tokenizer(["A metal.", "It is the capital of France.", "No"])["input_ids"]
    cache = embedder.represent(TEXTS).special_cache
    with torch.no_grad(), embedder.language_model():
        found = behind(backbone, cache, answers)
        for row, text in enumerate(TEXTS):
            [before] = embedder.tokenize([text]).ids
            opening = backbone.answer_opening
            whole = torch.tensor([[*before, *[0] * k, *opening, *answers[row]]])
            special = torch.zeros_like(whole, dtype=torch.bool)
            special[:, len(before) : len(before) + k] = True
            states = read_marked(backbone, embedder.module.tokens, whole, special, torch.ones_like(special))
            logits = backbone.logits(states.last)[0, -len(answers[row]) - 1 : -1].log_softmax(dim=-1)
            wanted = logits[range(len(answers[row])), answers[row]].mean()
            assert float(found[row]) == pytest.approx(float(wanted), abs=1e-4)


def test_one_token_without_an_opening_is_predicted_from_the_state_that_ends_the_cache(make_gem):
    embedder = make_gem("gpt2")
    cache = embedder.represent(TEXTS[:2]).special_cache
    with embedder.language_model() as backbone:
        assert backbone.answer_opening == []
        logs = backbone.logits(cache.last).log_softmax(dim=-1)
        torch.testing.assert_close(behind(backbone, cache, [[5], [7]]), logs[[0, 1], [5, 7]])


def test_log_likelihoods_are_the_loss_token_by_token():
    """Two of four positions are labelled. Head = identity: softmax of (0, 0) is 1/2, of (log 3, 0) it is 3/4, 1/4."""
    hidden = torch.tensor([[[0.0, 0.0], [9.0, 9.0]], [[3.0, 1.0], [0.0, 0.0]]]).log1p()
    hidden[1, 0] = torch.tensor([3.0, 1.0]).log()
    hidden[0, 0] = 0
    labels = torch.tensor([[0, IGNORED], [1, IGNORED]])
    for chunk in (1, 2, 5):
        found = log_likelihoods(hidden, labels, lambda states: states, chunk=chunk)
        torch.testing.assert_close(found, torch.tensor([[0.5, 1.0], [0.25, 1.0]]).log())
    loss = reconstruction_loss(hidden, labels, lambda states: states)
    torch.testing.assert_close(loss, -found.sum() / 2)
    nothing = log_likelihoods(
        hidden, torch.full_like(labels, IGNORED), lambda _: pytest.fail("asked"), chunk=1
    )
    assert nothing.tolist() == [[0, 0], [0, 0]]
