"""Patching: a text into itself stays as it is to the last bit, single states by hand; and verification's statistics."""

import dataclasses

import numpy as np
import pytest
import torch
from causal_embedders import gem, llm2vec_gen
from scipy.stats import spearmanr

from workbench import decode
from workbench.decoding.arithmetic import transplant
from workbench.errors import UsageError, WorkbenchError
from workbench.lenses.attribution import attribute_tokens
from workbench.lenses.attribution_map import AttributionMap
from workbench.lenses.kept import keep, log_likelihoods, read_text
from workbench.lenses.patching import PatchReading, _swapped, patch
from workbench.lenses.states import residual_stream, special_states
from workbench.lenses.verification import Verification, _samples, _shuffled, spearman, verify
from workbench.lenses.word_attribution import attribute, attribute_words

A, B = "What is the capital of Japan?", "Tell me about the guitar and the lion."
OTHERS = ["Tell me about gold.", "A lion", "Which instrument has six strings, then?"]


@pytest.mark.parametrize("make", [llm2vec_gen, gem])
@pytest.mark.parametrize("layer", [None, 1, 2])
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_text_patched_with_itself_stays_as_it_is(make_tiny, make, layer, family):
    embedder = make(make_tiny(family))
    for token in range(3):
        found = patch(embedder, A, A, token=token, layer=layer, max_new_tokens=5)
        assert found.before == found.after == found.source_decoded
        assert found.target_log_probs[0].tobytes() == found.target_log_probs[1].tobytes()
        assert found.moved == []
    encoding = embedder.represent([A])
    kept = encoding.soft_prompts if encoding.soft_prompts is not None else encoding.special_cache
    assert found.before == decode(embedder, kept, max_new_tokens=5)[0]
    assert not embedder.backbone.layers[0]._forward_hooks


def test_a_soft_prompt_moves_as_it_is_transplanted(make_tiny):
    embedder = llm2vec_gen(make_tiny("llama"))
    a, b = (embedder.represent([text]).soft_prompts[0] for text in (A, B))
    found = patch(embedder, A, B, token=1, max_new_tokens=6)
    assert found.label == "◆2"
    assert found.after == decode(embedder, transplant(b, a, [1]), max_new_tokens=6)[0]
    assert np.abs(found.target_change).max() > 1e-3
    assert found.source_decoded == decode(embedder, a, max_new_tokens=6)[0]


@pytest.mark.parametrize("make", [llm2vec_gen, gem])
def test_the_last_layer_is_what_is_projected(make_tiny, make):
    """Nothing reads a state behind the last block but the final norm: LLM2Vec-Gen's own soft prompt moves, of GEM's
    tokens only the last one's state, which predicts nothing behind an opening."""
    embedder = make(make_tiny("llama"))
    kept = patch(embedder, A, B, token=2, max_new_tokens=5)
    last = patch(embedder, A, B, token=2, layer=2, max_new_tokens=5)
    if make is llm2vec_gen:
        np.testing.assert_allclose(last.target_log_probs, kept.target_log_probs, atol=1e-4)
        np.testing.assert_allclose(last.source_log_probs, kept.source_log_probs, atol=1e-4)
    else:
        np.testing.assert_array_equal(last.target_change, 0)
        assert np.abs(kept.target_change).max() > 1e-4


def test_a_state_moves_into_its_layer_and_no_other(make_tiny):
    """Behind block 1, the first compression token of B has A's state; those before it stay, later ones see it."""
    embedder = llm2vec_gen(make_tiny("llama"))
    a, b = special_states(embedder, [A, B])
    read = read_text(embedder, B)
    swap = _swapped(embedder.backbone, 1, -3, a.states[1, 0])
    with torch.no_grad(), swap, residual_stream(embedder.backbone, last=4) as stream:
        keep(embedder, read.inputs)
    torch.testing.assert_close(stream[1][0, 1], a.states[1, 0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(stream[1][0, 2:], b.states[1, 1:], atol=1e-4, rtol=1e-4)
    assert not torch.allclose(stream[2][0, 2:], b.states[2, 1:], atol=1e-3)


def test_gems_keys_and_values_move_to_the_targets_positions(make_tiny):
    """The source, read where its special tokens end as the target's do: those keys and values stand in the version."""
    embedder = gem(make_tiny("llama"))
    found = patch(embedder, A, B, token=0, max_new_tokens=5)
    into = read_text(embedder, B).kept
    moved = read_text(embedder, A, end=into.end).kept
    states = into.states.clone()
    states[:, 0] = moved.states[:, 0]
    ids = embedder.backbone.tokenizer(found.before, add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        wanted = log_likelihoods(embedder, dataclasses.replace(into, states=states), ids)[0]
    if len(ids) == len(found.target_tokens):
        np.testing.assert_allclose(found.target_log_probs[1], wanted, atol=1e-4)
    assert read_text(embedder, A).kept.end != into.end


def test_what_moved_by_hand():
    logs = np.zeros((2, 1), np.float32)
    found = PatchReading(
        "a", "b", "◆1", None, "Peru has Lima, its capital.", "The capital of Kenya is Nairobi.",
        "This is Peru. The capital of Peru is Lima!", ["x"], ["y"], logs, logs,
    )  # fmt: skip
    assert found.moved == ["Peru", "Lima"]
    assert found.difference.shared < 1
    with pytest.raises(ValueError, match="1 tokens of the source"):
        dataclasses.replace(found, source_log_probs=np.zeros((2, 2), np.float32))


def test_a_patch_is_saved_and_loaded(make_tiny, tmp_path):
    found = patch(llm2vec_gen(make_tiny("llama")), A, B, token=0, layer=1, max_new_tokens=5)
    loaded = PatchReading.load(found.save(tmp_path / "patch.parquet"))
    assert loaded.to_dict() == found.to_dict()
    frame = found.to_frame()
    np.testing.assert_allclose(frame[frame["of"] == "source"].change, found.source_change)


def test_what_cannot_be_patched_is_refused(make_tiny):
    embedder = llm2vec_gen(make_tiny("llama"))
    with pytest.raises(UsageError, match="there is no ◆4: the special tokens are ◆1 to ◆3"):
        patch(embedder, A, B, token=3)
    with pytest.raises(UsageError, match="no layer 0 to patch: they are numbered 1 to 2"):
        patch(embedder, A, B, token=0, layer=0)
    with pytest.raises(UsageError, match="empty text"):
        patch(embedder, " ", B, token=0)


def test_spearman_is_scipys():
    draw = np.random.default_rng(0)
    a, b = draw.normal(size=50).round(1), draw.normal(size=50).round(1)  # with ties
    assert spearman(a, b) == pytest.approx(spearmanr(a, b).statistic)
    assert np.isnan(spearman(np.zeros(3), np.arange(3.0)))


def test_shuffles_stay_in_their_column():
    values, column = np.arange(12.0), np.tile([0, 1, 2], 4)
    mixed = _shuffled(values, column, np.random.default_rng(0))
    assert not np.array_equal(mixed, values)
    for number in range(3):
        assert sorted(mixed[column == number]) == sorted(values[column == number])


def test_texts_are_drawn_as_wholes():
    text = np.array([0, 0, 1, 1, 1])
    for rows in _samples(text, 2, np.random.default_rng(0))[:20]:
        counts = np.bincount(rows, minlength=5)
        assert counts[0] == counts[1]
        assert counts[2] == counts[3] == counts[4]


@pytest.mark.parametrize("make", [llm2vec_gen, gem])
def test_a_map_of_what_happens_is_confirmed_and_one_of_nothing_is_not(make_tiny, make):
    """Predictions that are the very effects have correlation 1; noise in their place lies inside the control."""
    embedder = make(make_tiny("llama"))
    maps = [attribute_tokens(embedder, text, reference=OTHERS, decoded="gold and lions") for text in (A, B)]
    real = [
        attribute_tokens(embedder, m.text, baseline="resample", reference=OTHERS, decoded=m.token_ids)
        for m in maps
    ]
    true = [dataclasses.replace(m, values=r.values) for m, r in zip(maps, real, strict=True)]
    found = verify(embedder, true, reference=OTHERS)
    assert found.correlation == pytest.approx(1)
    assert found.interval[1] == pytest.approx(1)
    assert found.control_interval[1] < 0.9
    np.testing.assert_allclose(found.real, np.concatenate([r.values.reshape(-1) for r in real]), atol=1e-6)
    draw = np.random.default_rng(1)
    noise = [dataclasses.replace(m, values=draw.normal(size=m.values.shape).astype(np.float32)) for m in maps]
    low, high = verify(embedder, noise, reference=OTHERS).control_interval
    assert low < verify(embedder, noise, reference=OTHERS).correlation < high


def test_words_are_verified_by_ablation(make_tiny, tmp_path):
    embedder = llm2vec_gen(make_tiny("llama"))
    found = verify(embedder, attribute(embedder, A, "gradient", steps=16, decoded="gold"))
    real = attribute_words(
        embedder, A, how="ablation", decoded=attribute(embedder, A, decoded="gold").token_ids
    )
    np.testing.assert_allclose(found.real, real.values.reshape(-1), atol=1e-5)
    assert found.label[: len(real.tokens)] == ["What"] * len(real.tokens)
    loaded = Verification.load(found.save(tmp_path / "verification.parquet"))
    assert loaded.to_dict() == found.to_dict()
    np.testing.assert_array_equal(loaded.predicted, found.predicted)
    assert f"{found.correlation:.3f}" in found.line()


def test_what_verifies_nothing_is_refused(make_tiny):
    embedder = llm2vec_gen(make_tiny("llama"))
    for method in ("resample", "words"):
        with pytest.raises(UsageError, match="is the intervention itself"):
            verify(embedder, attribute(embedder, A, method, reference=OTHERS, decoded="gold"))
    with pytest.raises(UsageError, match="one kind of map is verified at a time, not 0"):
        verify(embedder, [])
    flat = attribute(embedder, A, "zero", decoded="gold")
    flat = AttributionMap(**{**flat.__dict__, "values": 0 * flat.values})
    with pytest.raises(WorkbenchError, match="nothing to rank"):
        verify(embedder, flat, reference=OTHERS)
