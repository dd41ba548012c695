"""Official checkpoints: the official code's own figures, and a slow reference with a resized vocabulary."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from official_checkpoints import (
    READ,
    SPECIAL,
    adapter,
    add_lora,
    projection,
    write_checkpoint,
    write_json,
)
from safetensors.torch import load_file, save_file

from workbench.backbone import Backbone
from workbench.decoding.decode import decode
from workbench.embedders.artifact import load_embedder, save
from workbench.embedders.config import LLM2VecGenConfig
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.errors import UsageError, WorkbenchError
from workbench.lenses.attention import special_attention

SHARED = Path("/work/shared/data/official_checkpoint/qwen3")
TEXTS = ["What is the capital of Japan?", "gold", " two  spaces, and\na line "]
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason=f"{SHARED} is not on this machine")


@pytest.fixture
def checkpoint(tmp_path, tiny_backbone_dir):
    return write_checkpoint(tmp_path, tiny_backbone_dir)


def load(folder, **options):
    return load_embedder(folder, device="cpu", **options)


def reference(folder, ids, updates=None):
    """`p [n, d]` and `e [d_e]` of token ids, as the official code computes them: one text, one resized vocabulary."""
    from transformers import AutoModel

    model, parts = AutoModel.from_pretrained(folder.parent / "base").eval(), adapter(folder)
    for name, update in (updates or {}).items():
        model.get_submodule(name).weight.data += update
    trained = json.loads((folder / "encoder/adapter_config.json").read_text())["token_indices"]
    table = parts["embed_tokens.base_layer.weight"].clone()
    for row, token in enumerate(trained):
        table[token] = parts["embed_tokens.trainable_tokens_delta"][row]
    model.set_input_embeddings(torch.nn.Embedding.from_pretrained(table))
    special = [tokenizer_of(folder).token_to_id(token) for token in SPECIAL]
    with torch.no_grad():
        hidden = model(input_ids=torch.tensor([ids + special])).last_hidden_state[0, -READ:]
    weight, bias = projection(folder, "reconstruction_mlp")
    soft_prompts = torch.stack([weight @ state + bias for state in hidden])
    weight, bias = projection(folder, "alignment_mlp")
    return soft_prompts, torch.stack([weight @ prompt + bias for prompt in soft_prompts]).mean(dim=0)


def tokenizer_of(folder):
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(folder / "tokenizer.json"))


def same_as_reference(folder, embedder, updates=None):
    encoding = embedder.represent(TEXTS)
    for row, text in enumerate(TEXTS):
        soft_prompts, embedding = reference(folder, tokenizer_of(folder).encode(text).ids, updates)
        torch.testing.assert_close(encoding.soft_prompts[row], soft_prompts, atol=2e-5, rtol=1e-5)
        torch.testing.assert_close(encoding.embedding[row], embedding, atol=2e-5, rtol=1e-5)
    return True


@needs_shared
@pytest.mark.parametrize("given", [False, True])
def test_what_the_official_code_gives(given, tmp_path):
    folder, options = SHARED / "checkpoint", {}
    if given:  # the base model is no longer beside the checkpoint, as run_config.yml says
        folder, options = tmp_path / "moved", {"backbone": str(SHARED / "base")}
        shutil.copytree(SHARED / "checkpoint", folder)
    expected = json.loads((SHARED / "expected.json").read_text())
    embedder = load(folder, **options)
    encoding = embedder.represent(expected["texts"])
    np.testing.assert_allclose(encoding.embedding, expected["embeddings"], atol=1e-4, rtol=0)
    np.testing.assert_allclose(encoding.soft_prompts, expected["soft_prompts"], atol=1e-4, rtol=0)
    ids = embedder.backbone.generate_from(encoding.soft_prompts, max_new_tokens=24)
    assert ids == expected["greedy_ids"]
    np.testing.assert_allclose(
        embedder.encode(expected["texts"][2]), expected["embeddings"][2], atol=1e-4, rtol=0
    )


def test_thought_tokens_and_the_raw_prompt(checkpoint):
    embedder = load(checkpoint)
    assert embedder.config == LLM2VecGenConfig(
        n_compression=3, n_thought=2, template="raw", max_length=59, teacher="some/teacher", dimension=12
    )
    assert embedder.backbone.tokenizer.chat_template  # which the prompt leaves out
    assert same_as_reference(checkpoint, embedder)


def test_the_saved_encoding_mode_comes_before_the_runs(checkpoint):
    write_json(checkpoint / "encoder_decoder_config.json", {"encoding_mode": "last_5_tokens"})
    assert load(checkpoint).config.n_compression == 5
    (checkpoint / "encoder_decoder_config.json").unlink()
    assert load(checkpoint).config.n_compression == 3


def test_rows_stand_where_the_adapter_lists_them(checkpoint):
    embedder, settings = load(checkpoint), checkpoint / "encoder/adapter_config.json"
    listed = json.loads(settings.read_text())
    listed["token_indices"].reverse()
    write_json(settings, listed)
    turned = load(checkpoint)
    torch.testing.assert_close(turned.module.tokens, embedder.module.tokens.flip(0))
    assert same_as_reference(checkpoint, turned)


@pytest.mark.parametrize("how", ["whole", "kept", "pickled", "wrapped"])
def test_every_way_in_which_peft_saves_the_rows(checkpoint, how):
    parts, folder = adapter(checkpoint), checkpoint / "encoder"
    expected = load(checkpoint).encode(TEXTS)
    resized, rows = parts["embed_tokens.base_layer.weight"], parts["embed_tokens.trainable_tokens_delta"]
    settings = json.loads((folder / "adapter_config.json").read_text())
    trained = torch.cat([resized[: -len(rows)], rows])
    kept = {"embed_tokens.modules_to_save.weight": trained, "embed_tokens.original_module.weight": resized}
    wrapped = {"embed_tokens.token_adapter.trainable_tokens_delta": rows}
    tensors = {"whole": {"embed_tokens.weight": trained}, "kept": kept, "wrapped": wrapped}.get(how, parts)
    tensors = {f"base_model.model.{name}": tensor for name, tensor in tensors.items()}
    (folder / "adapter_model.safetensors").unlink()
    if how == "pickled":
        torch.save(tensors, folder / "adapter_model.bin")
    else:
        listed = {"embed_tokens": settings["token_indices"]} if how == "wrapped" else None
        save_file(tensors, folder / "adapter_model.safetensors")
        write_json(folder / "adapter_config.json", {"peft_type": "LORA", "trainable_token_indices": listed})
    np.testing.assert_array_equal(load(checkpoint).encode(TEXTS), expected)


def test_a_lora_reads_the_texts_and_leaves_the_backbone_alone(checkpoint, tiny_backbone_dir):
    folder, updates = checkpoint, add_lora(checkpoint, tiny_backbone_dir)
    embedder = load(folder)
    assert (embedder.config.lora_rank, embedder.config.lora_alpha) == (2, 6.0)
    assert same_as_reference(folder, embedder, updates)
    plain = Backbone.load(str(folder.parent / "base"), device="cpu")
    assert embedder.backbone.respond(TEXTS, max_new_tokens=8) == plain.respond(TEXTS, max_new_tokens=8)


def test_a_vocabulary_with_spare_rows_and_tied_weights(tmp_path, make_tiny):
    """As Qwen's: the special tokens get ids that the base model has rows for, and the resized table is shorter."""
    tiny = make_tiny("qwen3", tie_word_embeddings=True)
    tiny.model.resize_token_embeddings(450, mean_resizing=False)
    for part in (tiny.model, tiny.tokenizer):
        part.save_pretrained(tmp_path / "source")
    folder = write_checkpoint(tmp_path, tmp_path / "source")
    assert len(adapter(folder)["embed_tokens.base_layer.weight"]) < 450
    embedder = load(folder)
    assert same_as_reference(folder, embedder)
    soft_prompts, written = embedder.represent(TEXTS[:1]).soft_prompts, []
    vectors = soft_prompts
    for _ in range(6):  # greedy, without a cache
        with torch.no_grad():
            logits = tiny.model(inputs_embeds=vectors).logits[0, -1]
        written.append(int(logits.argmax()))
        vectors = torch.cat([vectors, tiny.embed(torch.tensor([[written[-1]]]))], dim=1)
    assert embedder.backbone.generate_from(soft_prompts, max_new_tokens=6) == [written]


def test_a_long_text_loses_its_own_tail_as_in_the_official_code(tmp_path, tiny_backbone_dir):
    """Their prompt has at most max_input_length = 24 tokens, whose last 5 are always the special tokens."""
    checkpoint = write_checkpoint(tmp_path, tiny_backbone_dir, max_input_length=24)
    embedder, text = load(checkpoint), "Which instrument has six strings? " * 9
    ids = tokenizer_of(checkpoint).encode(text).ids
    assert len(ids) > 24
    encoding = embedder.represent([text, "gold"])
    assert (encoding.truncated, encoding.token_ids[0]) == (1, ids[:19])
    torch.testing.assert_close(
        encoding.embedding[0], reference(checkpoint, ids[:19])[1], atol=2e-5, rtol=1e-5
    )


def test_an_ordinary_embedder_in_every_respect(checkpoint, tmp_path):
    embedder = load(checkpoint)
    assert isinstance(embedder, LLM2VecGen)
    encoding = embedder.represent(TEXTS)
    assert len(decode(embedder, encoding.soft_prompts, max_new_tokens=4)) == 3
    looked = special_attention(embedder, TEXTS[0])
    assert looked.is_special.sum() == 5
    assert looked.deviation < 1e-4
    again = load(save(embedder, tmp_path / "artifact"))
    assert again.fingerprint() == embedder.fingerprint()
    np.testing.assert_array_equal(again.encode(TEXTS), embedder.encode(TEXTS))
    np.testing.assert_array_equal(again.encode_query(TEXTS), embedder.encode_query(TEXTS))


def test_in_half_precision_the_base_model_is_still_known(checkpoint):
    exact, rough = load(checkpoint).represent(TEXTS), load(checkpoint, dtype="bfloat16").represent(TEXTS)
    assert float(embedding_cosines(exact, rough).min()) > 0.99
    path = checkpoint / "encoder/adapter_model.safetensors"
    save_file({name: tensor.bfloat16() for name, tensor in load_file(path).items()}, path)
    assert float(embedding_cosines(exact, load(checkpoint).represent(TEXTS)).min()) > 0.99


def embedding_cosines(a, b):
    return torch.nn.functional.cosine_similarity(a.embedding, b.embedding)


@pytest.mark.parametrize("name", ["reconstruction_mlp", "alignment_mlp"])
def test_a_training_without_a_projection(tmp_path, tiny_backbone_dir, name):
    folder = write_checkpoint(tmp_path, tiny_backbone_dir, **{f"add_{name}": False})
    whole = load(folder).represent(TEXTS)
    (folder / name).unlink()
    encoding = load(folder).represent(TEXTS)
    if name == "reconstruction_mlp":
        torch.testing.assert_close(encoding.soft_prompts, encoding.hidden_states)
    else:
        torch.testing.assert_close(encoding.embedding, whole.soft_prompts.mean(dim=1))


@pytest.mark.parametrize("where", ["inside", "beside", "absolute"])
def test_where_the_base_model_is_looked_for(tmp_path, tiny_backbone_dir, where, monkeypatch):
    named = str(tiny_backbone_dir) if where == "absolute" else "base"
    folder = write_checkpoint(tmp_path, tiny_backbone_dir, model_name_or_path=named)
    if where == "inside":
        shutil.move(tmp_path / "base", folder / "base")
    if where == "absolute":
        shutil.rmtree(tmp_path / "base")
    monkeypatch.chdir(folder)
    assert load(".").encode("gold").shape == (12,)


def test_a_base_model_that_is_not_there_or_not_named(checkpoint, tiny_backbone_dir):
    (checkpoint.parent / "base").rename(checkpoint.parent / "elsewhere")
    with pytest.raises(UsageError, match="'base'"):
        load(checkpoint)
    given = Backbone.load(str(tiny_backbone_dir), device="cpu")
    assert load(checkpoint, backbone=given).backbone is given
    text = (checkpoint / "run_config.yml").read_text()
    (checkpoint / "run_config.yml").write_text(
        text.replace("model_name_or_path: base", "model_name_or_path: None")
    )
    with pytest.raises(WorkbenchError, match="names no base model"):
        load(checkpoint)
    assert load(checkpoint, backbone=str(tiny_backbone_dir)).dimension == 12


def test_an_artifact_in_the_same_folder_comes_first(checkpoint):
    embedder = load(checkpoint)
    embedder.prompts["query"] = "Answer this:"
    save(embedder, checkpoint)
    assert load(checkpoint).prompts["query"] == "Answer this:"


def test_a_hub_id_brings_every_file_that_is_read(checkpoint, tmp_path, monkeypatch):
    import huggingface_hub
    from huggingface_hub.utils import filter_repo_objects

    (checkpoint / "training_args.bin").write_bytes(b"never asked for")

    def download(repo_id, *, revision, allow_patterns, token, cache_dir, local_files_only):
        assert (repo_id, revision, local_files_only) == ("McGill-NLP/tiny", "v1", False)
        names = [str(path.relative_to(checkpoint)) for path in checkpoint.rglob("*") if path.is_file()]
        for name in filter_repo_objects(names, allow_patterns=allow_patterns):
            (tmp_path / "hub" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(checkpoint / name, tmp_path / "hub" / name)
        return str(tmp_path / "hub")

    monkeypatch.setattr("workbench.hub.hub_reachable", lambda: True)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    embedder = load("McGill-NLP/tiny", revision="v1")
    np.testing.assert_array_equal(embedder.encode(TEXTS), load(checkpoint).encode(TEXTS))
    assert not (tmp_path / "hub/training_args.bin").exists()
