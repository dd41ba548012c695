"""The media of badges: what each keeps, pairs against slow references, levels, and whose reference is whose."""

import json

import numpy as np
import pytest
import torch

from workbench.decoding import reference as references
from workbench.decoding.badge import Judge
from workbench.decoding.decode import decode
from workbench.decoding.figures import Foils, embed_documents, figures
from workbench.decoding.lift import read_vectors
from workbench.decoding.likelihood import cache_likelihood, text_likelihood
from workbench.decoding.media import SpecialTokens, ThroughLifter, medium_of
from workbench.decoding.medium import Cached
from workbench.decoding.reference import Reference, calibrate, load_reference
from workbench.decoding.trust import cosines, read
from workbench.embedders.config import GEMConfig, LifterConfig, LLM2VecGenConfig
from workbench.embedders.gem import GEM
from workbench.embedders.lifter import Lifter
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.errors import FingerprintMismatch, UsageError, WorkbenchError
from workbench.files import shipped, write_json

WORDS = ("gold", "lion", "river", "city", "guitar", "friend", "picture", "number")
TEXTS = [f"{start} {word}?" for word in WORDS for start in ("What is a", "Tell me about the", "Who has a")]
SAID = ["The capital of France is Paris.", "", "Gold is a metal.", "The capital of France is Paris."]


def lifter_for(embedder, seed=1):
    """A lifter that starts at the embedder's vectors and answers differently to each of them."""
    backbone = embedder.backbone
    lifter = Lifter(
        LifterConfig(dimension=embedder.dimension, n_prompts=3, size=backbone.hidden_size, width=16), seed
    )
    encoding = embedder.represent(TEXTS)
    lifter.start(encoding.embedding, torch.randn(4, 3, 32, generator=torch.Generator().manual_seed(seed)))
    with torch.no_grad():
        lifter.outer.weight.mul_(20)
    return lifter


@pytest.fixture(scope="module")
def llm2vec(tiny_backbone):
    return LLM2VecGen.untrained(tiny_backbone, LLM2VecGenConfig(n_compression=3, dimension=16, max_length=64))


@pytest.fixture(scope="module")
def gem(make_tiny):
    """On a backbone of its own, with an update that changes what it says."""
    embedder = GEM.untrained(make_tiny("llama"), GEMConfig(n_special=2, lora_rank=2, max_length=64))
    with torch.no_grad():
        for up in embedder.module.update.up.values():
            up.normal_(0, 0.3, generator=torch.Generator().manual_seed(0))
    return embedder


@pytest.fixture(scope="module")
def media(llm2vec, gem):
    return {
        "soft prompts": medium_of(llm2vec),
        "lifter": medium_of(llm2vec, lifter_for(llm2vec)),
        "special tokens": medium_of(gem),
        "lifter of GEM": medium_of(gem, lifter_for(gem)),
    }


@pytest.fixture(scope="module")
def judges(media):
    made = {name: calibrate(medium, TEXTS) for name, medium in media.items()}
    return {name: Judge(medium, made[name]) for name, medium in media.items()}


NEW = ("lifter", "special tokens", "lifter of GEM")


def row(kept, number):
    return kept[[number]]


def test_an_embedder_is_read_through_what_it_keeps(llm2vec, gem, media):
    assert [media[name].name for name in media] == ["soft prompts", "lifter", "special tokens", "lifter"]
    assert [media[name].ships_as for name in media] == ["default", "llm2vec-gen-lifter", "gem", "gem-lifter"]
    assert medium_of(media["lifter"]) is media["lifter"]
    encoding = gem.represent(TEXTS[:2])
    kept = media["special tokens"].represent(TEXTS[:2])
    assert torch.equal(kept.cache.keys_values, encoding.special_cache.keys_values)
    assert torch.equal(kept.embedding, encoding.embedding)
    assert torch.equal(media["lifter"].represent(TEXTS[:2]), llm2vec.represent(TEXTS[:2]).embedding)


def test_a_reading_hands_over_what_its_badge_needs(llm2vec, gem):
    reading = read(gem, TEXTS[:2], max_new_tokens=5)
    assert isinstance(reading.kept, Cached)
    assert SpecialTokens(gem).decode(reading.kept, max_new_tokens=5) == reading.decoded
    reading = read(llm2vec, TEXTS[:2], max_new_tokens=5)
    assert decode(llm2vec, reading.kept, max_new_tokens=5) == reading.decoded


def test_blocks_of_a_cache_hold_a_token_each(gem):
    """Number `[layer, key or value, head, i]` of a special token stands at its place in a row of 2 x 2 x 2 x 8."""
    medium = SpecialTokens(gem)
    kept = medium.represent(TEXTS[:3])
    whole, cache = medium.vectors(kept), kept.cache.keys_values
    layers, _, heads, n, size = cache.shape[1:]
    assert whole.shape == (3, n, layers * 2 * heads * size)
    for token in range(n):
        at = ((1 * 2 + 0) * heads + 1) * size + 5
        assert torch.equal(whole[:, token, at], cache[:, 1, 0, 1, token, 5])
        assert torch.equal(medium.blocks(kept)[:, token, heads * size + 5], cache[:, 1, 1, 0, token, 5])
    again = medium.with_vectors(kept, whole)
    assert torch.equal(again.cache.keys_values, cache)
    doubled = medium.with_vectors(kept, whole * 2)
    assert torch.equal(doubled.cache.keys_values, cache * 2)
    assert torch.equal(doubled.embedding, kept.embedding)
    assert torch.equal(kept[[2, 0]].cache.next_positions, kept.cache.next_positions[[2, 0]])


def test_values_stay_where_keys_turn(gem):
    """The first layer's special tokens have seen nothing: their values are the same behind any text, keys are not."""
    cache = gem.represent(["Gold?", "Tell me about the river that flows through the city."]).special_cache
    first = cache.keys_values[:, 0]
    torch.testing.assert_close(first[0, 1], first[1, 1])
    assert not torch.allclose(first[0, 0], first[1, 0], atol=0.01)


def test_a_lifter_reads_with_the_plain_backbone(media, gem):
    """Decodings are those of `read_vectors`; likelihoods those behind the lifted prompts, without GEM's update."""
    medium = media["lifter of GEM"]
    vectors = gem.represent(TEXTS[:4]).embedding
    wanted = read_vectors(gem, medium.lifter, vectors, max_new_tokens=6)
    assert medium.decode(vectors, max_new_tokens=6) == wanted.decoded
    prompts = medium.lifter.lift(vectors)
    plain = text_likelihood(gem.backbone, prompts, SAID)
    np.testing.assert_allclose(medium.likelihood(vectors, SAID), plain, atol=1e-5)
    with gem.language_model() as tuned:
        assert not np.allclose(text_likelihood(tuned, prompts, SAID), plain, atol=0.01)


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_a_likelihood_behind_special_tokens_depends_on_its_own_pair_alone(gem, batch_size):
    """Against each pair on its own: neither other texts, their padding nor how long their queries are plays a part."""
    queries = [TEXTS[0], "Why?", "Tell me about the river that flows through the city of Paris.", TEXTS[4]]
    cache = gem.represent(queries).special_cache
    with gem.language_model() as backbone:
        found = cache_likelihood(backbone, cache, SAID, batch_size=batch_size)
        alone = [
            cache_likelihood(backbone, gem.represent([query]).special_cache, [text])[0]
            for query, text in zip(queries, SAID, strict=True)
        ]
        np.testing.assert_allclose(found, alone, atol=1e-4)
        assert len({round(float(value), 3) for value in found}) == len(found)
        with pytest.raises(UsageError, match="4 caches of special tokens, but 3 texts"):
            cache_likelihood(backbone, cache, SAID[:3])


def test_a_text_beyond_the_window_loses_its_tail(make_tiny):
    backbone = make_tiny("gpt2", n_positions=24)
    embedder = GEM.untrained(backbone, GEMConfig(n_special=2, lora_rank=2, max_length=64))
    cache = embedder.represent(["a b", "a b " * 40]).special_cache
    with embedder.language_model():
        found = cache_likelihood(backbone, cache, ["gold " * 40, "gold"])
        room = 24 - int(cache.next_positions[0])
        ids = backbone.tokenizer("gold " * 40)["input_ids"][:room]
        short = cache_likelihood(backbone, cache[[0]], [backbone.detokenize([ids])[0]])
    assert np.isfinite(found).all()
    assert int(cache.next_positions[1]) == 24, "the longest query leaves room for no token but the first"
    assert found[0] == pytest.approx(short[0], abs=1e-4), "both end where the window does"


@pytest.mark.parametrize("name", NEW)
def test_figures_are_the_pairs_against_the_foils(media, name):
    """Pair by pair: cosines of the vectors themselves, and the gap one likelihood at a time."""
    medium = media[name]
    kept, others = medium.represent(TEXTS[:4]), medium.represent(TEXTS[5:7])
    foils = Foils(others, embed_documents(medium.embedder, ["gold", "a lion"]))
    found = figures(medium, foils, kept, SAID)
    vectors = medium.embedder.represent(TEXTS[:4]).embedding.numpy()
    again = embed_documents(medium.embedder, SAID)
    np.testing.assert_allclose(found.cosine, np.diagonal(cosines(vectors, again)), atol=1e-5)
    np.testing.assert_allclose(found.null, cosines(vectors, foils.embeddings).mean(axis=1), atol=1e-5)
    for number, text in enumerate(SAID):
        own = medium.likelihood(row(kept, number), [text])[0]
        behind = np.mean([medium.likelihood(row(others, foil), [text])[0] for foil in range(2)])
        assert found.gap[number] == pytest.approx(own - behind, abs=1e-4)


@pytest.mark.parametrize("name", NEW)
def test_a_badge_depends_on_its_own_pair_alone(media, judges, name):
    medium, judge = media[name], judges[name]
    kept = medium.represent(TEXTS[:5])
    texts = medium.decode(kept, max_new_tokens=12)
    together = judge.badges(kept, texts)
    for number, one in enumerate(together):
        [alone] = judge.badges(row(kept, number), texts[number : number + 1])
        assert alone.level == one.level
        assert list(alone.to_dict().values())[:3] == pytest.approx(list(one.to_dict().values())[:3], abs=2e-3)
    assert judge.badges(kept[:0], []) == []


@pytest.mark.parametrize("name", NEW)
def test_levels_are_what_the_figures_say(media, judges, name):
    """Known texts are on the manifold, nearly all of them; lengthened and shortened vectors are not."""
    medium, judge = media[name], judges[name]
    kept = medium.represent(TEXTS)
    texts = medium.decode(kept, max_new_tokens=64)
    own = judge.badges(kept, texts)
    for badge in own:
        high = badge.score >= judge.reference.threshold and badge.cosine > badge.null
        near = "high" if high else "doubtful"
        assert badge.level == (near if max(badge.stretch, badge.outside) <= 1 else "off the manifold")
    assert sum(badge.level == "off the manifold" for badge in own) <= 1
    vectors = medium.vectors(kept)
    for strange in (vectors * 0.01, vectors * 100):
        made = medium.with_vectors(kept, strange)
        assert {badge.level for badge in judge.badges(made, texts)} == {"off the manifold"}


def test_a_lifted_vector_is_judged_by_its_own_length_and_direction(media, judges):
    """By hand from the known vectors: log norms in standard deviations; a lifter reads both vectors alike."""
    medium, judge = media["lifter"], judges["lifter"]
    kept = medium.represent(TEXTS)
    logs = kept[: len(TEXTS) // 2].norm(dim=1).log()
    [badge, longer] = judge.badges(kept[[3, 3]] * torch.tensor([[1.0], [3.0]]), ["gold", "gold"])
    for found, vector in ((badge, kept[3]), (longer, kept[3] * 3)):
        away = abs(float(vector.norm().log() - logs.mean())) / float(logs.std().clamp(min=0.01))
        assert found.stretch == pytest.approx(away / judge.reference.stretch_limit, rel=1e-3)
    assert longer.gap == pytest.approx(badge.gap, abs=1e-5)
    assert longer.cosine == pytest.approx(badge.cosine, abs=1e-5)
    [single] = judge.badges(kept[3].numpy(), ["gold"])
    assert single.to_dict() == pytest.approx(badge.to_dict(), abs=1e-3)


def test_a_reference_serves_its_own_medium_and_lifter_alone(media, judges, llm2vec, gem):
    known = {name: judge.reference for name, judge in judges.items()}
    assert known["lifter"].lifter == media["lifter"].lifter.fingerprint()
    refused = [
        ("lifter", known["soft prompts"], "its medium is soft prompts, but lifter is loaded"),
        ("soft prompts", known["lifter"], "its medium is lifter, but soft prompts is loaded"),
        ("lifter of GEM", known["special tokens"], "its medium is special tokens, but lifter is loaded"),
        ("special tokens", known["soft prompts"], "its embedder is"),
    ]
    for name, reference, said in refused:
        with pytest.raises(FingerprintMismatch, match=f"the reference of trust does not fit: {said}"):
            Judge(media[name], reference)
    other = ThroughLifter(llm2vec, lifter_for(llm2vec, seed=2))
    with pytest.raises(FingerprintMismatch, match="its lifter is"):
        Judge(other, known["lifter"])


def test_a_lifters_fingerprint_is_all_that_it_computes_with(llm2vec):
    lifter = lifter_for(llm2vec)
    before = lifter.fingerprint()
    assert lifter_for(llm2vec).fingerprint() == before
    lifter.spread.mul_(2)
    assert lifter.fingerprint() != before


def test_a_reference_says_its_medium_in_json_and_that_of_soft_prompts_stays_as_it_was(judges):
    for name, judge in judges.items():
        values = json.loads(judge.reference.to_json())
        assert Reference.from_json(judge.reference.to_json()) == judge.reference
        assert ("medium" in values, "lifter" in values) == (name != "soft prompts", "lifter" in name)


def test_the_shipped_reference_goes_back_to_its_own_bytes(tmp_path):
    file = shipped("trust", "default.json")
    made = Reference.from_json(file.read_text(encoding="utf-8"))
    assert (made.medium, made.lifter) == ("soft prompts", "")
    write_json(tmp_path / "again.json", made.to_dict())
    assert (tmp_path / "again.json").read_bytes() == file.read_bytes()


def test_each_medium_keeps_a_reference_of_its_own(media, judges, tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(references, "calibrate", lambda medium, texts: made.append(medium) or known[medium])
    known = {media[name]: judges[name].reference for name in media}
    said = []
    for _ in range(2):
        for name in media:
            found = load_reference(media[name], TEXTS, cache_dir=tmp_path, report=said.append)
            assert found == judges[name].reference
    assert made == list(media.values()), "the second time they are read"
    assert said[1] == "measuring once what trust means for this lifter, on 24 texts"
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    write_json(tmp_path / "trust" / "gem.json", judges["special tokens"].reference.to_dict())
    assert (
        load_reference(media["special tokens"], cache_dir=tmp_path / "none")
        == judges["special tokens"].reference
    )
    monkeypatch.setattr(references, "known_texts", lambda count: TEXTS * (count == 416))
    assert load_reference(media["lifter"], cache_dir=tmp_path) == judges["lifter"].reference


def test_what_does_not_fit_a_medium_is_refused(judges, gem):
    with pytest.raises(UsageError, match=r"lifter of shape \[2, 1, 7\] for 2 texts, not \[2, 1, 16\]"):
        judges["lifter"].badges(np.zeros((2, 7), np.float32), ["a", "b"])
    with pytest.raises(UsageError, match="needs a cache with its embeddings, not Tensor"):
        judges["special tokens"].badges(torch.zeros(1, 2, 32), ["a"])
    with pytest.raises(WorkbenchError, match="1 of 2 vectors are 0 or not finite, the first is number 1"):
        judges["lifter"].badges(torch.eye(16)[:2] * torch.tensor([[1.0], [0.0]]), ["a", "b"])
    cache = gem.represent(TEXTS[:2])
    with pytest.raises(ValueError, match="2 caches, but 1 embeddings"):
        Cached(cache.special_cache, cache.embedding[:1])
