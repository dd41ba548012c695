"""Attribution: identities, each figure by a slow reference, gradients by differences, completeness, files."""

import numpy as np
import pytest
import torch
from causal_embedders import gem, llm2vec_gen

from workbench import decode
from workbench.embedders.gem import read_marked
from workbench.errors import UsageError
from workbench.lenses import attribution as module
from workbench.lenses.attribution import attribute_tokens, effects, explained, stand_ins
from workbench.lenses.attribution_map import AttributionMap
from workbench.lenses.kept import Kept, keep, keep_texts, log_likelihoods, read_text, say, turns_keys
from workbench.lenses.word_attribution import attribute, attribute_words, mean_row
from workbench.lenses.words import words_of

TEXT = "What is the capital of Japan?"
OTHERS = ["Tell me about gold.", "A lion", "Which instrument has six strings, then?"]
DECODED = "The lion eats gold."
MAKERS = [llm2vec_gen, gem]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2"])
def test_what_is_kept_is_what_the_embedder_decodes_from(make_tiny, make, family):
    embedder = make(make_tiny(family))
    kept, encoding = read_text(embedder, TEXT).kept, embedder.represent([TEXT])
    used = encoding.soft_prompts if encoding.soft_prompts is not None else encoding.special_cache
    if encoding.special_cache is None:
        torch.testing.assert_close(kept.states, used, atol=1e-5, rtol=1e-4)
    else:
        own = kept.states.permute(0, 2, 3, 4, 1, 5)
        torch.testing.assert_close(own, used.keys_values, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(kept.last, used.last, atol=1e-5, rtol=1e-4)
        assert kept.end == int(used.next_positions[0])
    ids = say(embedder, kept, 6)[0]
    assert embedder.backbone.detokenize([ids])[0] == decode(embedder, used, max_new_tokens=6)[0]


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_log_likelihoods_behind_soft_prompts(make_tiny, family):
    """One pass of the whole model, its logits through a log-softmax."""
    embedder = llm2vec_gen(make_tiny(family))
    kept = read_text(embedder, TEXT).kept
    ids = explained(embedder, kept, DECODED)
    inputs = torch.cat([kept.states, embedder.backbone.embed(torch.tensor([ids]))], dim=1)
    with torch.no_grad():
        logs = embedder.backbone.model(inputs_embeds=inputs).logits.log_softmax(dim=-1)[0]
        found = log_likelihoods(embedder, kept, ids)[0]
    for place, token in enumerate(ids):
        assert found[place] == pytest.approx(float(logs[kept.n - 1 + place, token]), abs=1e-4)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_log_likelihoods_behind_special_tokens(make_tiny, family):
    """One pass over text, special tokens, the answer's opening and the answer under the bottleneck mask."""
    embedder = gem(make_tiny(family))
    backbone, read = embedder.backbone, read_text(embedder, TEXT)
    ids = explained(embedder, read.kept, DECODED)
    whole = torch.tensor([[*read.ids, 0, 0, 0, *backbone.answer_opening, *ids]])
    special = torch.zeros_like(whole, dtype=torch.bool)
    special[0, len(read.ids) : len(read.ids) + 3] = True
    with torch.no_grad(), embedder.language_model():
        states = read_marked(backbone, embedder.module.tokens, whole, special, torch.ones_like(special)).last
        logs = backbone.logits(states)[0].log_softmax(dim=-1)
        found = log_likelihoods(embedder, read.kept, ids)[0]
    for place, token in enumerate(ids):
        wanted = logs[whole.shape[1] - len(ids) - 1 + place, token]
        assert found[place] == pytest.approx(float(wanted), abs=1e-4)


@pytest.mark.parametrize("make", MAKERS)
def test_identity_ablation_loses_nothing(make_tiny, make):
    embedder = make(make_tiny("llama"))
    kept = read_text(embedder, TEXT).kept
    same = kept.replaced([0, 1, 2], kept[[0, 0, 0]])
    lost = effects(embedder, kept, same, explained(embedder, kept, DECODED)).lost
    assert lost.abs().max() <= 1e-5


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("baseline", ["zero", "mean", "resample"])
def test_special_tokens_by_a_slow_reference(make_tiny, monkeypatch, make, baseline):
    """One special token at a time, replaced by hand; and no matter how many versions are read in one pass."""
    embedder = make(make_tiny("llama"))
    how = {"baseline": baseline, "reference": [*OTHERS, TEXT], "draws": 2, "decoded": DECODED}
    found = attribute_tokens(embedder, TEXT, **how)
    kept = read_text(embedder, TEXT).kept
    if baseline == "zero":
        others = [Kept(0 * kept.states, None if kept.last is None else 0 * kept.last, kept.end)]
    elif baseline == "mean":
        each = [read_text(embedder, text, end=kept.end or None).kept for text in OTHERS]
        last = None if kept.last is None else sum(one.last for one in each) / 3
        others = [Kept(sum(one.states for one in each) / 3, last, kept.end)]
    else:
        drawn = stand_ins(embedder, kept, TEXT, "resample", [*OTHERS, TEXT], 2)
        own = keep_texts(embedder, OTHERS, kept).states
        assert len({int((own - row).flatten(1).norm(dim=1).argmin()) for row in drawn.states}) == 2
        others = [drawn[row : row + 1] for row in range(2)]
    with torch.no_grad():
        base = log_likelihoods(embedder, kept, found.token_ids)[0]
        for token in range(3):
            total = 0
            for other in others:
                states = kept.states.clone()
                states[:, token] = other.states[:, token]
                last = other.last if token == 2 else kept.last
                version = Kept(states, last, kept.end)
                total = total + base - log_likelihoods(embedder, version, found.token_ids)[0]
            np.testing.assert_allclose(found.values[token], total / len(others), atol=1e-4)
        jointly = sum(base - log_likelihoods(embedder, other, found.token_ids)[0] for other in others)
    np.testing.assert_allclose(found.jointly, jointly / len(others), atol=1e-4)
    np.testing.assert_allclose(found.log_probs, base, atol=1e-5)
    monkeypatch.setattr(module, "READ_AT_ONCE", 1)
    np.testing.assert_allclose(attribute_tokens(embedder, TEXT, **how).values, found.values, atol=1e-5)


def test_a_moved_text_is_the_same_text(make_tiny):
    """Rotated keys depend on distances alone: GEM's cache at another position says the same there."""
    embedder = gem(make_tiny("llama"))
    near, far = read_text(embedder, TEXT).kept, read_text(embedder, TEXT, end=40).kept
    assert turns_keys(embedder.backbone)
    assert not torch.allclose(near.states, far.states, atol=1e-2)
    ids = explained(embedder, near, DECODED)
    with torch.no_grad():
        torch.testing.assert_close(
            log_likelihoods(embedder, far, ids), log_likelihoods(embedder, near, ids), atol=1e-4, rtol=1e-4
        )
    together = keep_texts(embedder, [TEXT, *OTHERS], far)
    torch.testing.assert_close(together.states[:1], far.states, atol=1e-4, rtol=1e-3)
    assert not turns_keys(make_tiny("gpt2"))


def test_gem_without_an_opening_reads_the_first_token_from_the_last_state(make_tiny):
    """GPT-2 has no chat template: only the last special token's state predicts the first token."""
    embedder = gem(make_tiny("gpt2"))
    found = attribute_tokens(embedder, TEXT, decoded=DECODED)
    assert np.abs(found.values[:2, 0]).max() < 1e-5
    assert abs(found.values[2, 0]) > 1e-3


@pytest.mark.parametrize("make", MAKERS)
def test_the_gradient_of_special_tokens_by_differences(make_tiny, make):
    """A small step from the text towards the baseline loses that share of the predicted effect."""
    embedder = make(make_tiny("llama"))
    found = attribute_tokens(
        embedder, TEXT, how="gradient", baseline="mean", reference=OTHERS, decoded=DECODED
    )
    kept, share = read_text(embedder, TEXT).kept, 1e-2
    other = stand_ins(embedder, kept, TEXT, "mean", OTHERS)
    last = None if kept.last is None else kept.last + share * (other.last - kept.last)
    near = Kept(kept.states + share * (other.states - kept.states), last, kept.end)
    away = Kept(
        kept.states - share * (other.states - kept.states),
        None if last is None else 2 * kept.last - last,
        kept.end,
    )
    rows = [0, 1, 2]
    forth = effects(embedder, kept, kept.replaced(rows, near[[0, 0, 0]]), found.token_ids).lost
    back = effects(embedder, kept, kept.replaced(rows, away[[0, 0, 0]]), found.token_ids).lost
    np.testing.assert_allclose(found.values, (forth - back) / (2 * share), atol=5e-3, rtol=2e-2)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("baseline", ["zero", "mean"])
def test_words_by_a_slow_reference(make_tiny, make, baseline):
    """Each word's rows are replaced by hand, one word at a time."""
    embedder = make(make_tiny("llama"))
    found = attribute_words(embedder, TEXT, how="ablation", baseline=baseline, decoded=DECODED)
    read = read_text(embedder, TEXT)
    words = words_of(embedder, read.ids)
    assert found.labels == words.labels == ["What", "is", "the", "capital", "of", "Japan", "?"]
    row = mean_row(embedder) if baseline == "mean" else torch.zeros(embedder.backbone.hidden_size)
    everything = embedder.backbone.embed(torch.arange(embedder.backbone.vocab_size)[None])[0]
    torch.testing.assert_close(mean_row(embedder), everything.mean(0), atol=1e-6, rtol=1e-4)
    with torch.no_grad():
        base = log_likelihoods(embedder, read.kept, found.token_ids)[0]
        for number in range(len(words.labels)):
            inputs = read.inputs.clone()
            inputs[0, torch.as_tensor(words.of == number)] = row
            lost = base - log_likelihoods(embedder, keep(embedder, inputs), found.token_ids)[0]
            np.testing.assert_allclose(found.values[number], lost, atol=1e-4)


@pytest.mark.parametrize("make", MAKERS)
def test_gradient_times_input_by_differences(make_tiny, make):
    embedder = make(make_tiny("llama"))
    found = attribute_words(embedder, TEXT, baseline="zero", steps=1, decoded=DECODED)
    read, share = read_text(embedder, TEXT), 1e-2
    words = words_of(embedder, read.ids)
    with torch.no_grad():
        for number in range(len(words.labels)):
            scale = torch.ones(1, len(read.ids), 1)
            scale[0, torch.as_tensor(words.of == number)] = share
            moved = torch.where(scale == share, read.inputs * share, 0.0)
            up, down = (
                log_likelihoods(embedder, keep(embedder, read.inputs + sign * moved), found.token_ids)[0]
                for sign in (1, -1)
            )
            np.testing.assert_allclose(found.values[number], (up - down) / (2 * share), atol=5e-3, rtol=2e-2)


@pytest.mark.parametrize("make", MAKERS)
def test_more_steps_are_more_complete(make_tiny, make):
    """Integrated gradients add up to what is lost at the baseline; one step need not."""
    embedder = make(make_tiny("llama"))
    errors = [
        attribute_words(embedder, "A lion", steps=steps, decoded="gold").completeness_error
        for steps in (1, 64)
    ]
    assert errors[1] < 0.05 < errors[0]


def test_the_decoded_tokens_are_the_embeddings_own(make_tiny):
    embedder = llm2vec_gen(make_tiny("llama"))
    found = attribute(embedder, TEXT, max_new_tokens=5)
    said = decode(embedder, embedder.represent([TEXT]).soft_prompts, max_new_tokens=5)[0]
    assert found.decoded == said
    assert len(found.tokens) <= 5
    given = attribute_tokens(embedder, TEXT, decoded=DECODED)
    assert given.token_ids[-1] == embedder.backbone.eos_ids[0]
    assert given.tokens[-1] == "<|end|>"
    assert embedder.backbone.detokenize([given.token_ids])[0] == DECODED == given.decoded
    again = attribute_tokens(embedder, TEXT, decoded=given.token_ids)
    np.testing.assert_array_equal(again.values, given.values)


def test_methods_by_name(make_tiny):
    embedder = llm2vec_gen(make_tiny("llama"))
    kinds = {
        "zero": ("special tokens", "ablation", "zero"),
        "mean": ("special tokens", "ablation", "mean"),
        "resample": ("special tokens", "ablation", "resample"),
        "gradient": ("words", "gradient", "mean"),
        "words": ("words", "ablation", "mean"),
    }
    for method, kind in kinds.items():
        found = attribute(embedder, TEXT, method, reference=OTHERS, steps=1, decoded="gold")
        assert (found.of, found.how, found.baseline) == kind


def test_completeness_by_hand():
    """Columns add up to [3, 1], jointly [2, -1] is lost: (1 + 2) / (2 + 1) = 1."""
    values = np.array([[1.0, 0.5], [2.0, 0.5]], dtype=np.float32)
    logs, jointly = np.zeros(2, np.float32), np.array([2.0, -1.0], dtype=np.float32)
    found = AttributionMap(
        "a", "b c", "words", ["x", "y"], ["b", "c"], [1, 2], values, logs, jointly, "ablation", "zero"
    )
    assert found.completeness_error == pytest.approx(1)
    frame = found.to_frame()
    assert frame[(frame.label == "y") & (frame.token == "b")].value.tolist() == [2.0]
    assert found.to_dict()["values"] == values.tolist()
    with pytest.raises(ValueError, match="1 rows and 2 tokens"):
        AttributionMap(
            "a", "b", "words", ["x"], ["b", "c"], [1, 2], values, logs, jointly, "ablation", "zero"
        )


def test_saved_and_loaded(make_tiny, tmp_path):
    found = attribute(llm2vec_gen(make_tiny("llama")), TEXT, "words", decoded=DECODED)
    loaded = AttributionMap.load(found.save(tmp_path / "map.parquet"))
    assert loaded.to_dict() == found.to_dict()
    assert loaded.values.dtype == found.values.dtype


def test_bad_input_is_refused(make_tiny):
    embedder = llm2vec_gen(make_tiny("llama"))
    for arguments, words in (
        ({"baseline": "mean", "reference": [TEXT, " "]}, "has none but this one"),
        ({"baseline": "resample", "draws": 0}, "draws must be at least 1"),
        ({"decoded": []}, "no token to explain"),
    ):
        with pytest.raises(UsageError, match=words):
            attribute_tokens(embedder, TEXT, **arguments)
    with pytest.raises(UsageError, match="steps must be at least 1"):
        attribute_words(embedder, TEXT, steps=0)
    with pytest.raises(UsageError, match="empty text"):
        attribute(embedder, "  ")
