"""What `encode` gives away: forms against hand-made numbers, order, prompts, and the warning about lost tails."""

import warnings

import numpy as np
import pytest
import torch

from workbench.embedders import base
from workbench.embedders.config import LLM2VecGenConfig
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.embedders.output import in_form
from workbench.errors import UsageError

TEXTS = [
    "What is the capital of Japan?",
    "gold",
    "Tell me about the guitar and its six strings, please, and about the river too.",
    "",
    "Who painted the picture?",
]


def build(backbone, **settings):
    settings = {"dimension": 12, "n_compression": 3, **settings}
    return LLM2VecGen.untrained(backbone, LLM2VecGenConfig(**settings), seed=3)


@pytest.fixture(scope="module")
def embedder(tiny_backbone):
    return build(tiny_backbone)


def test_embeddings_are_cut_before_they_are_normalized():
    vectors = torch.tensor([[3.0, 4.0, 12.0]])
    torch.testing.assert_close(in_form(vectors, truncate_dim=2), torch.tensor([[3.0, 4.0]]))
    cut = in_form(vectors, truncate_dim=2, normalize=True)
    torch.testing.assert_close(cut, torch.tensor([[0.6, 0.8]]))  # not [3 / 13, 4 / 13]
    whole = in_form(vectors, normalize=True)
    torch.testing.assert_close(whole, torch.tensor([[3.0, 4.0, 12.0]]) / 13)


def test_quantized_by_hand():
    # Steps of 1 in the first dimension, of 2 in the second: 101 lies 50.5 steps above 0.
    vectors = torch.tensor([[0.0, 0.0], [255.0, 510.0], [100.0, 101.0]])
    assert in_form(vectors, precision="uint8").tolist() == [[0, 0], [255, 255], [100, 50]]
    assert in_form(vectors, precision="int8").tolist() == [[-128, -128], [127, 127], [-28, -78]]
    # The signs + - + are the bits 101, followed by five zeros: 160; the signed byte is 128 less.
    signs = torch.tensor([[0.5, -0.1, 2.0]])
    assert in_form(signs, precision="ubinary").tolist() == [[160]]
    assert in_form(signs, precision="binary").tolist() == [[32]]
    kinds = {name: in_form(vectors, precision=name).dtype for name in ("uint8", "int8", "binary", "ubinary")}
    assert kinds == {"uint8": torch.uint8, "int8": torch.int8, "binary": torch.int8, "ubinary": torch.uint8}


def test_every_option_of_encode_together(embedder):
    vectors = embedder.encode(TEXTS, prompt_name="query")
    head = vectors[:, :5] / np.linalg.norm(vectors[:, :5], axis=1, keepdims=True)
    options = {"prompt_name": "query", "truncate_dim": 5, "normalize_embeddings": True, "batch_size": 2}
    np.testing.assert_allclose(embedder.encode(TEXTS, **options, show_progress_bar=None), head, atol=1e-6)
    as_tensor = embedder.encode(TEXTS, **options, convert_to_tensor=True)
    torch.testing.assert_close(as_tensor, torch.from_numpy(head), atol=1e-6, rtol=0)
    signs = embedder.encode(TEXTS, **options, precision="ubinary")
    np.testing.assert_array_equal(signs, np.packbits(head > 0, axis=1))
    np.testing.assert_array_equal(embedder.encode(TEXTS[2], **options, precision="ubinary"), signs[2])
    bytes_ = embedder.encode(TEXTS, **options, precision="int8", convert_to_tensor=True)
    assert (bytes_.dtype, tuple(bytes_.shape)) == (torch.int8, (5, 5))
    low, high = head.min(axis=0), head.max(axis=0)
    np.testing.assert_allclose(bytes_, np.floor((head - low) / (high - low) * 255) - 128, atol=1)


def test_many_texts_are_represented_in_parts_and_stand_in_their_order(tiny_backbone, monkeypatch):
    embedder = build(tiny_backbone, max_length=12)
    texts = [*TEXTS, *(f"{text} once more" for text in TEXTS)]
    with pytest.warns(UserWarning, match="4 of 10 texts"):
        whole = embedder.encode(texts)
    sizes = []
    represent = LLM2VecGen.represent

    def counted(self, part, **options):
        sizes.append(len(part))
        return represent(self, part, **options)

    monkeypatch.setattr(base, "PART", 4)
    monkeypatch.setattr(LLM2VecGen, "represent", counted)
    with pytest.warns(UserWarning, match="4 of 10 texts") as warned:
        parts = embedder.encode(texts)
    assert sizes == [4, 4, 2]
    assert len(warned) == 1, "one warning for all parts"
    np.testing.assert_allclose(parts, whole, atol=1e-5)


def test_a_device_that_reads_many_positions_at_once_reads_the_same(embedder, monkeypatch):
    plain = embedder.represent(TEXTS)
    sizes, encode_batch = [], LLM2VecGen.encode_batch

    def counted(self, ids):
        sizes.append(len(ids))
        return encode_batch(self, ids)

    monkeypatch.setattr(LLM2VecGen, "encode_batch", counted)
    lengths = sorted(map(len, plain.token_ids), reverse=True)
    monkeypatch.setattr(base, "read_at_once", lambda _: 2 * (lengths[0] + 3))  # the special tokens count too
    found = embedder.represent(TEXTS)
    assert sizes[0] == 2
    assert sum(sizes) == len(TEXTS)
    for name in ("embedding", "soft_prompts", "hidden_states"):
        torch.testing.assert_close(getattr(found, name), getattr(plain, name), atol=1e-5, rtol=1e-5)
    sizes.clear()
    embedder.represent(TEXTS, batch_size=3)  # what is asked for comes first
    assert sizes == [3, 2]


def test_the_embedding_alone_is_the_same_embedding(embedder):
    alone = embedder.represent(TEXTS, embedding_alone=True)
    assert torch.equal(alone.embedding, embedder.represent(TEXTS).embedding)
    assert (alone.soft_prompts, alone.hidden_states, alone.special_cache) == (None, None, None)


def test_nothing_is_said_where_no_tail_is_lost(embedder):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        embedder.encode(TEXTS)


def test_a_prompt_may_end_in_a_space_or_a_line(embedder):
    plain = embedder.encode(TEXTS, prompt="Answer:")
    np.testing.assert_array_equal(embedder.encode(TEXTS, prompt="Answer: "), plain)
    ids = embedder.tokenize(["gold"], instruction="Answer:\n").ids[0]
    assert embedder.backbone.tokenizer.decode(ids) == "<|user|>Answer:\ngold"
    np.testing.assert_array_equal(embedder.encode(TEXTS, prompt=""), embedder.encode(TEXTS))
    np.testing.assert_array_equal(embedder.encode(TEXTS, prompt="Answer:", prompt_name="query"), plain)


def test_an_unknown_prompt_name_is_met_with_likely_ones(tiny_backbone):
    embedder = build(tiny_backbone)
    with pytest.raises(UsageError, match=r"'ArguAna'; there are document, query, .*ArguAna-query") as refused:
        embedder.encode(TEXTS, prompt_name="ArguAna")
    assert len(str(refused.value)) < 200
    embedder.prompts = {"b": "B:", "a": "A:"}
    with pytest.raises(UsageError, match=r"'c'; there are a, b$"):
        embedder.encode(TEXTS, prompt_name="c")


@pytest.mark.parametrize(
    ("texts", "options", "message"),
    [
        (TEXTS, {"precision": "int4"}, "float32, int8, uint8, binary, ubinary, not 'int4'"),
        (TEXTS, {"truncate_dim": 13}, "from 1 to 12, not 13"),
        (TEXTS, {"truncate_dim": 0}, "from 1 to 12, not 0"),
        (TEXTS, {"batch_size": 0}, "at least 1, not 0"),
        ("one text", {"precision": "int8"}, "ranges from the texts"),
        (["one text"], {"precision": "uint8"}, "ranges from the texts"),
    ],
)
def test_what_cannot_be_given_is_refused(embedder, texts, options, message):
    with pytest.raises(UsageError, match=message):
        embedder.encode(texts, **options)


def test_no_texts_have_every_form(embedder):
    assert embedder.encode([], truncate_dim=9).shape == (0, 9)
    assert embedder.encode([], precision="int8").shape == (0, 12)
    assert embedder.encode([], precision="binary").shape == (0, 2)
