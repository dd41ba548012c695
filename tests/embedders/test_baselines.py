"""Baselines against slow references: one text at a time, through the model itself, pooled by hand."""

import numpy as np
import pytest
import torch

from workbench.embedders.base import Embedder
from workbench.embedders.baselines import BASELINES, HyDE, HyDEConfig, TeacherEmbedder, load_baseline
from workbench.embedders.pooled import BaselineConfig, Echo, LastToken, MeanPool
from workbench.errors import UsageError, WorkbenchError

TEXTS = ["Paris", "A lion is an animal that eats meat.", "", "gold is a metal"]
QUICK = HyDEConfig(answers=3, max_new_tokens=6, temperature=1.5)


@pytest.fixture
def with_bos(make_tiny):
    """A backbone whose tokenizer puts a token of its own before every text."""
    from tokenizers import processors

    backbone = make_tiny("llama")
    tokenizer = backbone.tokenizer
    bos = tokenizer.convert_tokens_to_ids("<|user|>")
    tokenizer.bos_token = "<|user|>"
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<|user|> $A", special_tokens=[("<|user|>", bos)]
    )
    return type(backbone).wrap(backbone.model, tokenizer)


def states_of(backbone, ids):
    """The last hidden states of one unpadded text, by the model itself."""
    with torch.no_grad():
        return backbone.model.base_model(torch.tensor([ids])).last_hidden_state[0]


def plain(backbone, text):
    return backbone.tokenizer(text, add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2"])
def test_mean_pool_and_last_token_are_those_of_single_runs(make_tiny, family):
    backbone = make_tiny(family)
    mean, last = MeanPool(backbone), LastToken(backbone)
    found = [embedder.encode(TEXTS, batch_size=3) for embedder in (mean, last)]
    for row, text in enumerate(TEXTS):
        states = states_of(backbone, plain(backbone, text) or [backbone.eos_ids[0]])
        np.testing.assert_allclose(found[0][row], states.mean(0), atol=1e-5)
        np.testing.assert_allclose(found[1][row], states[-1], atol=1e-5)
    chat = LastToken(backbone, BaselineConfig(template="chat")).encode(TEXTS[1])
    ids = backbone.tokenize(TEXTS[1:2], template="chat").ids[0]
    np.testing.assert_allclose(chat, states_of(backbone, ids)[-1], atol=1e-5)


@pytest.mark.parametrize("family", ["llama", "gpt2", "with_bos"])
def test_echo_is_the_mean_over_the_second_occurrence(make_tiny, with_bos, family):
    """The prompt tokenized as a whole, and its last tokens, as many as the text has, averaged."""
    backbone = with_bos if family == "with_bos" else make_tiny(family)
    lead = [backbone.tokenizer.bos_token_id] if family == "with_bos" else []
    found = Echo(backbone).encode(TEXTS, batch_size=3)
    for row, text in enumerate(TEXTS):
        whole = plain(backbone, f"Rewrite the sentence: {text}, rewritten sentence: {text}")
        own = len(plain(backbone, f" {text}"))
        states = states_of(backbone, lead + whole)
        np.testing.assert_allclose(found[row], states[-own:].mean(0), atol=1e-5)
    prompt = Echo(backbone).tokenize(["gold"]).ids[0]
    assert backbone.detokenize([prompt]) == ["Rewrite the sentence: gold, rewritten sentence: gold"]
    assert prompt[: len(lead)] == lead


def test_every_token_that_echo_pools_has_seen_the_whole_text(tiny_backbone):
    """The last word changes all pooled states of Echo, and only the last ones of the mean pool."""
    pair = ["gold is a metal", "gold is a lion"]
    prompts = Echo(tiny_backbone).tokenize(pair).ids
    own = [len(plain(tiny_backbone, f" {text}")) for text in pair]
    first = [states_of(tiny_backbone, ids)[-n] for ids, n in zip(prompts, own, strict=True)]
    assert float((first[0] - first[1]).abs().max()) > 1e-3
    alone = [states_of(tiny_backbone, plain(tiny_backbone, f" {text}"))[0] for text in pair]
    torch.testing.assert_close(*alone)


def test_a_text_that_is_too_long_loses_its_tail_in_both_occurrences(tiny_backbone):
    text = "the river flows through the city"
    echo = Echo(tiny_backbone)
    around = len(echo.frame.opening) + len(echo.frame.middle)
    own = plain(tiny_backbone, " " + text)
    short = Echo(tiny_backbone, BaselineConfig(max_length=around + 2 * 3 + 1)).tokenize([text, " a"])
    assert short.cut == [True, False]
    assert short.ids[0] == [*echo.frame.opening, *own[:3], *echo.frame.middle, *own[:3]]
    for wrong in (BaselineConfig(max_length=around + 1), BaselineConfig(template="chat")):
        with pytest.raises(UsageError, match="twice"):
            Echo(tiny_backbone, wrong).tokenize([text])


@pytest.mark.parametrize("kind", [MeanPool, LastToken, Echo])
def test_neither_batch_nor_padding_changes_a_vector(tiny_backbone, kind):
    embedder = kind(tiny_backbone)
    together = embedder.encode(TEXTS, batch_size=4)
    for batch_size in (1, 2):
        np.testing.assert_allclose(embedder.encode(TEXTS, batch_size=batch_size), together, atol=1e-5)
    assert embedder.encode([]).shape == (0, 32)
    told = embedder.encode("gold", prompt="Tell me about")
    joined = embedder.encode("Tell me about gold")
    np.testing.assert_allclose(told, joined, atol=1e-5)
    np.testing.assert_array_equal(embedder.encode_query("gold"), embedder.encode("gold"))


def test_hyde_is_the_mean_over_a_query_and_its_sampled_answers(tiny_backbone, fake_teacher):
    """Equation 8: (f(q) + f(a_1) + ... + f(a_3)) / 4, the answers sampled one query at a time."""
    queries = ["What is the capital of France?", "Tell me about gold.", "A lion"]
    hyde = HyDE(tiny_backbone, fake_teacher, QUICK)
    found = hyde.encode_query(queries, batch_size=2)
    told = set()
    for row, query in enumerate(queries):
        answers = [
            tiny_backbone.respond([query], max_new_tokens=6, temperature=1.5, seed=seed)[0]
            for seed in range(3)
        ]
        told |= set(answers)
        wanted = fake_teacher.embed([query, *answers]).mean(axis=0)
        np.testing.assert_allclose(found[row], wanted, atol=1e-6)
    assert len(told) > 3, "answers should differ, or the test cannot fail"
    np.testing.assert_array_equal(hyde.encode_query(queries), found)
    other = HyDE(tiny_backbone, fake_teacher, HyDEConfig(**{**QUICK.to_dict(), "seed": 1}))
    assert not np.allclose(other.encode_query(queries), found)
    assert other.fingerprint() != hyde.fingerprint()
    asked = hyde.encode(queries[:1], prompt="Summarize the following passage:")
    assert not np.allclose(asked, found[:1])


def test_hyde_embeds_documents_with_the_teacher_alone(tiny_backbone, fake_teacher, monkeypatch):
    hyde = HyDE(tiny_backbone, fake_teacher, QUICK)
    monkeypatch.setattr(tiny_backbone, "generate", lambda *_, **__: pytest.fail("a document was answered"))
    np.testing.assert_array_equal(hyde.encode_document(TEXTS), fake_teacher.embed(TEXTS))


def test_hyde_says_how_many_queries_lost_their_tail(tiny_backbone, fake_teacher):
    hyde = HyDE(tiny_backbone, fake_teacher, HyDEConfig(answers=1, max_new_tokens=4, max_length=8))
    assert hyde.represent(["gold", "the river flows through the city " * 9]).truncated == 1


def test_the_teacher_is_the_teachers_own_vectors(tiny_backbone, fake_teacher):
    embedder = load_baseline("teacher", tiny_backbone, fake_teacher)
    steps = []
    encoding = embedder.represent(
        TEXTS, batch_size=3, progress=lambda done, total: steps.append((done, total))
    )
    np.testing.assert_array_equal(encoding.embedding.numpy(), fake_teacher.embed(TEXTS))
    assert steps == [(3, 4), (4, 4)]
    told = embedder.encode(["gold"], prompt="Tell me about")
    np.testing.assert_array_equal(told, fake_teacher.embed(["Tell me about gold"]))
    assert embedder.encode([]).shape == (0, 24)
    assert embedder.dimension == 24


def test_load_baseline_knows_all_five_and_says_what_is_missing(tiny_backbone, fake_teacher):
    assert list(BASELINES) == ["mean-pool", "last-token", "echo", "hyde", "teacher"]
    prints = set()
    for name in BASELINES:
        embedder = load_baseline(name, tiny_backbone, fake_teacher)
        assert isinstance(embedder, Embedder)
        assert embedder.method == name
        prints.add(embedder.fingerprint())
    assert len(prints) == 5
    with pytest.raises(UsageError, match=r"no baseline named 'bert'; there are mean-pool, last-token"):
        load_baseline("bert", tiny_backbone)
    for name in ("hyde", "teacher"):
        with pytest.raises(UsageError, match="needs a teacher"):
            load_baseline(name, tiny_backbone)


def test_what_makes_no_sense_is_refused(tiny_backbone, fake_teacher):
    teacher = TeacherEmbedder(tiny_backbone, fake_teacher)
    for work in (
        lambda: teacher.encode_batch([[1, 2]]),
        lambda: TeacherEmbedder.restore(tiny_backbone, {}, {}, {}),
        lambda: teacher.represent(["a"], batch_size=0),
        lambda: HyDEConfig(temperature=0.0),
        lambda: HyDEConfig(answers=0),
        lambda: BaselineConfig(max_length=0),
    ):
        with pytest.raises(UsageError):
            work()
    restored = MeanPool.restore(tiny_backbone, {"max_length": 9}, {}, {"query": "a"})
    assert (restored.config.max_length, restored.prompts) == (9, {"query": "a"})
    with pytest.raises(WorkbenchError, match="nothing trained"):
        MeanPool.restore(tiny_backbone, {}, {"w": torch.zeros(1)}, {})


def test_a_teacher_whose_vectors_are_not_finite_is_refused(tiny_backbone, fake_teacher):
    class Broken(type(fake_teacher)):
        def embed(self, texts, batch_size=64):
            return super().embed(texts) * np.nan

    with pytest.raises(WorkbenchError, match="not finite"):
        load_baseline("teacher", tiny_backbone, Broken()).encode(["gold"])
