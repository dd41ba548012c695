"""An artifact in sentence-transformers: the same vectors and prompts, through all that its `encode` does itself."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from workbench.backbone import Backbone
from workbench.embedders.artifact import load_embedder, save
from workbench.embedders.config import GEMConfig, LLM2VecGenConfig
from workbench.embedders.gem import GEM
from workbench.embedders.instructions import PROMPTS
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.embedders.manifest import LAYOUT
from workbench.errors import UsageError, WorkbenchError

WORDS = (
    "The river flows to Paris and Tokyo. Who painted a lion, a guitar of gold, a picture of my best friend?"
)
TEXTS = [f"{WORDS[n % 7 : n % 7 + 4 + (n * 31) % 90]} {n}" for n in range(100)]
SHAPES = {
    "llm2vec-gen": lambda b: LLM2VecGen.untrained(b, LLM2VecGenConfig(dimension=12, n_compression=3), seed=1),
    "with lora": lambda b: LLM2VecGen.untrained(b, LLM2VecGenConfig(dimension=12, lora_rank=2), seed=1),
    "gem": lambda b: GEM.untrained(b, GEMConfig(n_special=2, lora_rank=2), seed=1),
    "gem, full": lambda b: GEM.untrained(b, GEMConfig(n_special=2, tuning="full", pooling="concat"), seed=1),
}


def assert_same(theirs, ours, about=""):
    """Equal to a millionth of a vector's length: batches of another make-up add in another order."""
    assert theirs.dtype == ours.dtype, about
    np.testing.assert_allclose(
        theirs, ours, rtol=0, atol=1e-6 * np.linalg.norm(ours, axis=-1).max(), err_msg=about
    )


def build(shape, folder):
    """An embedder away from its start, so that what trains counts."""
    made = SHAPES[shape](Backbone.load(str(folder), device="cpu"))
    draw = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for weight in made.module.parameters():
            weight.add_(0.02 * torch.randn(weight.shape, generator=draw))
    return made


@pytest.fixture(scope="module", params=SHAPES)
def both(request, tiny_backbone_dir, tmp_path_factory):
    """An embedder, and its artifact in sentence-transformers."""
    made = build(request.param, tiny_backbone_dir)
    made.prompts["query"] = "Answer this:"
    folder = save(made, tmp_path_factory.mktemp("saved"), metrics={"loss": 0.5}, seeds={"training": 3})
    return made, SentenceTransformer(str(folder), trust_remote_code=True, device="cpu")


@pytest.fixture
def saved(tiny_backbone_dir, tmp_path):
    made = build("llm2vec-gen", tiny_backbone_dir)
    return made, save(made, tmp_path / "saved", metrics={"loss": 0.5}, seeds={"training": 3}, data_hash="abc")


def load(folder, **options):
    return SentenceTransformer(str(folder), trust_remote_code=True, **{"device": "cpu", **options})


@pytest.mark.parametrize("prompt_name", [None, "query", "SCIDOCS-query"])
def test_a_hundred_texts_have_the_same_vectors(both, prompt_name):
    ours, theirs = both
    expected = ours.encode(TEXTS, prompt_name=prompt_name)
    assert np.abs(expected - expected.mean(axis=0)).max() > 0.01, (
        "texts that all look alike would prove nothing"
    )
    assert_same(theirs.encode(TEXTS, prompt_name=prompt_name), expected)


def test_encode_does_the_same_with_every_option(both):
    ours, theirs = both
    forms = [
        {},
        {"prompt": "Tell me: "},
        {"prompt_name": "query", "batch_size": 3},
        {"normalize_embeddings": True},
        {"truncate_dim": 5},
        {"truncate_dim": 5, "normalize_embeddings": True},
        {"precision": "ubinary"},
        {"precision": "binary", "truncate_dim": 8},
    ]
    for form in forms:
        assert_same(theirs.encode(TEXTS[:9], **form), ours.encode(TEXTS[:9], **form), str(form))
    assert_same(theirs.encode_query(TEXTS[0]), ours.encode_query(TEXTS[0]))
    assert_same(theirs.encode_document(TEXTS[0]), ours.encode_document(TEXTS[0]))
    for precision in ("int8", "uint8"):  # where a number lies between two steps, 1e-7 may decide
        mine, other = (each.encode(TEXTS, precision=precision) for each in both)
        assert mine.dtype == other.dtype == np.dtype(precision)
        assert np.abs(mine.astype(int) - other.astype(int)).max() <= 1
        assert (mine == other).mean() > 0.99
    tensors = [each.encode(TEXTS[:3], convert_to_tensor=True) for each in both]
    assert_same(tensors[1].numpy(), tensors[0].numpy())
    torch.testing.assert_close(theirs.similarity(*tensors), ours.similarity(*tensors), atol=1e-5, rtol=0)


def test_the_artifacts_prompts_are_the_models(both):
    ours, theirs = both
    assert theirs.prompts == {**PROMPTS, "query": "Answer this:"} == ours.prompts
    assert theirs.default_prompt_name is None
    assert theirs.get_embedding_dimension() == ours.dimension
    assert theirs.similarity_fn_name == "cosine"


def test_the_layout_is_whole_and_names_what_sentence_transformers_reads(saved):
    _, folder = saved
    assert {path.name for path in folder.iterdir()} == set(LAYOUT)
    settings = json.loads((folder / "config_sentence_transformers.json").read_text())
    assert settings["prompts"] == json.loads((folder / "config.json").read_text())["prompts"]
    assert "SentenceTransformer(" in (folder / "README.md").read_text()


def test_foreign_code_must_be_trusted(saved):
    with pytest.raises(ValueError, match="trust_remote_code=True"):
        SentenceTransformer(str(saved[1]), device="cpu")


def test_lost_tails_are_counted_and_the_limit_can_be_moved(saved):
    model = load(saved[1])
    assert model.max_seq_length == 512
    model.max_seq_length = 8
    long = "the river flows " * 20
    with pytest.warns(UserWarning, match="2 of 3 texts"):
        cut = model.encode(["gold", long, long + "to the sea"])
    np.testing.assert_allclose(cut[1], cut[2], atol=1e-6)
    model.max_seq_length = 512
    whole = model.encode([long, long + "to the sea"])
    assert np.abs(whole[0] - whole[1]).max() > 1e-4


def test_the_backbones_type_is_a_choice_and_nothing_else_is(saved):
    for dtype in ("bfloat16", torch.bfloat16):
        model = load(saved[1], model_kwargs={"dtype": dtype})
        assert model[0].backbone.get_input_embeddings().weight.dtype == torch.bfloat16
        assert model.encode(TEXTS[:2]).dtype == np.float32
    with pytest.raises(UsageError, match="attn_implementation"):
        load(saved[1], model_kwargs={"attn_implementation": "eager"})
    with pytest.raises(UsageError, match="max_seq_length"):
        model.encode(TEXTS[:2], processing_kwargs={"text": {"max_length": 8}})
    with pytest.raises(UsageError, match="onnx"):
        load(saved[1], backend="onnx")


def test_what_sentence_transformers_saves_is_an_artifact_again(saved, tmp_path):
    made, folder = saved
    model = load(folder, prompts={"mine": "My words:"})
    model.save_pretrained(str(tmp_path / "again"))
    again = load_embedder(tmp_path / "again", device="cpu")
    np.testing.assert_array_equal(again.encode(TEXTS), made.encode(TEXTS))
    before, after = (json.loads((each / "config.json").read_text()) for each in (folder, tmp_path / "again"))
    assert after == {**before, "backbone": after["backbone"]}
    reloaded = load(tmp_path / "again")
    assert reloaded.prompts == {**PROMPTS, "mine": "My words:"}
    np.testing.assert_array_equal(reloaded.encode(TEXTS), model.encode(TEXTS))


@pytest.mark.parametrize("shape", ["with lora", "gem"])
def test_gradients_reach_what_trains_and_nothing_else(shape, tiny_backbone_dir, tmp_path):
    model = load(save(build(shape, tiny_backbone_dir), tmp_path / "e")).train()
    features = model.preprocess(TEXTS[:3], prompt="Answer:")
    model(features)["sentence_embedding"].pow(2).sum().backward()
    module = model[0]
    assert module.trained.tokens.grad.abs().sum() > 0
    assert all(weight.grad is None for weight in module.backbone.parameters())
    assert not module.backbone.training


def test_a_save_that_is_killed_while_files_are_replaced_is_refused_here_too(saved, monkeypatch):
    made, folder = saved
    replace, replaced = Path.replace, []

    def killed(self, target):
        replaced.append(target)
        if len(replaced) == 2:
            raise KeyboardInterrupt
        return replace(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            save(made, folder)
    with pytest.raises(WorkbenchError, match="no embedder"):
        load(folder)
