"""Folders from strangers: nothing in them is run, and no name in them leads to a file elsewhere."""

import json
import os
import shutil
from contextlib import nullcontext, suppress

import pytest
import torch
from safetensors.torch import load_file, save_file

from workbench.backbone import Backbone
from workbench.embedders.artifact import load_embedder, save
from workbench.embedders.config import LLM2VecGenConfig
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.errors import FingerprintMismatch, UsageError, WorkbenchError
from workbench.files import check_inside
from workbench.training.teachers import load_teacher


@pytest.fixture
def folder(tmp_path, tiny_backbone_dir):
    return shutil.copytree(tiny_backbone_dir, tmp_path / "models" / "mine")


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


def test_the_pickle_would_have_run(tmp_path):
    torch.save({"x": Evil(tmp_path / "ran")}, tmp_path / "evil.bin")
    torch.load(tmp_path / "evil.bin", weights_only=False)
    assert (tmp_path / "ran").exists()


def test_weights_in_a_pickle_that_runs_code_are_refused_and_not_run(folder, tmp_path):
    (folder / "model.safetensors").unlink()
    torch.save({"lm_head.weight": Evil(tmp_path / "ran")}, folder / "pytorch_model.bin")
    with pytest.raises(WorkbenchError, match="mine"):
        Backbone.load(str(folder))
    assert not (tmp_path / "ran").exists()


def test_code_beside_a_model_is_not_run_unless_it_is_asked_for(folder, tmp_path):
    (folder / "evil.py").write_text(f"import os\nos.system('touch {tmp_path / 'ran'}')\nclass Evil: pass\n")
    config = json.loads((folder / "config.json").read_text())
    for kind in ("evil", "llama"):
        config |= {
            "model_type": kind,
            "auto_map": {"AutoConfig": "evil.Evil", "AutoModelForCausalLM": "evil.Evil"},
        }
        (folder / "config.json").write_text(json.dumps(config))
        expected = pytest.raises(UsageError, match="--trust-remote-code") if kind == "evil" else nullcontext()
        with expected:
            Backbone.load(str(folder))
        assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "elsewhere", ["../other/weights.safetensors", "absolute", "a/../../other/weights.safetensors"]
)
def test_an_index_of_weights_that_leads_elsewhere_is_refused(folder, elsewhere):
    other = folder.parent / "other"
    other.mkdir()
    tensors = load_file(folder / "model.safetensors")
    save_file(tensors, other / "weights.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").unlink()
    name = str(other / "weights.safetensors") if elsewhere == "absolute" else elsewhere
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": dict.fromkeys(tensors, name)}))
    with pytest.raises(WorkbenchError, match="which is no file of its own folder"):
        Backbone.load(str(folder))
    save_file(tensors, folder / "part.safetensors", metadata={"format": "pt"})
    index.write_text(json.dumps({"metadata": {}, "weight_map": dict.fromkeys(tensors, "part.safetensors")}))
    assert Backbone.load(str(folder)).fingerprint()["weights"]


WRONG_INDICES = ["[]", "{", '{"weight_map": 3}', '{"weight_map": {"a": null}}', '{"weight_map": {"a": 5}}']


@pytest.mark.parametrize("content", WRONG_INDICES)
def test_an_index_of_weights_that_is_none_is_refused(folder, content):
    (folder / "model.safetensors.index.json").write_text(content)
    with pytest.raises(WorkbenchError, match=r"index\.json"):
        Backbone.load(str(folder))


@pytest.mark.parametrize(
    "file", ["config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"]
)
@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"3", b"\xff", b"{}", b"[" * 100_000, b'{"a": "\\ud800"}']
)
def test_a_damaged_part_of_a_model_is_one_clear_line(folder, file, content):
    (folder / file).write_bytes(content)
    with suppress(WorkbenchError):  # an empty generation_config.json, for one, is none, and is not missed
        Backbone.load(str(folder))


def test_a_flipped_byte_of_the_weights_does_not_fit_the_artifact_any_more(folder, tmp_path):
    embedder = LLM2VecGen.untrained(
        Backbone.load(str(folder)), LLM2VecGenConfig(n_compression=2, dimension=8)
    )
    save(embedder, tmp_path / "e")
    path = folder / "model.safetensors"
    whole = bytearray(path.read_bytes())
    whole[-5] ^= 1
    path.write_bytes(bytes(whole))
    with pytest.raises(FingerprintMismatch, match="its weights is"):
        load_embedder(tmp_path / "e")
    path.write_bytes(bytes(whole[:-100]))
    with pytest.raises(WorkbenchError, match="mine"):
        load_embedder(tmp_path / "e")
    own = tmp_path / "e" / "model.safetensors"
    flipped = bytearray(own.read_bytes())
    flipped[-1] ^= 1
    own.write_bytes(bytes(flipped))
    with pytest.raises(WorkbenchError, match=r"not the file that config\.json was written for"):
        load_embedder(tmp_path / "e")


def test_modules_of_a_teacher_stay_in_its_folder_and_none_of_its_code_is_run(tmp_path):
    teacher = tmp_path / "teacher"
    teacher.mkdir()
    (teacher / "evil.py").write_text(f"import os\nos.system('touch {tmp_path / 'ran'}')\nclass Evil: pass\n")
    (teacher / "config.json").write_text("{}")
    for path, kind in (("../elsewhere", "sentence_transformers.models.Transformer"), ("/etc", "x.Y")):
        (teacher / "modules.json").write_text(
            json.dumps([{"idx": 0, "name": "0", "path": path, "type": kind}])
        )
        with pytest.raises(WorkbenchError, match="which is no file of its own folder"):
            load_teacher(str(teacher))
    for kind in ("evil.Evil", "os.system", "nothing"):
        (teacher / "modules.json").write_text(json.dumps([{"idx": 0, "name": "0", "path": "", "type": kind}]))
        with pytest.raises(WorkbenchError, match="teacher"):
            load_teacher(str(teacher))
    for content in ("{}", "[3]", "[", '"a"'):
        (teacher / "modules.json").write_text(content)
        with pytest.raises(WorkbenchError, match=r"modules\.json"):
            load_teacher(str(teacher))
    assert not (tmp_path / "ran").exists()


def test_names_that_stay_inside(tmp_path):
    check_inside(["", "a", "a/b", "./a", "a/../b", "a..b"], "x")
    for name in ("..", "../a", "/etc/passwd", "a/../../b", "..\\a", "C:a", None, 3):
        with pytest.raises(WorkbenchError, match="x names"):
            check_inside([name], "x")
