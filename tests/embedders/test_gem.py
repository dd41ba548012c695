"""GEM embedders: the bottleneck at work, batch and padding invariance, decoding from the special tokens alone."""

import pytest
import torch

from workbench import decode, load_embedder
from workbench.embedders.artifact import save
from workbench.embedders.config import GEMConfig
from workbench.embedders.gem import GEM, read_marked
from workbench.errors import FingerprintMismatch, UsageError, WorkbenchError
from workbench.masks import bottleneck_mask, to_additive

FAMILIES = ("llama", "qwen2", "qwen3", "mistral", "gemma2", "gpt2", "gpt_neox")
TEXTS = ["What is the capital of France?", "A lion", "Tell me about gold and about the guitar, please."]


def trained(backbone, **config) -> GEM:
    """An embedder whose update changes something."""
    embedder = GEM.untrained(backbone, GEMConfig(n_special=3, lora_rank=2, **config), seed=1)
    draw = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for weight in embedder.module.update.parameters():
            weight.add_(0.05 * torch.randn(weight.shape, generator=draw))
    return embedder


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("tuning", ["lora", "full"])
def test_the_suffix_sees_the_text_through_the_special_tokens_alone(make_tiny, family, tuning):
    """The states of a suffix, computed behind the kept cache, equal those of the whole sequence under the mask."""
    backbone = make_tiny(family)
    embedder = trained(backbone, tuning=tuning)
    encoding = embedder.represent(TEXTS)
    suffix = [7, 9, 11]
    for row, ids in enumerate(encoding.token_ids):
        whole = torch.tensor([[*ids, 0, 0, 0, *suffix]])
        special = torch.zeros_like(whole, dtype=torch.bool)
        special[0, len(ids) : len(ids) + 3] = True
        real = torch.ones_like(special)
        with torch.no_grad(), embedder.module.active(backbone), backbone.eager_attention():
            states = read_marked(backbone, embedder.module.tokens, whole, special, real).last[0]
            logits = backbone.logits(states)
        torch.testing.assert_close(
            encoding.embedding[row], states[len(ids) : len(ids) + 3].mean(0), atol=2e-5, rtol=1e-4
        )
        greedy = logits[-1].argmax()
        kept = encoding.special_cache
        from workbench.backbone.generation import Sampling, from_cache

        with embedder.language_model():
            new = from_cache(
                backbone, kept.keys_values[[row]], kept.last[[row]], kept.next_positions[[row]], suffix,
                Sampling(1), 8,
            )[0]  # fmt: skip
        assert new == ([] if int(greedy) in backbone.eos_ids else [int(greedy)])


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_text_alone_equals_the_text_in_a_batch(make_tiny, family):
    embedder = trained(make_tiny(family))
    together = embedder.represent(TEXTS)
    for row, text in enumerate(TEXTS):
        alone = embedder.represent([text])
        torch.testing.assert_close(alone.embedding[0], together.embedding[row], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(
            alone.special_cache.keys_values[0], together.special_cache.keys_values[row], atol=1e-5, rtol=1e-4
        )
        assert int(alone.special_cache.next_positions[0]) == len(alone.token_ids[0]) + 3
    batched = decode(embedder, together.special_cache, max_new_tokens=6)
    assert batched == [
        decode(embedder, embedder.represent([t]).special_cache, max_new_tokens=6)[0] for t in TEXTS
    ]


@pytest.mark.parametrize("tuning", ["lora", "full"])
def test_the_backbone_is_itself_again_behind_the_embedder(make_tiny, tuning):
    backbone = make_tiny("llama")
    before = {name: weight.clone() for name, weight in backbone.model.state_dict().items()}
    answers = backbone.respond(TEXTS, max_new_tokens=5)
    embedder = trained(backbone, tuning=tuning)
    decode(embedder, embedder.represent(TEXTS).special_cache, max_new_tokens=4)
    with embedder.language_model():
        tuned = backbone.respond(TEXTS, max_new_tokens=5)
        inside = embedder.represent(TEXTS).embedding
    assert torch.equal(inside, embedder.represent(TEXTS).embedding), (
        "the update counts once, however often opened"
    )
    assert backbone.respond(TEXTS, max_new_tokens=5) == answers
    assert tuned != answers
    for name, weight in backbone.model.state_dict().items():
        assert torch.equal(weight, before[name]), name


def test_a_full_update_that_learnt_nothing_changes_nothing(make_tiny):
    backbone = make_tiny("llama")
    fresh = GEM.untrained(backbone, GEMConfig(tuning="full"))
    with fresh.language_model():
        assert backbone.respond(TEXTS, max_new_tokens=5) == make_tiny("llama").respond(
            TEXTS, max_new_tokens=5
        )


@pytest.mark.parametrize("tuning", ["lora", "full"])
def test_a_saved_embedder_comes_back_the_same(make_tiny, tmp_path, tuning):
    backbone = make_tiny("llama")
    embedder = trained(backbone, tuning=tuning, pooling="concat")
    save(embedder, tmp_path / "gem")
    again = load_embedder(tmp_path / "gem", backbone=backbone)
    assert isinstance(again, GEM)
    ours, theirs = embedder.represent(TEXTS), again.represent(TEXTS)
    assert torch.equal(ours.embedding, theirs.embedding)
    assert ours.embedding.shape == (3, 3 * backbone.hidden_size)
    assert decode(again, theirs.special_cache, max_new_tokens=4) == decode(
        embedder, ours.special_cache, max_new_tokens=4
    )
    assert "special_cache" in (tmp_path / "gem" / "README.md").read_text()
    with pytest.raises(FingerprintMismatch):
        load_embedder(tmp_path / "gem", backbone=make_tiny("llama", seed=5))


def test_special_tokens_do_not_see_each_other_unless_they_may(make_tiny):
    backbone = make_tiny("llama")
    apart, together = trained(backbone), trained(backbone, specials_see_each_other=True)
    alone = GEM.untrained(backbone, GEMConfig(n_special=1, lora_rank=2))
    alone.module.update.load_state_dict(apart.module.update.state_dict())
    alone.module.tokens.data = apart.module.tokens.data[:1].clone()
    first = apart.represent(TEXTS).hidden_states[:, 0]
    torch.testing.assert_close(alone.represent(TEXTS).hidden_states[:, 0], first, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(apart.represent(TEXTS).embedding, together.represent(TEXTS).embedding)


def test_bad_input_is_refused(make_tiny):
    backbone = make_tiny("llama")
    embedder = trained(backbone)
    cache = embedder.represent(TEXTS).special_cache
    with pytest.raises(WorkbenchError, match="GEM embedder"):
        decode(backbone, cache)
    with pytest.raises(UsageError, match="n_special"):
        GEMConfig(n_special=0)
    assert embedder.encode([]).shape == (0, backbone.hidden_size)


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2"])
def test_a_chosen_layer_is_pooled_and_the_last_still_decodes(make_tiny, family):
    backbone = make_tiny(family)
    last, first = trained(backbone), trained(backbone, layer=1)
    text = last.represent(TEXTS[:1])
    ids = torch.tensor([[*text.token_ids[0], 0, 0, 0]])
    special = torch.zeros_like(ids, dtype=torch.bool)
    special[0, -3:] = True
    inputs = torch.where(special[:, :, None], 0, backbone.embed(ids))
    inputs[0, -3:] = first.module.tokens
    mask = to_additive(bottleneck_mask(special, torch.ones_like(special)), backbone.dtype)
    positions = torch.arange(ids.shape[1])[None]
    with torch.no_grad(), first.module.active(backbone):
        output = backbone.model.base_model(
            inputs_embeds=inputs, attention_mask=mask, position_ids=positions, output_hidden_states=True
        )
    found = first.represent(TEXTS[:1])
    wanted = output.hidden_states[1][0, -3:].mean(0)
    torch.testing.assert_close(found.embedding[0], wanted, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(found.embedding, text.embedding, atol=1e-3)
    assert torch.equal(found.special_cache.keys_values, text.special_cache.keys_values)
    assert torch.equal(found.special_cache.last, text.special_cache.last)


def test_a_layer_that_is_not_there_is_refused(make_tiny):
    embedder = trained(make_tiny("llama"), layer=99)
    with pytest.raises(UsageError, match=r"layer 99 is asked for, but .* has 2"):
        embedder.encode(TEXTS)
    with pytest.raises(UsageError, match="layer must be at least 1"):
        GEMConfig(layer=0)
