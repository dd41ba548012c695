"""The latent lens: a special token that is an ordinary one finds itself; leaks and other texts' leaks."""

import numpy as np
import pytest
import torch

from workbench.embedders.baselines import load_baseline
from workbench.embedders.config import GEMConfig, LLM2VecGenConfig
from workbench.embedders.gem import GEM
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.errors import FingerprintMismatch, UsageError, WorkbenchError
from workbench.lenses.latent import LatentReading, latent_lens, snippet
from workbench.lenses.latent_build import build_index
from workbench.lenses.states import special_states

WHOLE = "What is the capital of Japan? The capital of Japan is Tokyo."
TEXTS = [
    WHOLE,
    "What is the capital of France, and who painted the picture of it that hangs there?",
    "A lion is an animal that eats meat.",
    "Which instrument has six strings? The guitar has six strings.",
    "Tell me about gold. Gold is a metal with the symbol Au.",
    "I am happy because my best friend came to visit me.",
]


@pytest.fixture(scope="module")
def index(tiny_backbone, tmp_path_factory):
    return build_index(tmp_path_factory.mktemp("latent") / "index", tiny_backbone, TEXTS)


@pytest.fixture(scope="module")
def disguised(tiny_backbone):
    """A query, and an embedder whose one special token is the input row of the token that goes on as `WHOLE` does."""
    ids = tiny_backbone.tokenizer(WHOLE)["input_ids"]
    query = tiny_backbone.tokenizer.decode(ids[:-6])
    assert tiny_backbone.tokenizer(query)["input_ids"] == ids[:-6]
    config = LLM2VecGenConfig(n_compression=1, dimension=8, template="raw")
    embedder = LLM2VecGen.untrained(tiny_backbone, config)
    with torch.no_grad():
        embedder.module.tokens.copy_(tiny_backbone.embed(torch.tensor([[ids[-6]]]))[0])
    return query, embedder, ids[-6], len(ids) - 6


@pytest.fixture(scope="module")
def embedder(tiny_backbone):
    return LLM2VecGen.untrained(
        tiny_backbone, LLM2VecGenConfig(n_compression=2, n_thought=1, dimension=8, lora_rank=2)
    )


def test_a_special_token_that_is_an_ordinary_one_finds_itself(disguised, index, tiny_backbone):
    query, embedder, token, place = disguised
    [reading] = latent_lens(embedder, [query], index, k=2, exclude=False)
    assert reading.layers == (1, 2)
    assert reading.token_ids[:, 0, 0].tolist() == [token, token]
    np.testing.assert_allclose(reading.scores[:, 0, 0], 1, atol=1e-3)
    assert (reading.scores[:, 0, 1] < 0.999).all()
    assert reading.neighbour_layers.tolist() == [[[1, 1]], [[2, 2]]]
    assert reading.neighbour_rows[0, 0, 0] == TEXTS.index(WHOLE)
    before, behind = (tiny_backbone.tokenizer.decode(part) for part in (
        tiny_backbone.tokenizer(WHOLE)["input_ids"][:place], tiny_backbone.tokenizer(WHOLE)["input_ids"][place + 1 :]
    ))  # fmt: skip
    shown = reading.snippets[0][0][0]
    assert shown.startswith(before.strip())
    assert shown.endswith("»" + behind)
    assert reading.excluded == 0
    assert reading.response == ""


def test_the_leak_of_the_query_is_not_found(disguised, index):
    query, embedder, *_ = disguised
    [reading] = latent_lens(embedder, [query], index, k=2)
    assert (reading.excluded, reading.texts) == (1, len(TEXTS))
    assert TEXTS.index(WHOLE) not in reading.neighbour_rows
    assert (reading.scores < 0.999).all()


def test_the_leak_of_the_response_is_not_found(disguised, index, tiny_backbone, monkeypatch):
    embedder = disguised[1]
    said = {"gold": ["Gold is: a METAL with the symbol Au"], "unlike": ["Nothing of the kind was ever here"]}
    for text, answer in said.items():
        monkeypatch.setattr(tiny_backbone, "respond", lambda texts, answer=answer, **_: answer)
        [reading] = latent_lens(embedder, [text + " zzz"], index, k=2)
        assert reading.response == answer[0]
        assert reading.excluded == (1 if text == "gold" else 0)
        if text == "gold":
            assert (
                TEXTS.index("Tell me about gold. Gold is a metal with the symbol Au.")
                not in reading.neighbour_rows
            )


@pytest.mark.parametrize("out", [0, 1])
def test_a_shared_beginning_is_shown_in_the_text_that_is_left(disguised, tiny_backbone, tmp_path, out):
    """Two texts begin alike, up to the token that is found; one of them is left out."""
    query, embedder, token, _ = disguised
    pair = [WHOLE, WHOLE[: -len("Tokyo.")] + "a city that many people visit."]
    both = build_index(tmp_path / "index", tiny_backbone, [*pair, *TEXTS[2:]])
    both.duplicates_of = lambda *_: np.array([text == pair[out] for text in both.texts])
    [reading] = latent_lens(embedder, [query], both, k=1)
    assert reading.excluded == 1
    assert reading.token_ids[0, 0, 0] == token
    assert reading.scores[0, 0, 0] == pytest.approx(1, abs=1e-3)
    assert reading.neighbour_rows[0, 0, 0] == 1 - out
    assert reading.snippets[0][0][0].endswith(pair[1 - out][-6:])
    both.duplicates_of = lambda *_: np.array([text in pair for text in both.texts])
    [reading] = latent_lens(embedder, [query], both, k=1)
    assert reading.scores[0, 0, 0] < 0.999


def brute(embedder, index, text, k, match):
    """All cosines with all states by numpy, excluded texts and all."""
    state = special_states(embedder, [text])[0]
    cosines, layers = [], []
    for layer in index.facts.layers:
        rows = np.array(index.states(layer), np.float32)
        cosines.append(rows)
        layers += [layer] * len(rows)
    whole = np.concatenate(cosines)
    found = []
    for layer in index.facts.layers:
        queries = state.at(layer).numpy()
        scores = (queries / np.linalg.norm(queries, axis=1, keepdims=True)) @ whole.T
        if match == "same":
            scores[:, np.array(layers) != layer] = -2
        order = np.argsort(-scores, axis=1)[:, :k]
        found.append((np.take_along_axis(scores, order, 1), np.array(layers)[order]))
    return np.stack([f[0] for f in found]), np.stack([f[1] for f in found])


@pytest.mark.parametrize("match", ["same", "any"])
def test_it_is_brute_force_in_one_layer_or_in_all(embedder, index, match):
    texts = ["gold", "Who painted the picture?", "six strings"]
    readings = latent_lens(embedder, texts, index, k=4, exclude=False, match=match)
    for text, reading in zip(texts, readings, strict=True):
        scores, layers = brute(embedder, index, text, 4, match)
        np.testing.assert_allclose(reading.scores, scores, atol=1e-4)
        np.testing.assert_array_equal(reading.neighbour_layers, layers)
        assert reading.labels == ["◆1", "◆2"]


def test_a_reading_does_not_depend_on_the_others(embedder, index):
    texts = [TEXTS[2], "gold", TEXTS[4]]
    together = latent_lens(embedder, texts, index, k=3)
    assert [reading.excluded for reading in together] == [1, 0, 1]
    for text, reading in zip(texts, together, strict=True):
        [alone] = latent_lens(embedder, text, index, k=3)
        np.testing.assert_allclose(alone.scores, reading.scores, atol=1e-5)
        np.testing.assert_array_equal(alone.token_ids, reading.token_ids)
        assert alone.snippets == reading.snippets
    assert latent_lens(embedder, [], index) == []


def test_layers_are_chosen_and_a_reading_is_saved_whole(embedder, index, tmp_path):
    [reading] = latent_lens(embedder, ["gold"], index, [-1], k=3)
    assert reading.layers == (2,)
    loaded = LatentReading.load(reading.save(tmp_path / "reading.parquet"))
    assert loaded.to_dict() == reading.to_dict()
    assert loaded.texts == len(TEXTS)
    np.testing.assert_array_equal(loaded.neighbour_rows, reading.neighbour_rows)
    frame = loaded.to_frame()
    assert frame["neighbour_layer"].tolist() == [2] * 6
    assert (latent_lens(embedder, ["gold"], index, [0], k=3, match="any")[0]).layers == (0,)


def test_gem_is_read_too_and_answers_with_its_own_model(tiny_backbone, index, monkeypatch):
    gem = GEM.untrained(tiny_backbone, GEMConfig(n_special=2, lora_rank=2))
    open_while_asked = []
    real = tiny_backbone.respond
    monkeypatch.setattr(
        tiny_backbone, "respond", lambda *a, **k: open_while_asked.append(gem.module._open) or real(*a, **k)
    )
    [reading] = latent_lens(gem, ["gold"], index, k=3)
    scores, _ = brute(gem, index, "gold", 3, "same")
    np.testing.assert_allclose(reading.scores, scores, atol=1e-4)
    assert open_while_asked == [True]


def test_what_cannot_be_read_is_refused(embedder, index, make_tiny, tiny_backbone):
    config = LLM2VecGenConfig(n_compression=2, dimension=8)
    with pytest.raises(FingerprintMismatch, match=r"the index .* does not fit: its weights is"):
        latent_lens(LLM2VecGen.untrained(make_tiny("llama", 1), config), ["gold"], index)
    with pytest.raises(UsageError, match="has no layer 0"):
        latent_lens(embedder, ["gold"], index, [0])
    with pytest.raises(UsageError, match="no layer 9"):
        latent_lens(embedder, ["gold"], index, [9], match="any")
    with pytest.raises(WorkbenchError, match=r"5000 neighbours are asked for, but the index has \d+"):
        latent_lens(embedder, ["gold"], index, k=5000)
    with pytest.raises(UsageError, match="no special tokens"):
        latent_lens(load_baseline("mean-pool", tiny_backbone), ["gold"], index)


def test_snippets_by_hand(tiny_backbone):
    text = "A lion  is\nan animal that eats meat."
    ids = tiny_backbone.tokenizer(text)["input_ids"]
    pieces = [tiny_backbone.tokenizer.decode(ids[: at + 1]) for at in range(len(ids))]
    place = next(at for at, piece in enumerate(pieces) if piece.endswith("lion"))
    shown = snippet(tiny_backbone.tokenizer, text, place)
    assert shown.replace("«", "").replace("»", "") == "A lion is an animal that eats meat."
    assert shown[shown.index("»") :] == "» is an animal that eats meat."
    assert snippet(tiny_backbone.tokenizer, text, place, around=4).endswith("» is…")
