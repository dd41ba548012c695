"""Official checkpoints that are damaged, dangerous, of another base model or beyond this package: one clear line."""

import json
import os

import numpy as np
import pytest
import torch
from official_checkpoints import SPECIAL, add_lora, write_checkpoint, write_json, write_projection
from safetensors.torch import load_file, save_file

from workbench.embedders.artifact import load_embedder
from workbench.errors import FingerprintMismatch, WorkbenchError

TEXTS = ["What is the capital of Japan?", "gold"]


@pytest.fixture
def checkpoint(tmp_path, tiny_backbone_dir):
    return write_checkpoint(tmp_path, tiny_backbone_dir)


def load(folder, **options):
    return load_embedder(folder, device="cpu", **options)


def test_another_base_model_is_refused(checkpoint, make_tiny):
    with pytest.raises(FingerprintMismatch) as refused:  # row 0 is the padding's, all zeros
        load(checkpoint, backbone=make_tiny("llama", seed=1))
    assert "embedding of token 1 is" in str(refused.value)
    with pytest.raises(FingerprintMismatch, match="model_type is llama, but qwen2"):
        load(checkpoint, backbone=make_tiny("qwen2"))
    with pytest.raises(FingerprintMismatch, match="num_hidden_layers is 2, but 1 is loaded"):
        load(checkpoint, backbone=make_tiny("llama", num_hidden_layers=1))


def test_another_tokenizer_is_refused(checkpoint):
    path = checkpoint / "tokenizer.json"
    whole = json.loads(path.read_text())
    words = whole["model"]["vocab"]
    first, second = list(words)[300:302]
    swapped = {**words, first: words[second], second: words[first]}
    for change in ({"model": {**whole["model"], "vocab": swapped}}, {"normalizer": {"type": "Lowercase"}}):
        write_json(path, {**whole, **change})
        with pytest.raises(FingerprintMismatch, match="tokenizer"):
            load(checkpoint)


def test_a_table_of_embeddings_that_multiplies_is_refused(tmp_path, make_tiny):
    tiny = make_tiny("gemma2")
    for part in (tiny.model, tiny.tokenizer):
        part.save_pretrained(tmp_path / "source")
    with pytest.raises(WorkbenchError, match="ScaledWordEmbedding"):
        load(write_checkpoint(tmp_path, tmp_path / "source"))


class Evil:
    """Runs a command when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("name", ["reconstruction_mlp", "alignment_mlp", "encoder/adapter_model.bin"])
def test_a_pickle_that_runs_code_is_refused_and_not_run(checkpoint, tmp_path, name):
    (checkpoint / "encoder/adapter_model.safetensors").unlink()
    torch.save({}, checkpoint / "encoder/adapter_model.bin")
    torch.save({"state_dict": {}, "config": Evil(tmp_path / "ran")}, checkpoint / name)
    if "mlp" in name:
        write_rows_as_pickle(checkpoint)
    with pytest.raises(WorkbenchError, match="is refused") as refused:
        load(checkpoint)
    assert name in str(refused.value)
    assert not (tmp_path / "ran").exists()


def write_rows_as_pickle(folder):
    ids = json.loads((folder / "encoder/adapter_config.json").read_text())["token_indices"]
    rows = {"base_model.model.embed_tokens.trainable_tokens_delta": torch.ones(len(ids), 32)}
    torch.save(rows, folder / "encoder/adapter_model.bin")


def test_python_objects_in_the_settings_are_not_made(checkpoint, tmp_path):
    path, expected = checkpoint / "run_config.yml", load(checkpoint).encode(TEXTS)
    evil = f"!!python/object/apply:os.system ['touch {tmp_path / 'ran'}']\n"
    path.write_text(path.read_text() + f"optim: {evil}")
    np.testing.assert_array_equal(load(checkpoint).encode(TEXTS), expected)
    path.write_text(path.read_text() + f"special_tokens: {evil}")
    with pytest.raises(WorkbenchError, match="special_tokens must be a list"):
        load(checkpoint)
    assert not (tmp_path / "ran").exists()


PARTS = [
    "run_config.yml",
    "tokenizer.json",
    "reconstruction_mlp",
    "alignment_mlp",
    "encoder/config.json",
    "encoder/adapter_config.json",
    "encoder/adapter_model.safetensors",
]


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("how", ["missing", "empty", "torn"])
def test_a_missing_or_damaged_part_is_one_clear_line(checkpoint, part, how):
    path = checkpoint / part
    content = path.read_bytes()
    path.unlink() if how == "missing" else path.write_bytes(
        content[: len(content) // 2] if how == "torn" else b""
    )
    if (part, how) == ("run_config.yml", "torn"):
        path.write_text("special_tokens: [a, b\nbase: {")
    with pytest.raises(WorkbenchError) as refused:
        load(checkpoint)
    assert part in str(refused.value)
    assert refused.value.exit_code == 1


@pytest.mark.parametrize(
    ("part", "content", "message"),
    [
        ("run_config.yml", "max_input_length: 2024-13-45\n", "is not YAML"),
        ("run_config.yml", "a: " + "[" * 5000, "is not YAML"),
        ("run_config.yml", "- a list\n", "no settings by name"),
        ("encoder_decoder_config.json", "[]", "no settings by name"),
        ("encoder/config.json", "[" * 100_000, "is not JSON"),
        (
            "tokenizer_config.json",
            '{"additional_special_tokens": ["<question1>"]}',
            "not those of its tokenizer",
        ),
        ("tokenizer_config.json", '{"additional_special_tokens": 5}', "not those of its tokenizer"),
    ],
)
def test_settings_that_make_no_sense(checkpoint, part, content, message):
    (checkpoint / part).write_text(content)
    with pytest.raises(WorkbenchError, match=message):
        load(checkpoint)


@pytest.mark.parametrize(
    "content", [[1], {"config": [], "state_dict": {}}, torch.ones(2), {"state_dict": {}}]
)
def test_a_pickle_of_something_else_is_refused(checkpoint, content):
    torch.save(content, checkpoint / "reconstruction_mlp")
    with pytest.raises(WorkbenchError, match="reconstruction_mlp is no projection"):
        load(checkpoint)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoding_mode": "mean"}, "last_N_tokens, not 'mean'"),
        (
            {"encoding_mode": "last_6_tokens"},
            "6 special tokens are to be read out, but run_config.yml names 5",
        ),
        ({"encoding_mode": "last_0_tokens"}, "0 special tokens"),
        ({"max_input_length": 5}, "leaves no room before 5 special tokens"),
        ({"max_input_length": "long"}, "must be a number, not 'long'"),
        ({"special_tokens": []}, "names 0"),
        ({"special_tokens": ["<question1>", "<other>", "<question3>"]}, "not those of its tokenizer"),
        ({"special_tokens": SPECIAL[::-1]}, "not those of its tokenizer"),
    ],
)
def test_settings_that_cannot_be_followed(tmp_path, tiny_backbone_dir, changes, message):
    with pytest.raises(WorkbenchError, match=message):
        load(write_checkpoint(tmp_path, tiny_backbone_dir, **changes))


def test_a_decoder_of_its_own_is_refused(checkpoint):
    write_json(checkpoint / "encoder_decoder_config.json", {"save_decoder": True})
    with pytest.raises(WorkbenchError, match="a model of its own"):
        load(checkpoint)


@pytest.mark.parametrize("config", [{"size": 3}, {"pooling_mode": "mean_linear"}])
def test_a_projection_of_another_kind_is_refused(checkpoint, config):
    write_projection(checkpoint / "alignment_mlp", 32, 12, torch.Generator(), **config)
    with pytest.raises(WorkbenchError, match="alignment_mlp is a projection of another kind"):
        load(checkpoint)


def test_a_projection_that_does_not_fit_is_refused(checkpoint):
    write_projection(checkpoint / "alignment_mlp", 31, 12, torch.Generator())
    with pytest.raises(
        WorkbenchError, match=r"alignment\.weight is \(12, 31\), where the base model has \(12, 32\)"
    ):
        load(checkpoint)


def test_an_adapter_of_another_kind_is_refused(checkpoint):
    path = checkpoint / "encoder/adapter_config.json"
    write_json(path, {"peft_type": "IA3"})
    with pytest.raises(WorkbenchError, match="'IA3'"):
        load(checkpoint)
    write_json(path, {"peft_type": "TRAINABLE_TOKENS", "token_indices": [0, 1, 2, 3, 4]})
    with pytest.raises(WorkbenchError, match="lacks trained rows"):
        load(checkpoint)
    write_json(path, {"peft_type": "TRAINABLE_TOKENS", "token_indices": [0]})
    with pytest.raises(WorkbenchError, match="not those that adapter_config"):
        load(checkpoint)


@pytest.mark.parametrize("option", ["use_rslora", "alpha_pattern", "layer_replication"])
def test_a_lora_that_counts_otherwise_is_refused(checkpoint, tiny_backbone_dir, option):
    add_lora(checkpoint, tiny_backbone_dir)
    path = checkpoint / "encoder/adapter_config.json"
    write_json(path, json.loads(path.read_text()) | {option: {"q_proj": 3}})
    with pytest.raises(WorkbenchError, match=option):
        load(checkpoint)


def test_tensors_that_have_no_place_here_are_refused(checkpoint, tiny_backbone_dir):
    add_lora(checkpoint, tiny_backbone_dir)
    path = checkpoint / "encoder/adapter_model.safetensors"
    tensors = load_file(path)
    other = torch.ones(2, 32)
    save_file({**tensors, "base_model.model.layers.9.mlp.up_proj.lora_A.weight": other}, path)
    with pytest.raises(WorkbenchError, match="layers/9/mlp/up_proj"):
        load(checkpoint)
    save_file({**tensors, "base_model.model.layers.0.mlp.lora_magnitude_vector": other}, path)
    with pytest.raises(WorkbenchError, match="lora_magnitude_vector"):
        load(checkpoint)
