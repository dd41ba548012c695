"""Hidden states and logits against the model's own forward; padding, cache, gradients, fingerprint."""

import pytest
import torch

from workbench.backbone import Backbone
from workbench.errors import UsageError

FAMILIES = ["llama", "qwen3", "gemma2", "gpt2"]
TEXTS = ["Paris", "What is the capital of Japan?", "A lion is an animal that eats meat.", "gold"]


def states(backbone, ids, side="left", **options):
    batch = backbone.pad(ids, side)
    found = backbone.hidden(backbone.embed(batch.ids), mask=batch.mask, positions=batch.positions, **options)
    return batch, found


def test_pad_by_hand(tiny_backbone):
    left = tiny_backbone.pad([[7, 8, 9], [5]])
    pad = tiny_backbone.pad_id
    assert left.ids.tolist() == [[7, 8, 9], [pad, pad, 5]]
    assert left.mask.tolist() == [[True, True, True], [False, False, True]]
    assert left.positions.tolist() == [[0, 1, 2], [0, 0, 0]]
    right = tiny_backbone.pad([[7, 8, 9], [5]], side="right")
    assert right.ids.tolist() == [[7, 8, 9], [5, pad, pad]]
    assert right.mask.tolist() == [[True, True, True], [True, False, False]]
    assert right.positions.tolist() == [[0, 1, 2], [0, 0, 0]]
    assert tiny_backbone.pad([]).ids.shape == (0, 0)


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()  # with gradients our kernel is another one than the model's, and the last digits differ
def test_logits_equal_the_models_own(make_tiny, family):
    backbone = make_tiny(family)
    ids = backbone.tokenize(TEXTS).ids
    for row in ids:  # unpadded and without any option of ours: the family's plain forward
        _, found = states(backbone, [row])
        assert torch.equal(backbone.logits(found.last), backbone.model(torch.tensor([row])).logits)
    flat = backbone.logits(found.last[0, -1])
    assert flat.shape == (backbone.vocab_size,)
    torch.testing.assert_close(flat, backbone.logits(found.last)[0, -1], atol=1e-6, rtol=0)


def test_gemma2_logits_are_capped(make_tiny):
    backbone = make_tiny("gemma2", final_logit_softcapping=0.5)
    _, found = states(backbone, [[4, 5, 6]])
    bare = backbone.model.lm_head(found.last)
    assert bare.abs().max() > 0.5  # the cap matters here
    torch.testing.assert_close(backbone.logits(found.last), 0.5 * torch.tanh(bare / 0.5))


@torch.no_grad()
def test_a_family_that_scales_its_logits(tiny_backbone):
    import transformers as hf

    tokenizer = tiny_backbone.tokenizer
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    config = hf.GraniteConfig(
        **shape, vocab_size=len(tokenizer), logits_scaling=4.0, embedding_multiplier=3.0
    )
    config.eos_token_id, config.pad_token_id = tokenizer.eos_token_id, tokenizer.pad_token_id
    backbone = Backbone.wrap(hf.GraniteForCausalLM(config), tokenizer)
    _, found = states(backbone, [[4, 5, 6]])
    assert torch.equal(backbone.logits(found.last), backbone.model(torch.tensor([[4, 5, 6]])).logits)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("family", FAMILIES)
def test_padding_and_company_do_not_matter(make_tiny, family, side):
    backbone = make_tiny(family)
    ids = backbone.tokenize(TEXTS).ids
    batch, found = states(backbone, ids, side)
    assert found.last.isfinite().all()
    for row, single in enumerate(ids):
        alone = states(backbone, [single])[1].last[0]
        torch.testing.assert_close(found.last[row][batch.mask[row]], alone, atol=2e-5, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_reading_behind_a_cache_equals_reading_at_once(make_tiny, family):
    backbone = make_tiny(family)
    ids = backbone.tokenize(TEXTS).ids
    batch, whole = states(backbone, ids)
    embeds = backbone.embed(batch.ids)
    first = backbone.hidden(
        embeds[:, :-3], mask=batch.mask[:, :-3], positions=batch.positions[:, :-3], use_cache=True
    )
    rest = backbone.hidden(
        embeds[:, -3:], mask=batch.mask, positions=batch.positions[:, -3:], cache=first.cache, use_cache=True
    )
    real = batch.mask[:, -3:]
    torch.testing.assert_close(rest.last[real], whole.last[:, -3:][real], atol=2e-5, rtol=0)
    assert rest.cache.get_seq_length() == embeds.shape[1]


def test_gradients_reach_the_input_and_no_weight(make_tiny):
    backbone = make_tiny("llama")
    assert not backbone.model.training
    batch = backbone.pad(backbone.tokenize(TEXTS).ids)
    embeds = backbone.embed(batch.ids).requires_grad_()
    found = backbone.hidden(embeds, mask=batch.mask, positions=batch.positions)
    backbone.logits(found.last[batch.mask]).logsumexp(-1).sum().backward()
    assert embeds.grad is not None
    assert embeds.grad[batch.mask].abs().sum(-1).min() > 0
    assert embeds.grad[~batch.mask].abs().max() == 0  # nothing flows into padding
    assert all(weight.grad is None and not weight.requires_grad for weight in backbone.model.parameters())


def test_the_head_shares_its_weights_and_leaves_the_model_alone(make_tiny):
    backbone = make_tiny("llama")
    names = list(backbone.model._modules)
    before = backbone.logits(torch.ones(1, 32))
    assert list(backbone.model._modules) == names
    assert type(backbone.model.model).__name__ == "LlamaModel"
    backbone.model.lm_head.weight.data.mul_(2)
    torch.testing.assert_close(backbone.logits(torch.ones(1, 32)), 2 * before)


@pytest.mark.parametrize("family", FAMILIES)
def test_eager_attention_returns_weights_and_is_undone(make_tiny, family):
    backbone = make_tiny(family)
    before = backbone.model.config._attn_implementation
    with backbone.eager_attention():
        assert backbone.model.config._attn_implementation == "eager"
        output = backbone.model(torch.tensor([[4, 5, 6]]), output_attentions=True)
        torch.testing.assert_close(output.attentions[0].sum(-1), torch.ones(1, 4, 3))
    assert backbone.model.config._attn_implementation == before
    with pytest.raises(TypeError), backbone.eager_attention():
        len(0)  # type: ignore[arg-type]
    assert backbone.model.config._attn_implementation == before


def test_fingerprint_follows_the_weights_not_the_place(tmp_path, tiny_backbone_dir, make_tiny):
    memory = make_tiny("llama")
    saved = Backbone.load(str(tiny_backbone_dir), device="cpu")
    half = Backbone.load(str(tiny_backbone_dir), device="cpu", dtype="bfloat16")
    parts = memory.fingerprint()
    assert sorted(parts) == ["backbone", "config", "revision", "template", "tokenizer", "weights"]
    for part in ("config", "weights", "tokenizer", "template"):
        assert parts[part] == saved.fingerprint()[part] == half.fingerprint()[part], part
    assert make_tiny("llama", 1).fingerprint()["weights"] != parts["weights"]
    assert make_tiny("gpt2").fingerprint()["config"] != parts["config"]
    memory.tokenize(["x"], max_length=5)
    memory.tokenizer(["x", "longer"], padding=True, truncation=True, max_length=1)
    assert (
        make_tiny("llama").fingerprint()["tokenizer"]
        == Backbone.wrap(memory.model, memory.tokenizer).fingerprint()["tokenizer"]
    )


def test_tied_weights_count_once(make_tiny, tmp_path):
    backbone = make_tiny("llama", tie_word_embeddings=True)
    backbone.model.save_pretrained(tmp_path)
    backbone.tokenizer.save_pretrained(tmp_path)
    loaded = Backbone.load(str(tmp_path), device="cpu")
    assert loaded.fingerprint()["weights"] == backbone.fingerprint()["weights"]
    assert loaded.respond(TEXTS, max_new_tokens=8) == backbone.respond(TEXTS, max_new_tokens=8)


def test_eos_ids_come_from_the_model_and_its_template(make_tiny):
    llama, gpt2 = make_tiny("llama"), make_tiny("gpt2")
    assert llama.eos_ids == (llama.tokenizer.convert_tokens_to_ids("<|end|>"),)
    assert gpt2.eos_ids == (gpt2.tokenizer.eos_token_id,) == (gpt2.pad_id,)
    both = make_tiny("llama", eos_token_id=[2, 3])
    assert both.eos_ids == (3, 2)  # what closes an answer stands first


def test_sizes(make_tiny):
    for family in FAMILIES:
        backbone = make_tiny(family)
        found = (backbone.hidden_size, backbone.vocab_size, backbone.max_length)
        assert found == (32, backbone.model.config.vocab_size, 512)
        assert (backbone.dtype, backbone.device) == (torch.float32, torch.device("cpu"))


def test_vectors_of_another_size_are_refused(tiny_backbone):
    with pytest.raises(UsageError, match="size 31"):
        tiny_backbone.generate_from(torch.zeros(1, 2, 31))
