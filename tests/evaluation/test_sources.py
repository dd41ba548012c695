"""Every form of a name gives the vectors of the model behind it; a wrong name is refused before anything is loaded."""

import numpy as np
import pytest
import torch
from official_checkpoints import write_checkpoint

from workbench.backbone import Backbone
from workbench.embedders.artifact import load_embedder, save
from workbench.embedders.baselines import load_baseline
from workbench.embedders.config import LLM2VecConfig, LLM2VecGenConfig
from workbench.embedders.instructions import DOCUMENT, QUERY
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.errors import UsageError
from workbench.evaluation.asked import Prompting, Sampling
from workbench.evaluation.readers import Reader, instruction, instructions_for
from workbench.evaluation.sources import Encoder, Name, Source, open_source, parse

TEXTS = ["What is gold?", "Paris is in France.", "a"]


@pytest.fixture(scope="module")
def sentence_dir(tmp_path_factory, tiny_backbone):
    """A saved sentence-transformers model with random weights and a prompt of its own for queries."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules
    from transformers import BertConfig, BertModel

    folder, tokenizer = tmp_path_factory.mktemp("sentence"), tiny_backbone.tokenizer
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=len(tokenizer), **shape)).save_pretrained(folder / "bert")
    tokenizer.save_pretrained(folder / "bert")
    parts = [modules.Transformer(str(folder / "bert"), max_seq_length=32), modules.Pooling(16)]
    made = SentenceTransformer(modules=parts, device="cpu", prompts={"query": "ask: "})
    made.save(str(folder / "model"))
    return folder / "model"


@pytest.fixture(scope="module")
def embedder_dir(tmp_path_factory, tiny_backbone_dir):
    """A saved, untrained embedder on the tiny backbone."""
    backbone = Backbone.load(str(tiny_backbone_dir))
    folder = tmp_path_factory.mktemp("embedder") / "tiny"
    save(
        LLM2VecGen.untrained(backbone, LLM2VecGenConfig(n_compression=3, dimension=12, max_length=48)), folder
    )
    return folder


def vectors(source, side="encode", **options):
    return np.asarray(getattr(source.embedder, side)(TEXTS, **options))


def test_our_own_embedders_and_official_checkpoints(embedder_dir, tmp_path, tiny_backbone_dir):
    for folder in (embedder_dir, write_checkpoint(tmp_path, tiny_backbone_dir)):
        source, expected = open_source(str(folder)), load_embedder(folder)
        assert (source.name, source.form) == (str(folder), "artifact")
        assert isinstance(source.embedder, Encoder)
        assert source.fingerprint() == expected.fingerprint()
        np.testing.assert_array_equal(vectors(source, "encode_query"), expected.encode_query(TEXTS))
        with source.language_model() as backbone:
            assert backbone.fingerprint()["weights"] == expected.backbone.fingerprint()["weights"]


def test_baselines_on_any_backbone(tiny_gpt2_dir, make_tiny):
    backbone, seen = make_tiny("gpt2"), set()
    for form, method in (("mean", "mean-pool"), ("last", "last-token"), ("echo", "echo")):
        source = open_source(f"{form}:{tiny_gpt2_dir}")
        expected = load_baseline(method, backbone).encode(TEXTS)
        np.testing.assert_allclose(vectors(source), expected, atol=1e-5)
        seen.add(source.fingerprint())
    assert len(seen) == 3


def test_hyde_answers_as_it_is_told(tiny_backbone_dir, fake_teacher, monkeypatch):
    from workbench.training import teachers

    monkeypatch.setattr(teachers, "load_teacher", lambda: fake_teacher)
    name, how = f"hyde:{tiny_backbone_dir}", Sampling(answers=2, max_new_tokens=4)
    source = open_source(name, sampling=how, seed=3)
    config = source.embedder.config
    assert (config.answers, config.max_new_tokens, config.seed) == (2, 4, 3)
    np.testing.assert_allclose(vectors(source, "encode_document"), fake_teacher.embed(TEXTS), atol=1e-6)
    assert not np.allclose(vectors(source), fake_teacher.embed(TEXTS))
    assert source.fingerprint() != open_source(name, sampling=how).fingerprint()
    with pytest.raises(UsageError, match="belong to hyde"):
        open_source(f"mean:{tiny_backbone_dir}", sampling=how)


def test_a_trained_teacher_finds_its_backbone(tiny_backbone_dir, tmp_path):
    from workbench.training.llm2vec import LLM2VecTeacher

    backbone = Backbone.load(str(tiny_backbone_dir))
    teacher = LLM2VecTeacher(backbone, LLM2VecConfig(lora_rank=2))
    save(teacher, tmp_path / "teacher")
    source = open_source(f"teacher:{tmp_path / 'teacher'}")
    np.testing.assert_allclose(vectors(source), teacher.embed(TEXTS), atol=1e-6)


def test_a_sentence_transformers_model_is_read_its_own_way(sentence_dir):
    from sentence_transformers import SentenceTransformer

    source, expected = open_source(f"st:{sentence_dir}"), SentenceTransformer(str(sentence_dir))
    for side in ("encode", "encode_query", "encode_document"):
        np.testing.assert_allclose(vectors(source, side), getattr(expected, side)(TEXTS), atol=1e-5)
    asked = expected.encode(TEXTS, prompt="ask: ")
    np.testing.assert_allclose(vectors(source, "encode_query"), asked, atol=1e-5)
    assert not np.allclose(asked, expected.encode(TEXTS))
    np.testing.assert_allclose(vectors(source, "encode_query", prompt=""), expected.encode(TEXTS), atol=1e-5)
    assert source.fingerprint() == open_source(f"st:{sentence_dir}").fingerprint()
    with pytest.raises(UsageError, match="no language model"), source.language_model():
        pass
    with pytest.raises(UsageError, match="none of its own code"):
        open_source(f"st:{sentence_dir}", trust_remote_code=True)


def test_names_are_taken_apart_without_loading(tmp_path):
    assert parse(None) == Name("artifact", None)
    assert parse("mean:") == Name("mean", "fieldguide")
    assert parse("hyde:Qwen/Qwen3-0.6B") == Name("hyde", "Qwen/Qwen3-0.6B")
    assert parse("st:someone/model") == Name("st", "someone/model")
    assert parse("teacher:") == Name("teacher", None)
    (tmp_path / "st:odd").mkdir()
    assert parse(str(tmp_path / "st:odd")).form == "artifact"


@pytest.mark.parametrize(
    "name", ["nothing", "foo:bar", "./x", "a/b/c", "", " ", "st:", "teacher:nowhere", "st:./x"]
)
def test_a_wrong_name_is_one_line_with_the_forms(name):
    with pytest.raises(UsageError) as caught:
        parse(name)
    assert "\n" not in str(caught.value)
    if name not in ("st:", "teacher:nowhere"):
        assert "st:PATH_OR_ID" in str(caught.value)


def test_an_artifact_is_no_sentence_transformers_model(embedder_dir):
    with pytest.raises(UsageError, match="without st:"):
        open_source(f"st:{embedder_dir}")


class Told:
    """Remembers what it was asked for; a vector is the text's length."""

    def __init__(self, prompts):
        self.prompts, self.calls = prompts, []

    def prompt_named(self, name):
        raise UsageError(f"no prompt named {name!r}")

    def fingerprint(self):
        return "told"

    def encode(self, texts, side="text", prompt=None, **_):
        self.calls.append((side, prompt, list(texts)))
        return np.array([[len(text), 1.0] for text in texts])

    def encode_query(self, texts, **options):
        return self.encode(texts, "query", **options)

    def encode_document(self, texts, **options):
        return self.encode(texts, "document", **options)


PROMPTS = {
    "query": "q",
    "document": "d",
    "STS": "s",
    "Retrieval-query": "r",
    "STS12": "s12",
    "NFC-query": "q",
}


def told(form, names, prompts=None, **asked):
    found = instructions_for(Source("x", form, Told(prompts or PROMPTS)), names, Prompting(**asked))
    return found["text"], found["query"], found["document"]


def test_what_stands_before_the_texts():
    assert told("artifact", ["STS"]) == ("s", "s", "s")
    assert told("artifact", ["STS12", "STS"])[0] == "s12"
    assert told("artifact", ["Retrieval"]) == (None, "r", "d")
    assert told("artifact", []) == (None, None, None)
    for form in ("st", "mean", "teacher", "hyde"):
        assert told(form, ["STS"]) == (None, None, None)
    assert told("mean", ["STS"], prompt="p") == ("p", "p", None)
    assert told("artifact", ["Retrieval"], prompt="") == ("", "", "")
    assert told("artifact", ["Retrieval"], prompt_name="NFC") == ("q", "q", "d")
    assert told("artifact", ["Retrieval"], prompt_name="query") == ("q", "q", "d")
    with pytest.raises(UsageError, match="no prompt named 'other'"):
        told("artifact", ["STS"], prompt_name="other")
    with pytest.raises(UsageError, match="either"):
        Prompting("p", "n")
    assert instruction({"A-query": "1", "A": "2", "query": "3"}, ["A"], "query") == "1"
    assert instruction({"A": "2", "query": "3"}, ["A"], "query") == "2"
    assert instruction({"query": "3"}, ["A"], "query") == "3"
    assert instruction({"query": "3"}, ["A"]) is None


def test_a_reader_encodes_a_text_once_for_each_way_of_reading_it():
    embedder = Told({"query": ""})
    reader = Reader(Source("x", "mean", embedder), {}, keep=True)
    np.testing.assert_array_equal(reader.encode(["ab", "c"]), [[2, 1], [1, 1]])
    np.testing.assert_array_equal(reader.told({}).encode(["c", "abc"]), [[1, 1], [3, 1]])
    reader.encode_query(["c", "ab"])  # nothing stands before a query of a baseline
    reader.told({"text": "p"}).encode(["c"])
    reader.told({"query": "p"}).encode_query(["c"])
    reader.encode_document(["c"])
    assert embedder.calls == [
        ("text", None, ["ab", "c"]),
        ("text", None, ["abc"]),
        ("text", "p", ["c"]),
        ("document", None, ["c"]),
    ]
    embedder.calls.clear()
    reader = Reader(Source("x", "st", embedder), {}, keep=True)
    reader.encode(["c"])
    reader.encode_query(["c"])
    assert [side for side, *_ in embedder.calls] == ["text", "query"]


def test_sides_of_an_embedder_of_ours_have_its_instructions(embedder_dir):
    source = open_source(str(embedder_dir))
    reader = Reader(source, instructions_for(source, [], Prompting()))
    for got, prompt in (
        (reader.encode_query, QUERY),
        (reader.encode_document, DOCUMENT),
        (reader.encode, None),
    ):
        np.testing.assert_allclose(got(TEXTS), source.embedder.encode(TEXTS, prompt=prompt), atol=1e-6)
