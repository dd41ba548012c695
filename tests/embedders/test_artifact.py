"""Artifacts: the same vectors after reloading, the same bytes from the same embedder, and clear refusals."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from workbench.backbone import Backbone
from workbench.embedders.artifact import check_fingerprint, load_embedder, save
from workbench.embedders.auto import AutoEmbedder
from workbench.embedders.config import LLM2VecGenConfig
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.errors import FingerprintMismatch, UsageError, WorkbenchError

TEXTS = ["What is the capital of Japan?", "gold"]
ABOUT = {"metrics": {"loss_recon": 0.5}, "seeds": {"training": 3}, "data_hash": "abc123"}


@pytest.fixture
def backbone(tiny_backbone_dir):
    return Backbone.load(str(tiny_backbone_dir), device="cpu")


@pytest.fixture
def saved(backbone, tmp_path):
    embedder = LLM2VecGen.untrained(
        backbone, LLM2VecGenConfig(dimension=12, n_compression=3, n_thought=1), seed=5
    )
    embedder.prompts["query"] = "Answer this:"
    save(embedder, tmp_path / "embedder", **ABOUT)
    return embedder, tmp_path / "embedder"


def test_reloading_gives_the_same_vectors(saved):
    embedder, folder = saved
    again = load_embedder(folder, device="cpu")
    assert again.prompts == embedder.prompts
    assert again.config == embedder.config
    assert again.fingerprint() == embedder.fingerprint()
    np.testing.assert_array_equal(again.encode_query(TEXTS), embedder.encode_query(TEXTS))


def test_from_pretrained_is_the_same_loader(saved):
    embedder, folder = saved
    again = AutoEmbedder.from_pretrained(folder, device="cpu", local_files_only=True)
    assert again.fingerprint() == embedder.fingerprint()
    with pytest.raises(TypeError, match="from_pretrained"):
        AutoEmbedder()


def test_reloading_in_another_process_gives_the_same_vectors(saved):
    embedder, folder = saved
    script = (
        "import sys, torch, numpy as np; torch.set_num_threads(1)\n"
        "from workbench import load_embedder\n"
        f"vectors = load_embedder({str(folder)!r}, device='cpu').encode({TEXTS!r})\n"
        "np.save(sys.argv[1], vectors)"
    )
    output = folder.parent / "vectors.npy"
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", script, str(output)], check=True, cwd=root, timeout=600)
    np.testing.assert_array_equal(np.load(output), embedder.encode(TEXTS))


def test_the_same_embedder_gives_the_same_bytes(saved):
    embedder, folder = saved
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    own = {"config.json", "model.safetensors", "README.md"}
    assert set(before) == own | {"modules.json", "config_sentence_transformers.json"}
    save(embedder, folder, **ABOUT)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_the_backbones_path_is_relative_to_the_artifact(saved, tiny_backbone_dir):
    _, folder = saved
    named = json.loads((folder / "config.json").read_text())["backbone"]
    assert not Path(named).is_absolute()
    assert (folder / named).resolve() == tiny_backbone_dir.resolve()


def test_the_manifest_records_where_the_embedder_comes_from(saved, backbone):
    manifest = json.loads((saved[1] / "config.json").read_text())
    assert manifest["schema"] == 1
    assert manifest["fingerprint"] == backbone.fingerprint()
    assert (manifest["seeds"], manifest["data_hash"]) == ({"training": 3}, "abc123")
    assert {"torch", "transformers"} <= set(manifest["libraries"])


def test_the_card_states_what_a_reader_needs(saved, backbone):
    card = (saved[1] / "README.md").read_text()
    wanted = ["license: mit", "abc123", "training 3", "loss_recon", "0.5", "torch", "load_embedder", "cannot"]
    for part in [*wanted, *backbone.fingerprint().values()]:
        assert part in card, part


@pytest.mark.parametrize("part", ["config", "weights", "tokenizer", "template"])
def test_a_mismatch_in_any_part_is_refused_and_names_both_sides(saved, backbone, part):
    _, folder = saved
    manifest = json.loads((folder / "config.json").read_text())
    ours = manifest["fingerprint"][part]
    manifest["fingerprint"][part] = "something-else"
    (folder / "config.json").write_text(json.dumps(manifest))
    with pytest.raises(FingerprintMismatch) as refused:
        load_embedder(folder, backbone=backbone)
    for word in (part, "something-else", ours[:12], str(folder)):
        assert word in str(refused.value)


def test_revision_counts_where_both_are_known_and_the_name_where_weights_are_not():
    same = {"backbone": "a/b", "revision": "1", "weights": "w"}
    check_fingerprint(same, {**same, "backbone": "/copies/b"}, "it")
    check_fingerprint(same, {**same, "revision": ""}, "it")
    with pytest.raises(FingerprintMismatch, match="revision"):
        check_fingerprint(same, {**same, "revision": "2"}, "it")
    unknown = {"backbone": "a/b", "revision": "", "weights": ""}
    with pytest.raises(FingerprintMismatch, match="a/c"):
        check_fingerprint(unknown, {**unknown, "backbone": "a/c"}, "it")


def test_another_backbone_is_refused(saved, make_tiny):
    with pytest.raises(FingerprintMismatch):
        load_embedder(saved[1], backbone=make_tiny("llama", seed=1))


def test_changed_weights_are_refused(saved):
    weights = saved[1] / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\1\1")
    with pytest.raises(WorkbenchError, match=r"model\.safetensors"):
        load_embedder(saved[1])


def test_tensors_that_do_not_fit_the_configuration_are_refused(saved, backbone):
    folder = saved[1]
    manifest = json.loads((folder / "config.json").read_text())
    manifest["config"]["n_compression"] = 7
    (folder / "config.json").write_text(json.dumps(manifest))
    with pytest.raises(WorkbenchError, match="do not fit"):
        load_embedder(folder, backbone=backbone)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "config.json: not valid JSON"),
        ("[]", "no embedder configuration"),
        ('{"schema": 99}', "schema 99"),
    ],
)
def test_a_damaged_manifest_is_refused(saved, content, message):
    (saved[1] / "config.json").write_text(content)
    with pytest.raises(WorkbenchError, match=message):
        load_embedder(saved[1])


def test_an_unknown_method_is_refused(saved):
    folder = saved[1]
    manifest = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**manifest, "method": "magic"}))
    with pytest.raises(WorkbenchError, match="magic"):
        load_embedder(folder)


def test_paths_that_lead_nowhere_are_usage_errors(tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        load_embedder(tmp_path / "missing")
    with pytest.raises(UsageError, match="no embedder"):
        load_embedder(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        load_embedder(tmp_path / "file")
    with pytest.raises(UsageError, match="some-org/no-such-embedder"):
        load_embedder("some-org/no-such-embedder")


def test_saving_leaves_foreign_files_alone_and_a_failed_save_what_was_there(saved, monkeypatch):
    embedder, folder = saved
    (folder / "notes.txt").write_text("mine")

    def full(*_, **__):
        raise OSError("no space left on device")

    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.setattr("workbench.embedders.manifest.save_file", full)
    with pytest.raises(OSError, match="no space"):
        save(embedder, folder)
    assert (folder / "notes.txt").read_text() == "mine"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_save_that_is_killed_while_files_are_replaced_is_refused(saved, monkeypatch):
    embedder, folder = saved
    replace, replaced = Path.replace, []

    def killed(self, target):
        replaced.append(Path(target).name)
        if len(replaced) == 2:
            raise KeyboardInterrupt
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        save(embedder, folder)
    with pytest.raises(UsageError, match="no embedder"):
        load_embedder(folder)


def test_lora_is_saved_too(backbone, tmp_path):
    embedder = LLM2VecGen.untrained(backbone, LLM2VecGenConfig(dimension=12, lora_rank=2))
    for up in embedder.module.lora.up.values():
        up.data.normal_()
    save(embedder, tmp_path / "e")
    np.testing.assert_array_equal(load_embedder(tmp_path / "e").encode(TEXTS), embedder.encode(TEXTS))
