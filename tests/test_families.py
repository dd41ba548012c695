"""Every decoder-only family goes the whole way: embed, train a step by both methods, decode, keep the bottleneck."""

import pytest
import torch

from workbench import decode, load_embedder
from workbench.backbone import Backbone
from workbench.embedders.config import GEMConfig, LLM2VecGenConfig
from workbench.embedders.gem import GEM
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.leakage import audit_backbone
from workbench.training import gem, llm2vec_gen
from workbench.training.config import LLM2VecGenTraining
from workbench.training.corpus import Corpus
from workbench.training.gem_config import GEMTraining

FAMILIES = (
    "llama", "qwen2", "qwen3", "mistral", "gemma2", "gemma3", "gpt2", "gpt_neox", "phi", "phi3", "olmo", "olmo2",
)  # fmt: skip
TEXTS = ["What is the capital of France?", "A lion", "Tell me about gold and about the guitar, please."]
CORPUS = Corpus(TEXTS, ["The capital of France is Paris.", "A lion is an animal.", "Gold is a metal."])
STEP = {"batch_size": 3, "warmup_steps": 0, "lr": 1e-2, "logging_steps": 1, "save_steps": 1}


def one_step(backbone: Backbone, method: str, output):
    """An embedder after one optimizer step, and how it started."""
    if method == "gem":
        shape = GEMConfig(n_special=3, lora_rank=2)
        recipe = GEMTraining(p=0.5, alpha=0.5, alpha_start=0, contrastive_lr=1e-2, **STEP)
        return gem.train(backbone, CORPUS, recipe, shape, output=output), GEM.untrained(backbone, shape)
    shape = LLM2VecGenConfig(n_compression=3, dimension=8)
    recipe = LLM2VecGenTraining(w_align=0.0, **STEP)
    return llm2vec_gen.train(backbone, CORPUS, recipe, shape, output=output), LLM2VecGen.untrained(
        backbone, shape
    )


@pytest.mark.parametrize("method", ["llm2vec-gen", "gem"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_goes_the_whole_way(make_tiny, tmp_path, family, method):
    backbone = make_tiny(family)
    before = {name: weight.clone() for name, weight in backbone.model.state_dict().items()}
    embedder, start = one_step(backbone, method, tmp_path / "run")
    assert all(torch.equal(weight, before[name]) for name, weight in backbone.model.state_dict().items())
    assert not torch.equal(embedder.module.tokens, start.module.tokens), "the step moved the special tokens"

    together = embedder.represent(TEXTS)
    alone = [embedder.represent([text]) for text in TEXTS]
    single = torch.cat([encoding.embedding for encoding in alone])
    torch.testing.assert_close(together.embedding, single, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(together.embedding[0], together.embedding[1], atol=1e-3), "texts differ"

    readable = "special_cache" if method == "gem" else "soft_prompts"
    batched = decode(embedder, getattr(together, readable), max_new_tokens=6)
    assert batched == [
        text for one in alone for text in decode(embedder, getattr(one, readable), max_new_tokens=6)
    ]
    again = load_embedder(tmp_path / "run", backbone=backbone)
    assert torch.equal(again.represent(TEXTS).embedding, together.embedding)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_bottleneck_holds_in_a_family(make_tiny, family):
    audit = audit_backbone(make_tiny(family))
    assert audit.passed, audit.summary()


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("family", ["llama", "qwen3", "gpt2"])
def test_tied_and_untied_embeddings_are_read_back_as_they_were(make_tiny, tmp_path, family, tied):
    backbone = make_tiny(family, tie_word_embeddings=tied)
    head, rows = backbone.model.get_output_embeddings().weight, backbone.model.get_input_embeddings().weight
    assert (head is rows) == tied
    embedder, _ = one_step(backbone, "llm2vec-gen", tmp_path / "run")
    states = torch.randn(4, backbone.hidden_size, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(backbone.logits(states), states @ head.T, atol=1e-4, rtol=1e-4)
    assert len(decode(embedder, embedder.represent(TEXTS).soft_prompts, max_new_tokens=4)) == 3


def test_every_eos_id_of_a_model_ends_its_text(make_tiny):
    """With all of the vocabulary but one id as EOS ids, nothing else can be said."""
    free = make_tiny("llama")
    said = free.generate(free.tokenize(TEXTS).ids, max_new_tokens=4)
    stops = [said[0][0], said[0][-1]]
    several = make_tiny("llama", eos_token_id=[free.eos_ids[0], *stops])
    assert set(several.eos_ids) >= {free.eos_ids[0], *stops}
    assert several.generate(several.tokenize(TEXTS).ids, max_new_tokens=4)[0] == []


@pytest.mark.parametrize("family", FAMILIES)
def test_bfloat16_stays_near_float32(save_tiny, tmp_path, family):
    embedder, _ = one_step(Backbone.load(str(save_tiny(family))), "llm2vec-gen", tmp_path / "run")
    exact = embedder.represent(TEXTS).embedding
    low = load_embedder(tmp_path / "run", dtype="bfloat16")
    assert low.backbone.dtype == torch.bfloat16
    found = low.represent(TEXTS)
    assert found.embedding.dtype == torch.float32
    assert torch.cosine_similarity(found.embedding, exact).min() > 0.95
    assert len(decode(low, found.soft_prompts, max_new_tokens=4)) == 3
