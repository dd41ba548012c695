"""Pushing to the hub: what goes up, what is refused; the hub itself is a stand-in with the real client's signatures."""

import inspect
from types import SimpleNamespace

import huggingface_hub
import pytest

from workbench.embedders import publish
from workbench.embedders.artifact import load_embedder, save
from workbench.embedders.config import LLM2VecGenConfig
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.embedders.publish import push_to_hub
from workbench.errors import UsageError, WorkbenchError


@pytest.fixture
def artifact(tiny_backbone, tmp_path):
    embedder = LLM2VecGen.untrained(tiny_backbone, LLM2VecGenConfig(n_compression=2, dimension=6))
    folder = save(embedder, tmp_path / "artifact")
    (folder / "notes.txt").write_text("mine")
    return folder


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """What reached the hub: calls, and a folder as `allow_patterns` lets it through."""
    calls = {}
    real = huggingface_hub.HfApi

    class Stand:
        def __init__(self, **options):
            inspect.signature(real.__init__).bind(self, **options)
            calls["token"] = options.get("token")

        def create_repo(self, *arguments, **options):
            inspect.signature(real.create_repo).bind(self, *arguments, **options)
            calls["create"] = (arguments, options)

        def upload_folder(self, **options):
            inspect.signature(real.upload_folder).bind(self, **options)
            calls["upload"] = options
            kept = huggingface_hub.utils.filter_repo_objects(
                [path.name for path in options["folder_path"].iterdir()],
                allow_patterns=options["allow_patterns"],
            )
            (tmp_path / "remote").mkdir()
            for name in kept:
                (tmp_path / "remote" / name).write_bytes((options["folder_path"] / name).read_bytes())
            return SimpleNamespace(commit_url="https://hub.example/commit/1")

    monkeypatch.setattr(huggingface_hub, "HfApi", Stand)
    monkeypatch.setattr(publish, "hub_reachable", lambda: True)
    return calls


def test_the_artifact_goes_up_and_loads_again(artifact, hub, tiny_backbone, tmp_path):
    url = push_to_hub(artifact, "me/gold", private=True, token="secret", revision="dev")
    assert url == "https://hub.example/commit/1"
    assert hub["token"] == "secret"
    assert hub["create"] == (("me/gold",), {"private": True, "exist_ok": True})
    assert hub["upload"]["revision"] == "dev"
    assert not (tmp_path / "remote" / "notes.txt").exists(), "only the artifact's own files go up"
    there = load_embedder(tmp_path / "remote", backbone=tiny_backbone)
    here = load_embedder(artifact, backbone=tiny_backbone)
    assert (there.encode(["gold"]) == here.encode(["gold"])).all()


def test_what_nobody_else_could_load_is_refused(artifact, hub, tiny_backbone_dir, tmp_path):
    from workbench.backbone import Backbone

    local = LLM2VecGen.untrained(
        Backbone.load(str(tiny_backbone_dir)), LLM2VecGenConfig(n_compression=2, dimension=6)
    )
    with pytest.raises(UsageError, match="local folder"):
        push_to_hub(save(local, tmp_path / "local"), "me/gold")
    (artifact / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(WorkbenchError, match="not the file"):
        push_to_hub(artifact, "me/gold")
    with pytest.raises(UsageError, match="no embedder"):
        push_to_hub(tmp_path, "me/gold")
    assert "upload" not in hub


@pytest.mark.parametrize("name", ["gold", "a/b/c", "./gold", "me/"])
def test_a_name_that_is_no_repository_is_refused(artifact, hub, name):
    with pytest.raises(UsageError, match="must be like you/name"):
        push_to_hub(artifact, name)


def test_a_hub_that_refuses_or_is_away_is_one_line(artifact, hub, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError("401 Client Error\nmore lines")

    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", refuse)
    with pytest.raises(UsageError, match=r"did not take me/gold: 401 Client Error \(`hf auth login`"):
        push_to_hub(artifact, "me/gold")
    monkeypatch.setattr(publish, "hub_reachable", lambda: False)
    with pytest.raises(UsageError, match="out of reach"):
        push_to_hub(artifact, "me/gold")


def test_the_card_names_a_backbone_of_the_hub_where_the_hub_looks_for_it(artifact):
    from dataclasses import replace

    from workbench.embedders.artifact import Manifest
    from workbench.embedders.card import model_card

    manifest = Manifest.read(artifact)
    assert "base_model" not in model_card(manifest)
    there = replace(manifest, backbone="Qwen/Qwen3-4B", fingerprint={"weights": "hub:abc"})
    front = model_card(there).split("---")[1]
    assert "base_model: Qwen/Qwen3-4B" in front.splitlines()
