"""`workbench train teacher`: what it writes, that another training takes it, and bad input."""

import json

import pytest

FAST = ["--mntp-steps", 2, "--simcse-steps", 2, "--batch-size", 4, "--simcse-batch-size", 4, "--lora-rank", 2,
        "--logging-steps", 1, "--save-steps", 1]  # fmt: skip


def test_a_teacher_is_trained_and_teaches(cli, tmp_path, tiny_backbone_dir, corpus_file):
    folder = tmp_path / "teacher"
    command = (
        "train",
        "teacher",
        "--texts",
        corpus_file,
        "--backbone",
        tiny_backbone_dir,
        "--output",
        folder,
    )
    ran = cli(*command, *FAST)
    assert ran.code == 0, ran.err
    assert "a teacher of dimension 32" in ran.err
    manifest = json.loads((folder / "config.json").read_text())
    assert manifest["method"] == "llm2vec"
    assert manifest["training"]["texts"] == 24, "queries and responses"
    assert (folder / "README.md").is_file()
    before = (folder / "model.safetensors").read_bytes()
    assert cli(*command, *FAST).code == 0
    assert (folder / "model.safetensors").read_bytes() == before
    assert cli(*command, *FAST, "--dropout", 0.2).code == 2
    ran = cli("train", "llm2vec-gen", "--backbone", tiny_backbone_dir, "--queries", corpus_file, "--teacher", folder,
              "--output", tmp_path / "e", "--batch-size", 4, "--n-compression", 3)  # fmt: skip
    assert ran.code == 0, ran.err
    trained = json.loads((tmp_path / "e" / "config.json").read_text())
    assert (trained["dimension"], trained["config"]["teacher"]) == (32, str(folder))


def test_a_teacher_of_another_backbone_is_refused_in_one_line(
    cli, tmp_path, tiny_backbone_dir, tiny_gpt2_dir, corpus_file
):
    folder = tmp_path / "teacher"
    made = cli(
        "train", "teacher", "--texts", corpus_file, "--backbone", tiny_backbone_dir, "--output", folder, *FAST
    )
    assert made.code == 0, made.err
    ran = cli("train", "llm2vec-gen", "--backbone", tiny_gpt2_dir, "--queries", corpus_file, "--teacher", folder,
              "--output", tmp_path / "e")  # fmt: skip
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert "does not fit" in ran.error
    assert not (tmp_path / "e").exists()
    ran = cli("embed", "--embedder", folder, "--text", "gold", "--output", tmp_path / "v.npy")
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert "unknown method 'llm2vec'" in ran.error


@pytest.mark.parametrize(
    ("content", "flags", "code", "words"),
    [
        ("", [], 1, "is empty"),
        ("gold is a metal\n", [], 1, "at least two different texts"),
        ("gold is\nParis is\n", ["--mask-share", 1.5], 2, "mask_share must lie between"),
        ("gold is\nParis is\n", ["--column", "body"], 2, "body"),
        ("gold is\nParis is\n", ["--backbone", "./nothing"], 2, "backbone"),
    ],
)
def test_bad_input(cli, tmp_path, tiny_backbone_dir, content, flags, code, words):
    (tmp_path / "a.txt").write_text(content)
    ran = cli("train", "teacher", "--texts", tmp_path / "a.txt", "--backbone", tiny_backbone_dir,
              "--output", tmp_path / "out", *FAST, *flags)  # fmt: skip
    assert (ran.code, ran.err.count("\n")) == (code, 1), ran.err
    assert words in ran.error
    assert not (tmp_path / "out").exists()


def test_a_missing_file_and_an_output_that_is_a_file(cli, tmp_path, tiny_backbone_dir):
    ran = cli("train", "teacher", "--texts", tmp_path / "no.txt", "--output", tmp_path / "out")
    assert (ran.code, "no such file" in ran.error) == (2, True)
    (tmp_path / "a.txt").write_text("gold is\nParis is\n")
    ran = cli("train", "teacher", "--texts", tmp_path / "a.txt", "--output", tmp_path / "a.txt")
    assert (ran.code, "the output is a file" in ran.error) == (2, True)
