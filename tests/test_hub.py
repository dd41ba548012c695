"""Hub ids: read from a cache with the options of `from_pretrained`, and a miss names the command that fetches it."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from workbench import load_embedder
from workbench.backbone import Backbone
from workbench.embedders.artifact import save
from workbench.embedders.config import LLM2VecGenConfig
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.errors import UsageError
from workbench.hub import HubAccess, fetch_command

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TEXTS = ["What is the capital of Japan?", "gold"]


def put_in_cache(cache: Path, repository: str, folder: Path) -> None:
    """`folder` as the hub's client keeps a downloaded repository, its branch main at COMMIT."""
    place = cache / f"models--{repository.replace('/', '--')}"
    shutil.copytree(folder, place / "snapshots" / COMMIT)
    (place / "refs").mkdir()
    (place / "refs/main").write_text(COMMIT)


@pytest.fixture
def cache(tiny_backbone_dir, tmp_path, monkeypatch):
    """A hub's cache with a backbone, and an embedder that names it by its hub id."""
    monkeypatch.setattr("workbench.hub.hub_reachable", lambda: pytest.fail("the hub was asked"))
    put_in_cache(tmp_path / "cache", "them/lm", tiny_backbone_dir)
    backbone = Backbone.load("them/lm", cache_dir=tmp_path / "cache", local_files_only=True)
    embedder = LLM2VecGen.untrained(backbone, LLM2VecGenConfig(dimension=6, n_compression=2), seed=1)
    put_in_cache(tmp_path / "cache", "you/embedder", save(embedder, tmp_path / "saved"))
    return tmp_path / "cache", embedder


def test_a_cached_embedder_and_its_backbone_load_without_asking_the_hub(cache):
    folder, embedder = cache
    assert embedder.backbone.revision == COMMIT
    found = load_embedder("you/embedder", cache_dir=folder, local_files_only=True)
    np.testing.assert_array_equal(found.encode(TEXTS), embedder.encode(TEXTS))
    assert found.backbone.fingerprint() == embedder.backbone.fingerprint()


def test_a_miss_names_the_repository_and_the_command_that_fetches_it(cache):
    folder, _ = cache
    options = {"cache_dir": folder, "local_files_only": True, "revision": "v2"}
    command = f"hf download you/other --revision v2 --cache-dir {folder}"
    with pytest.raises(UsageError, match=f"no embedder at you/other: .*{command}"):
        load_embedder("you/other", **options)
    with pytest.raises(UsageError, match=f"unknown backbone 'you/other'.*{command}"):
        Backbone.load("you/other", **options)


def test_an_unreachable_hub_means_the_cache_alone(monkeypatch):
    monkeypatch.setattr("workbench.hub.hub_reachable", lambda: False)
    assert HubAccess(token="secret").options() == {
        "token": "secret", "cache_dir": None, "local_files_only": True
    }  # fmt: skip
    monkeypatch.setattr("workbench.hub.hub_reachable", lambda: True)
    assert HubAccess().options()["local_files_only"] is False
    assert fetch_command("a/b") == "hf download a/b"
