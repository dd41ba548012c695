"""The embedder against slow references: one row at a time, one plain forward, everything with gradients."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from jaxtyping import TypeCheckError

from workbench.embedders.base import Encoding
from workbench.embedders.config import LLM2VecGenConfig
from workbench.embedders.llm2vec_gen import LLM2VecGen, cached_prefix, special_states
from workbench.errors import UsageError, WorkbenchError

TEXTS = [
    "What is the capital of Japan?",
    "gold",
    "Tell me about the guitar and its six strings, please, and about the river too.",
    "",
    "Who painted the picture?",
]
FAMILIES = ["llama", "qwen3", "gemma2", "gpt2"]


@pytest.fixture(scope="module")
def embedder(tiny_backbone):
    return build(tiny_backbone)


def build(backbone, **settings):
    made = LLM2VecGen.untrained(
        backbone, LLM2VecGenConfig(**{"dimension": 12, "n_compression": 3, **settings})
    )
    with torch.no_grad():  # away from the identity, so that a forgotten projection shows
        made.module.reconstruction.weight.add_(0.1 * torch.randn_like(made.module.reconstruction.weight))
        made.module.reconstruction.bias.add_(0.1)
    return made


def plain_hidden(embedder, ids):
    """The slow reference: one row, no padding, no cache, one forward over the query and the special tokens."""
    backbone, tokens = embedder.backbone, embedder.module.tokens
    inputs = torch.cat([backbone.embed(torch.tensor([ids])), tokens[None]], dim=1)
    mask = torch.ones(inputs.shape[:2], dtype=torch.bool)
    states = backbone.hidden(inputs, mask=mask, positions=torch.arange(inputs.shape[1])[None])
    return states.last[0, -embedder.module.n_compression :]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("n_thought", [0, 2])
def test_cached_prefix_equals_the_plain_forward_and_so_do_gradients(make_tiny, family, n_thought):
    embedder = build(make_tiny(family), n_thought=n_thought)
    tokens = embedder.module.tokens
    ids = embedder.tokenize(TEXTS).ids
    probe = torch.randn(len(ids), 3, embedder.backbone.hidden_size)

    cached = embedder.hidden_states(ids)
    (cached * probe).sum().backward()
    cached_gradient, tokens.grad = tokens.grad, None
    plain = torch.stack([plain_hidden(embedder, row) for row in ids])
    (plain * probe).sum().backward()

    torch.testing.assert_close(cached, plain, atol=1e-5, rtol=1e-5)
    with torch.no_grad():  # one pass, no cache
        torch.testing.assert_close(embedder.hidden_states(ids), plain, atol=1e-5, rtol=1e-5)
    scale = tokens.grad.abs().max()
    torch.testing.assert_close(cached_gradient / scale, tokens.grad / scale, atol=1e-5, rtol=0)


def test_represent_is_the_formula(embedder):
    encoding = embedder.represent(TEXTS)
    module = embedder.module
    for row, ids in enumerate(encoding.token_ids):
        hidden = plain_hidden(embedder, ids)
        prompts = hidden @ module.reconstruction.weight.T + module.reconstruction.bias
        each = prompts @ module.alignment.weight.T + module.alignment.bias
        torch.testing.assert_close(encoding.hidden_states[row], hidden, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(encoding.soft_prompts[row], prompts, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(encoding.embedding[row], each.mean(dim=0), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 2, 5, 64])
def test_vectors_depend_neither_on_the_batch_nor_on_the_order(embedder, batch_size):
    reference = embedder.represent(TEXTS, batch_size=1)
    order = [3, 0, 4, 2, 1]
    shuffled = embedder.represent([TEXTS[row] for row in order], batch_size=batch_size)
    torch.testing.assert_close(shuffled.embedding, reference.embedding[order], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(shuffled.soft_prompts, reference.soft_prompts[order], atol=1e-5, rtol=1e-5)
    assert shuffled.token_ids == [reference.token_ids[row] for row in order]


def test_special_tokens_stand_directly_after_the_query(embedder):
    ids = embedder.tokenize(["gold"]).ids[0]
    text = embedder.backbone.tokenizer.decode(ids)
    assert text == "<|user|>gold"


def test_only_compression_tokens_are_read_out(tiny_backbone):
    embedder = build(tiny_backbone, n_thought=4)
    encoding = embedder.represent(TEXTS)
    assert encoding.soft_prompts.shape == (5, 3, 32)
    assert embedder.module.tokens.shape == (7, 32)


def test_a_long_text_loses_its_own_tail_and_is_counted(tiny_backbone):
    embedder = build(tiny_backbone, max_length=12)
    long = "the river flows " * 50
    encoding = embedder.represent(["gold", long, long + "and never comes back"])
    assert encoding.truncated == 2
    assert [len(row) for row in encoding.token_ids][1:] == [12, 12]
    assert encoding.soft_prompts.shape[1] == 3, "special tokens are never lost"
    torch.testing.assert_close(encoding.embedding[1], encoding.embedding[2], atol=1e-5, rtol=0)


def test_the_special_tokens_always_fit_into_the_models_window(make_tiny):
    backbone = make_tiny("gpt2", n_positions=32)
    embedder = build(backbone, n_compression=10)
    encoding = embedder.represent(["the river flows " * 50])
    assert len(encoding.token_ids[0]) == 32 - 10
    assert encoding.truncated == 1


def test_empty_texts_and_no_texts_have_vectors(embedder):
    assert embedder.represent([]).embedding.shape == (0, 12)
    assert embedder.encode([]).shape == (0, 12)
    assert torch.isfinite(embedder.represent(["", ""]).embedding).all()


def test_a_prefix_of_empty_queries_runs_the_special_tokens_alone(embedder):
    backbone, tokens = embedder.backbone, embedder.module.tokens
    prefix = cached_prefix(backbone, backbone.pad([[], []]))
    hidden = special_states(backbone, prefix, tokens, 3)
    torch.testing.assert_close(hidden[0], hidden[1])
    alone = backbone.hidden(
        tokens[None], mask=torch.ones(1, 3, dtype=torch.bool), positions=torch.arange(3)[None]
    ).last[0]
    torch.testing.assert_close(hidden[0], alone, atol=1e-5, rtol=1e-5)


def test_sentence_transformers_conventions(embedder):
    vectors = embedder.encode(TEXTS)
    assert isinstance(vectors, np.ndarray)
    assert vectors.dtype == np.float32
    assert vectors.shape == (5, embedder.dimension)
    single = embedder.encode(TEXTS[0])
    assert single.shape == (12,)
    np.testing.assert_allclose(single, vectors[0], atol=1e-5)
    normalized = embedder.encode(TEXTS, normalize_embeddings=True)
    np.testing.assert_allclose(np.linalg.norm(normalized, axis=1), 1, atol=1e-6)
    assert isinstance(embedder.encode(TEXTS, convert_to_tensor=True), torch.Tensor)


def test_prompts_are_put_before_the_text(embedder):
    text = "The river flows."
    document = embedder.encode_document([text])
    by_hand = embedder.encode(["Summarize the following passage: " + text])
    np.testing.assert_allclose(document, by_hand, atol=1e-5)
    query = embedder.encode_query(text)
    np.testing.assert_allclose(query, embedder.encode(text, prompt_name="query"), atol=1e-6)
    np.testing.assert_allclose(
        embedder.encode_query(text, prompt="Summarize the following passage:"), document[0], atol=1e-5
    )
    with pytest.raises(UsageError, match="nonsense"):
        embedder.encode(text, prompt_name="nonsense")


def test_similarity_is_cosine(embedder):
    a, b = torch.tensor([[1.0, 0.0], [1.0, 1.0]]), torch.tensor([[2.0, 0.0]])
    torch.testing.assert_close(embedder.similarity(a, b), torch.tensor([[1.0], [0.5**0.5]]))
    assert embedder.similarity(a[0].numpy(), b.numpy()).shape == (1, 1)


def test_progress_reaches_the_total(embedder):
    calls = []
    embedder.represent(TEXTS, batch_size=2, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(2, 5), (4, 5), (5, 5)]


def test_a_text_that_is_no_string_is_refused(embedder):
    with pytest.raises((UsageError, TypeCheckError), match=r"text 1|\['gold', 3\]"):
        embedder.represent(["gold", 3])


def test_a_vector_that_is_not_finite_is_refused(tiny_backbone):
    embedder = build(tiny_backbone)
    with torch.no_grad():
        embedder.module.alignment.bias[0] = float("nan")
    with pytest.raises(WorkbenchError, match="not finite"):
        embedder.represent(["gold"])


def test_the_start_is_the_identity_and_depends_on_the_seed_alone(tiny_backbone):
    config = LLM2VecGenConfig(dimension=12)
    first, again, other = (
        LLM2VecGen.untrained(tiny_backbone, config, seed=seed).module for seed in (1, 1, 2)
    )
    assert torch.equal(first.reconstruction.weight, torch.eye(32))
    assert not first.reconstruction.bias.any()
    assert torch.equal(first.tokens, again.tokens)
    assert torch.equal(first.alignment.weight, again.alignment.weight)
    assert not torch.equal(first.tokens, other.tokens)


def test_an_encoding_checks_its_shapes():
    with pytest.raises(ValueError, match="2 texts"):
        Encoding(torch.zeros(3, 4), None, None, [[1], [2]], 0)
    with pytest.raises(ValueError, match="soft_prompts"):
        Encoding(torch.zeros(2, 4), torch.zeros(2, 4), None, [[1], [2]], 0)


def test_the_fingerprint_moves_with_everything_that_decides_vectors(tiny_backbone):
    embedder = build(tiny_backbone)
    before = embedder.fingerprint()
    assert before == embedder.fingerprint()
    embedder.prompts["query"] = "Answer:"
    renamed = embedder.fingerprint()
    with torch.no_grad():
        embedder.module.tokens[0, 0] += 1
    assert len({before, renamed, embedder.fingerprint()}) == 3


def test_every_token_may_have_its_own_projection(tiny_backbone):
    embedder = build(tiny_backbone, align_each=True)
    hidden = torch.randn(4, 3, 32)
    projected = embedder.module.project(hidden)
    weights = embedder.module.alignment.weight.reshape(12, 3, 32)
    each = [F.linear(projected.soft_prompts[:, token], weights[:, token]) for token in range(3)]
    torch.testing.assert_close(projected.embedding, sum(each) / 3 + embedder.module.alignment.bias)
    shared = build(tiny_backbone)
    with torch.no_grad():  # the mean is the case where all tokens have the same projection
        shared.module.alignment.weight.copy_(weights.mean(dim=1))
        shared.module.reconstruction.load_state_dict(embedder.module.reconstruction.state_dict())
        for token in range(3):
            weights[:, token] = shared.module.alignment.weight
        shared.module.alignment.bias.copy_(embedder.module.alignment.bias)
    torch.testing.assert_close(
        embedder.module.project(hidden).embedding, shared.module.project(hidden).embedding
    )


def test_mean_of_projections_is_projection_of_mean(embedder):
    hidden = torch.randn(4, 3, 32)
    projected = embedder.module.project(hidden)
    each = F.linear(projected.soft_prompts, embedder.module.alignment.weight, embedder.module.alignment.bias)
    torch.testing.assert_close(projected.embedding, each.mean(dim=1))
