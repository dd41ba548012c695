"""Badges against slow references and hand-made figures: likelihood, manifold, score, levels."""

import json
import math

import numpy as np
import pytest
import torch

from workbench.decoding import reference as references
from workbench.decoding.badge import Judge
from workbench.decoding.decode import decode
from workbench.decoding.figures import Figures, Foils, embed_documents, figures, partners
from workbench.decoding.likelihood import text_likelihood
from workbench.decoding.manifold import Manifold
from workbench.decoding.media import medium_of
from workbench.decoding.reference import Reference, calibrate, known_texts, load_reference
from workbench.embedders.config import GEMConfig, LLM2VecGenConfig
from workbench.embedders.gem import GEM
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.embedders.pooled import MeanPool
from workbench.errors import FingerprintMismatch, UsageError, WorkbenchError
from workbench.files import write_json

WORDS = ("gold", "lion", "river", "city", "guitar", "friend", "picture", "number")
TEXTS = [f"{start} {word}?" for word in WORDS for start in ("What is a", "Tell me about the", "Who has a")]
DECODED = ["The capital of France is Paris.", "", "Gold is a metal."]


@pytest.fixture(scope="module")
def embedder(tiny_backbone):
    return LLM2VecGen.untrained(tiny_backbone, LLM2VecGenConfig(n_compression=3, dimension=16, max_length=64))


@pytest.fixture(scope="module")
def reference(embedder):
    return calibrate(embedder, TEXTS)


@pytest.fixture(scope="module")
def judge(embedder, reference):
    return Judge(embedder, reference)


def slow_likelihood(backbone, prompts, text):
    """The same sum token by token, each behind a pass of its own over all that stands before it."""
    ids = [*backbone.tokenizer(text, add_special_tokens=False)["input_ids"], backbone.eos_ids[0]]
    rows, total = backbone.embed(torch.tensor([ids]))[0], 0.0
    for place, token in enumerate(ids):
        inputs = torch.cat([prompts, rows[:place]])[None]
        with torch.no_grad():
            logits = backbone.model(inputs_embeds=inputs).logits[0, -1]
        total += float(logits[token] - logits.logsumexp(dim=0))
    return total / len(ids)


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2"])
def test_a_likelihood_is_that_of_token_after_token(make_tiny, family):
    backbone = make_tiny(family)
    prompts = torch.randn(3, 4, 32, generator=torch.Generator().manual_seed(0))
    wanted = [slow_likelihood(backbone, *pair) for pair in zip(prompts, DECODED, strict=True)]
    for batch_size in (1, 2, 64):
        found = text_likelihood(backbone, prompts, DECODED, batch_size=batch_size)
        np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_logits_in_chunks_are_the_same(tiny_backbone, monkeypatch):
    prompts = torch.randn(3, 4, 32, generator=torch.Generator().manual_seed(0))
    whole = text_likelihood(tiny_backbone, prompts, DECODED)
    monkeypatch.setattr("workbench.backbone.likelihood.LOGITS_AT_ONCE", 3 * tiny_backbone.vocab_size)
    np.testing.assert_allclose(text_likelihood(tiny_backbone, prompts, DECODED), whole, atol=1e-5)


def test_likelihoods_need_a_text_for_each_block(tiny_backbone):
    with pytest.raises(UsageError, match="2 blocks of soft prompts, but 1 texts"):
        text_likelihood(tiny_backbone, torch.zeros(2, 4, 32), ["a"])
    assert text_likelihood(tiny_backbone, torch.zeros(0, 4, 32), []).shape == (0,)


def test_figures_are_the_pairs_against_the_foils(embedder):
    """Pair by pair from the parts: cosines by numpy, likelihoods by the slow reference. The third text is the first."""
    blocks = embedder.represent(TEXTS[:3]).soft_prompts
    others = embedder.represent(TEXTS[5:7]).soft_prompts
    foils = Foils(others, embed_documents(embedder, ["gold", "a lion"]))
    texts = [DECODED[0], DECODED[2], DECODED[0]]
    found = figures(embedder, foils, blocks, texts)
    vectors = embedder.represent(TEXTS[:3]).embedding.numpy()
    np.testing.assert_allclose(medium_of(embedder).embedding(blocks), vectors, atol=1e-6)
    for row, text in enumerate(texts):

        def cosine(other, row=row):
            return vectors[row] @ other / np.linalg.norm(vectors[row]) / np.linalg.norm(other)

        own = slow_likelihood(embedder.backbone, blocks[row], text)
        behind = [slow_likelihood(embedder.backbone, foil, text) for foil in others]
        assert found.cosine[row] == pytest.approx(cosine(embedder.encode_document(text)), abs=1e-5)
        assert found.null[row] == pytest.approx(
            np.mean([cosine(foil) for foil in foils.embeddings]), abs=1e-5
        )
        assert found.gap[row] == pytest.approx(own - np.mean(behind), abs=1e-4)


def test_partners_are_the_next_rows_that_say_something_else():
    assert partners(["a", "a", "b", "c", "a"]) == [2, 2, 3, 4, 2]
    assert partners(["a", "a"]) == [0, 1]
    assert partners([]) == []


def test_a_manifold_by_hand():
    """Blocks of one token at (1, +-2, 0): center (1, 0, 0), one direction (0, 1, 0). All norms are sqrt(5)."""
    made = Manifold.of(torch.tensor([[[1.0, 2, 0]], [[1, -2, 0]]]))
    assert made.center.tolist() == [[1, 0, 0]]
    torch.testing.assert_close(made.directions.abs(), torch.tensor([[0.0, 1, 0]]))
    blocks = torch.tensor([[[1.0, 7, 0]], [[1, 0, 3]], [[3, 2, 0]]])
    torch.testing.assert_close(made.outside(blocks), torch.tensor([0.0, 1.0, 0.5]))


def test_stretch_by_hand():
    """Log norms 1 and 3 of the first token, 0 and 2 of the second: means 2 and 1, deviations sqrt(2)."""
    e = math.e
    made = Manifold.of(torch.tensor([[[e, 0], [0, 1.0]], [[0, e**3], [e**2, 0]]]))
    found = made.stretch(torch.tensor([[[e**2, 0], [e, 0]], [[e**4, 0], [0, e**5]], [[0.0, 0], [e, 0]]]))
    assert found[:2].tolist() == pytest.approx([0.0, (2 + 4) / 2 / 2**0.5], abs=1e-5)
    assert found[2] > 5
    assert torch.isfinite(found).all()


def test_the_score_by_hand(reference):
    """Margins 0.5 and 0.1 at mean 0.1 and spread 0.2 are 2 and 0; gaps 1 and -1 at mean 0, spread 0.5 are 2 and -2."""
    made = Reference(**{**reference.to_dict(), "margin": [0.1, 0.2], "gap": [0.0, 0.5]})
    found = Figures(np.array([0.7, 0.2]), np.array([0.2, 0.1]), np.array([1.0, -1.0]))
    np.testing.assert_allclose(made.score(found), [2.0, -1.0], atol=1e-9)


def test_a_reference_is_what_its_texts_say(embedder, reference):
    """Pairs of the 16 texts that are no foils: shuffled scores have mean 0, and one alone passes the threshold."""
    blocks = embedder.represent(TEXTS).soft_prompts
    decoded = decode(embedder, blocks, max_new_tokens=64)
    assert [decoded[row] for row in reference.foils] == reference.foil_texts
    assert max(reference.foils) < len(TEXTS) // 2
    rows = [row for row in range(len(TEXTS)) if row not in reference.foils]
    said = [decoded[row] for row in rows]
    foils = Foils(blocks[reference.foils], embed_documents(embedder, reference.foil_texts))
    found = figures(embedder, foils, blocks[rows], [said[row] for row in partners(said)])
    scores = reference.score(found)
    assert scores.mean() == pytest.approx(0, abs=1e-3)
    assert (scores > reference.threshold + 1e-3).sum() <= 1
    assert (scores >= reference.threshold - 1e-3).sum() >= 1
    assert reference.gap[0] == pytest.approx(found.gap.mean(), abs=1e-3)


def test_a_reference_goes_to_json_and_back(reference):
    again = Reference.from_json(json.dumps(reference.to_dict(), allow_nan=False))
    assert again == reference
    with pytest.raises(UsageError, match="no limits"):
        Reference.from_dict({**reference.to_dict(), "limits": 1})


def test_levels_are_what_the_figures_say(judge, embedder):
    """Known blocks are on the manifold; shorter, longer and random ones are not; a text of another makes no "high"."""
    blocks = embedder.represent(TEXTS).soft_prompts
    texts = decode(embedder, blocks, max_new_tokens=64)
    own = judge.badges(blocks, texts)
    assert all(badge.level != "off the manifold" for badge in own)
    noise = torch.randn(blocks.shape, generator=torch.Generator().manual_seed(0))
    for strange in (blocks * 0.25, blocks * 4, noise * blocks.norm(dim=-1).mean() / 32**0.5, blocks * 0):
        assert {badge.level for badge in judge.badges(strange, texts)} == {"off the manifold"}
    threshold = judge.reference.threshold
    for badge in own:
        assert max(badge.stretch, badge.outside) <= 1
        assert (badge.level == "high") == (badge.score >= threshold and badge.cosine > badge.null)
    assert {badge.level for badge in own} >= {"high"}


def test_no_likelihood_makes_up_for_a_cosine_below_its_null(judge):
    threshold = judge.reference.threshold
    assert judge._level(0.01, threshold + 1, 0.5, 0.5) == "high"
    assert judge._level(-0.01, threshold + 9, 0.5, 0.5) == "doubtful"
    assert judge._level(0.01, threshold - 1, 0.5, 0.5) == "doubtful"
    assert judge._level(0.01, threshold + 1, 1.1, 0.5) == "off the manifold"


def test_a_badge_depends_on_its_own_pair_alone(judge, embedder):
    blocks = embedder.represent(TEXTS[:7]).soft_prompts
    texts = decode(embedder, blocks, max_new_tokens=20)
    together = judge.badges(blocks, texts)
    for size in (1, 3):
        for one, other in zip(together, judge.badges(blocks, texts, batch_size=size), strict=True):
            assert one.level == other.level
            assert list(one.to_dict().values())[:6] == pytest.approx(
                list(other.to_dict().values())[:6], abs=2e-3
            )
    [alone] = judge.badges(blocks[4:5].numpy(), texts[4:5])
    assert alone.level == together[4].level
    assert (alone.cosine, alone.null, alone.gap) == pytest.approx(
        (together[4].cosine, together[4].null, together[4].gap), abs=1e-4
    )
    assert judge.badges(blocks[:0], []) == []


def test_what_gets_no_badge_is_refused(judge, reference, embedder, tiny_backbone):
    with pytest.raises(UsageError, match="mean-pool embedder has no soft prompts"):
        Judge(MeanPool(tiny_backbone), reference)
    with pytest.raises(FingerprintMismatch, match="the reference of trust"):
        Judge(GEM.untrained(tiny_backbone, GEMConfig(n_special=2, lora_rank=2)), reference)
    with pytest.raises(FingerprintMismatch, match="the reference of trust"):
        Judge(LLM2VecGen.untrained(tiny_backbone, embedder.config, seed=1), reference)
    with pytest.raises(UsageError, match="not \\[1, 3, 32\\]"):
        judge.badges(torch.zeros(2, 3, 32), ["a"])
    with pytest.raises(UsageError, match="at least 16 different texts, not 15"):
        calibrate(embedder, [*TEXTS[:15], TEXTS[0]])


def test_a_reference_is_made_once(embedder, tmp_path, monkeypatch):
    said = []
    made = load_reference(embedder, TEXTS, cache_dir=tmp_path, report=said.append)
    assert said == ["measuring once what trust means for this embedder, on 24 texts"]
    monkeypatch.setattr(references, "calibrate", lambda *_: pytest.fail("made again"))
    assert load_reference(embedder, TEXTS, cache_dir=tmp_path, report=said.append) == made
    assert len(said) == 1
    [file] = (tmp_path / "trust").iterdir()
    file.write_text("{}")
    with pytest.raises(WorkbenchError, match="is damaged; delete it"):
        load_reference(embedder, TEXTS, cache_dir=tmp_path)


def test_a_shipped_reference_serves_its_own_embedder_alone(embedder, tiny_backbone, tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    standard = calibrate(embedder, TEXTS)
    write_json(tmp_path / "trust" / "default.json", standard.to_dict())
    monkeypatch.setattr(references, "calibrate", lambda *_: pytest.fail("made again"))
    assert load_reference(embedder, cache_dir=tmp_path / "cache") == standard
    monkeypatch.setattr(references, "calibrate", calibrate)
    monkeypatch.setattr(references, "known_texts", lambda count: TEXTS)
    other = LLM2VecGen.untrained(tiny_backbone, embedder.config, seed=1)
    assert load_reference(other, cache_dir=tmp_path / "cache").embedder == other.fingerprint()
    (tmp_path / "trust" / "default.json").write_text("{}")
    with pytest.raises(WorkbenchError, match="is damaged"):
        load_reference(embedder, cache_dir=tmp_path / "cache")


def test_foils_say_different_things_where_they_can():
    assert references._foils(["a", "b", "a", "c"] * 4)[:4] == [0, 1, 2, 3]
    assert references._foils([*"aabcdefghij"]) == [0, 2, 3, 4, 5, 6, 7, 8]


@pytest.mark.slow
def test_the_known_texts_are_not_in_the_exam():
    from workbench.fieldguide.exam import read_exam
    from workbench.files import shipped

    texts = known_texts()
    assert len(set(texts)) == len(texts) == 104
    assert known_texts() == texts
    assert not set(texts) & {item.query for item in read_exam(shipped("fieldguide", "eval.jsonl"))}
