"""`workbench convert`: an official checkpoint becomes an artifact with the same vectors, or one clear line."""

import json
import os

import numpy as np
import pytest
import torch
from official_checkpoints import write_checkpoint

from workbench.embedders.artifact import load_embedder
from workbench.errors import FingerprintMismatch

TEXTS = ["What is the capital of Japan?", "gold", "Tell me about gold. " * 20]


@pytest.fixture
def checkpoint(tmp_path, tiny_backbone_dir):
    return write_checkpoint(tmp_path, tiny_backbone_dir)


def refused(ran, code, *words):
    """The run ended with `code` and one line that holds the words."""
    assert (ran.code, ran.out) == (code, "")
    assert ran.err.count("\n") == 1, ran.err
    return all(word in ran.error for word in words) or ran.error


def test_the_artifact_gives_the_checkpoints_vectors(cli, checkpoint, tmp_path, make_tiny):
    output = tmp_path / "made" / "embedder"
    ran = cli("convert", checkpoint, output)
    assert ran.code == 0, ran.err
    assert "llm2vec-gen of dimension 12" in ran.error
    before, after = load_embedder(checkpoint), load_embedder(output)
    assert after.fingerprint() == before.fingerprint()
    for part in ("embedding", "soft_prompts"):
        made, given = (getattr(embedder.represent(TEXTS), part) for embedder in (after, before))
        np.testing.assert_array_equal(made, given)
    saved = json.loads((output / "config.json").read_text())
    assert (output / saved["backbone"]).resolve() == (tmp_path / "base").resolve()
    assert saved["training"]["converted_from"] == str(checkpoint)
    with pytest.raises(FingerprintMismatch):  # which the checkpoint could not tell by its own hash
        load_embedder(output, backbone=make_tiny("llama", seed=1))


def test_the_base_model_that_is_given_is_used(cli, checkpoint, tmp_path, tiny_backbone_dir):
    (tmp_path / "base").rename(tmp_path / "gone")
    assert refused(cli("convert", checkpoint, tmp_path / "made"), 2, "'base'") is True
    assert not (tmp_path / "made").exists()
    ran = cli("convert", checkpoint, tmp_path / "made", "--backbone", tiny_backbone_dir)
    assert ran.code == 0, ran.err
    assert load_embedder(tmp_path / "made").encode(TEXTS).shape == (3, 12)


def test_what_is_no_official_checkpoint(cli, tiny_embedder_dir, tiny_backbone_dir, tmp_path):
    output = tmp_path / "made"
    assert refused(cli("convert", tmp_path / "nothing", output), 2, "no embedder at") is True
    for folder in (tiny_embedder_dir, tiny_backbone_dir):
        assert refused(cli("convert", folder, output), 2, "no checkpoint of the official") is True
    assert not output.exists()


def test_an_output_that_cannot_be_written(cli, checkpoint, tmp_path):
    (tmp_path / "file").write_text("mine")
    assert refused(cli("convert", checkpoint, tmp_path / "file"), 2, "is a file") is True
    assert refused(cli("convert", checkpoint, tmp_path / "file" / "made"), 2, "not a directory") is True
    before = sorted(path.name for path in checkpoint.iterdir())
    assert refused(cli("convert", checkpoint, checkpoint), 2, "name another folder") is True
    assert sorted(path.name for path in checkpoint.iterdir()) == before
    assert (tmp_path / "file").read_text() == "mine"


def test_a_damaged_or_dangerous_checkpoint(cli, checkpoint, tmp_path):
    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'ran'}",)

    torch.save({"config": Evil(), "state_dict": {}}, checkpoint / "alignment_mlp")
    assert (
        refused(cli("convert", checkpoint, tmp_path / "made"), 1, "alignment_mlp", "could run code") is True
    )
    (checkpoint / "alignment_mlp").unlink()
    assert refused(cli("convert", checkpoint, tmp_path / "made"), 1, "alignment_mlp", "missing") is True
    assert not (tmp_path / "made").exists()
    assert not (tmp_path / "ran").exists()


def test_commands_that_need_an_artifact_say_so(cli, checkpoint, tmp_path):
    (tmp_path / "q.txt").write_text("gold\nsilver\n")
    ran = cli("embed", "--embedder", checkpoint, "--text", "gold", "--output", tmp_path / "v.npy")
    assert ran.code == 0, ran.err
    np.testing.assert_allclose(np.load(tmp_path / "v.npy"), load_embedder(checkpoint).encode(["gold"]))
    ran = cli("train", "align", "--embedder", checkpoint, "--queries", tmp_path / "q.txt", "--teacher", "mean-pool",
              "--max-new-tokens", 4, "--output", tmp_path / "aligned")  # fmt: skip
    assert ran.code == 2
    assert "workbench convert" in ran.error
