"""Names that lead somewhere, and one clear line for those that do not."""

import json
import shutil

import pytest
import torch
from transformers import PreTrainedModel

from workbench.backbone import Backbone, load
from workbench.errors import UsageError, WorkbenchError


def refused(name, kind, match, **options):
    with pytest.raises(kind, match=match) as caught:
        Backbone.load(str(name), device="cpu", **options)
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)


def test_a_saved_model_speaks_as_it_did(tiny_backbone, tiny_backbone_dir):
    loaded = Backbone.load(str(tiny_backbone_dir), device="cpu")
    assert (loaded.id, loaded.revision, loaded.dtype) == (str(tiny_backbone_dir), None, torch.float32)
    assert loaded.respond(["Paris", "gold"], max_new_tokens=8) == tiny_backbone.respond(
        ["Paris", "gold"], max_new_tokens=8
    )
    assert not any(weight.requires_grad for weight in loaded.model.parameters())


@pytest.mark.parametrize("kind", ["cuda", "cpu"])
def test_norms_are_fused_on_a_gpu_alone(tiny_backbone_dir, monkeypatch, kind):
    """The weights stay where they are: there is no GPU."""
    monkeypatch.setattr(load, "pick_device", lambda _: torch.device(kind))
    monkeypatch.setattr(PreTrainedModel, "to", lambda self, _: self)
    model = Backbone.load(str(tiny_backbone_dir), dtype="float32").model
    fused = [module for module in model.modules() if "forward" in vars(module)]
    assert len(fused) == (5 if kind == "cuda" else 0)  # two a block of Llama's, and the last


def test_fieldguide_is_the_shipped_default(tiny_backbone_dir, tmp_path, monkeypatch):
    shutil.copytree(tiny_backbone_dir, tmp_path / "fieldguide" / "model")
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    assert Backbone.load(device="cpu").id == "fieldguide"


def test_gpt2_without_template_and_pad_token(tiny_gpt2_dir):
    gpt2 = Backbone.load(str(tiny_gpt2_dir), device="cpu")
    assert len(gpt2.respond(["Paris", "What is gold?"], max_new_tokens=4)) == 2


def test_names_that_lead_nowhere(tmp_path):
    refused("nobody/nothing", UsageError, "unknown backbone 'nobody/nothing'")
    refused("./nothing", UsageError, "no backbone at")
    refused("", UsageError, "no backbone at ''")
    refused(tmp_path, UsageError, "without a config.json")
    (tmp_path / "file").write_text("x")
    refused(tmp_path / "file", UsageError, "no backbone at")


def test_options_that_do_not_exist(tiny_backbone_dir):
    refused(tiny_backbone_dir, UsageError, "unknown dtype 'int3'", dtype="int3")
    with pytest.raises(UsageError, match="no device 'toaster'"):
        Backbone.load(str(tiny_backbone_dir), device="toaster")


def test_damaged_and_missing_weights(tiny_backbone_dir, tmp_path):
    from safetensors.torch import load_file, save_file

    torn = shutil.copytree(tiny_backbone_dir, tmp_path / "torn")
    weights = torn / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    refused(torn, WorkbenchError, "cannot read the weights")
    lacking = shutil.copytree(tiny_backbone_dir, tmp_path / "lacking")
    state = load_file(lacking / "model.safetensors")
    del state["model.layers.1.mlp.up_proj.weight"]
    save_file(state, lacking / "model.safetensors", metadata={"format": "pt"})
    refused(lacking, WorkbenchError, "lacks 1 weights, the first is model.layers.1.mlp.up_proj.weight")


def test_models_that_are_no_backbone(tiny_backbone_dir, tmp_path):
    for change in ({"architectures": ["BertForMaskedLM"]}, {"is_encoder_decoder": True}):
        folder = shutil.copytree(tiny_backbone_dir, tmp_path / next(iter(change)))
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | change))
        refused(folder, UsageError, "decoder-only")


def test_the_hub_is_asked_once_and_an_offline_setting_is_respected(monkeypatch):
    from workbench.hub import hub_reachable

    hub_reachable.cache_clear()
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert hub_reachable() is False
    hub_reachable.cache_clear()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert hub_reachable() is False
