"""The lifter: arithmetic by hand, direction alone, the artifact, and what is refused."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from workbench.backbone import Backbone
from workbench.embedders.artifact import load_embedder, save
from workbench.embedders.config import GEMConfig, LifterConfig, LLM2VecGenConfig
from workbench.embedders.gem import GEM
from workbench.embedders.lifter import Lifter
from workbench.embedders.lifter_artifact import load_lifter, save_lifter
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.errors import FingerprintMismatch, UsageError, WorkbenchError

SHAPE = LifterConfig(width=16, n_prompts=3, dimension=12, size=32)


def filled(config=SHAPE, seed=1):
    """A lifter whose every tensor is random, buffers too."""
    lifter = Lifter(config)
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in lifter.state_dict().values():
            tensor.copy_(torch.rand(tensor.shape, generator=draw) + 0.1)
    return lifter


def vectors(rows=5, size=12, seed=0):
    return np.random.default_rng(seed).normal(size=(rows, size)).astype(np.float32)


@pytest.fixture(scope="module")
def embedder(tiny_backbone_dir):
    backbone = Backbone.load(str(tiny_backbone_dir), device="cpu")
    return LLM2VecGen.untrained(backbone, LLM2VecGenConfig(dimension=12, n_compression=3), seed=5)


@pytest.fixture
def saved(embedder, tmp_path):
    lifter = filled()
    about = {"metrics": {"loss_recon": 0.5}, "seeds": {"training": 3}, "data_hash": "abc"}
    return lifter, save_lifter(lifter, embedder, tmp_path / "lifter", training={"teacher": "fake"}, **about)


def test_a_vector_of_two_numbers_by_hand():
    """(3, 4) has the direction (0.6, 0.8); GELU(x) = x * Phi(x)."""
    lifter = Lifter(LifterConfig(width=2, n_prompts=2, dimension=2, size=1))
    with torch.no_grad():
        lifter.center.copy_(torch.tensor([0.1, 0.0]))
        lifter.spread.copy_(torch.tensor(0.5))
        lifter.inner.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 2.0]]))
        lifter.outer.weight.copy_(torch.tensor([[1.0, 1.0], [0.0, 3.0]]))
        lifter.outer.bias.copy_(torch.tensor([0.5, 0.0]))
    # (0.6 - 0.1) / 0.5 = 1; 0.8 / 0.5 * 2 = 3.2
    first, second = (x * (1 + math.erf(x / math.sqrt(2))) / 2 for x in (1.0, 3.2))
    wanted = torch.tensor([[[first + second + 0.5], [3 * second]]])
    torch.testing.assert_close(lifter.lift(np.array([3.0, 4.0])), wanted)


def test_the_start_by_hand():
    """Directions (0.6, 0.8), (0, 1), (-0.6, 0.8): mean (0, 2.6 / 3), squares off it 0.36 * 2 + 0.08 / 3, numbers 6."""
    lifter = Lifter(LifterConfig(width=4, n_prompts=2, dimension=2, size=1))
    prompts = torch.tensor([[[1.0], [2.0]], [[3.0], [6.0]]])
    lifter.start(torch.tensor([[3.0, 4.0], [0.0, 2.0], [-6.0, 8.0]]), prompts)
    torch.testing.assert_close(lifter.center, torch.tensor([0.0, 2.6 / 3]))
    assert float(lifter.spread) == pytest.approx(math.sqrt((0.72 + 0.08 / 3) / 6), rel=1e-5)
    assert lifter.outer.bias.tolist() == [2.0, 4.0]
    assert lifter.inner.weight.std() > 0, "what the start does not set was drawn"


def test_the_direction_alone_counts():
    lifter, rows = filled(), vectors()
    torch.testing.assert_close(lifter.lift(0.01 * rows), lifter.lift(100 * rows))
    assert not torch.allclose(lifter.lift(rows), lifter.lift(-rows))


def test_a_batch_changes_nothing():
    lifter, rows = filled(), vectors(7)
    together = lifter.lift(rows)
    assert together.shape == (7, 3, 32)
    torch.testing.assert_close(together, torch.cat([lifter.lift(row) for row in rows]))
    torch.testing.assert_close(together, lifter.lift(torch.tensor(rows), batch_size=2))
    assert lifter.lift(rows[:0]).shape == (0, 3, 32)


@pytest.mark.parametrize("shape", [(11,), (2, 13), (2, 3, 12), ()])
def test_vectors_of_another_shape_are_refused(shape):
    with pytest.raises(WorkbenchError, match=r"vectors of shape .*, but this lifter reads \[b, 12\]"):
        filled().lift(np.ones(shape, dtype=np.float32))


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0])
def test_vectors_without_a_direction_are_refused(bad):
    rows = vectors()
    rows[3] = bad
    with pytest.raises(WorkbenchError, match="1 of 5 vectors are 0 or not finite, the first is number 3"):
        filled().lift(rows)


def test_a_shape_that_is_not_known_is_refused():
    with pytest.raises(UsageError, match="a lifter needs dimension"):
        Lifter(LifterConfig())
    with pytest.raises(UsageError, match="width must be at least 1, not 0"):
        LifterConfig(width=0)


def test_reloading_gives_the_same_soft_prompts_and_the_same_bytes(saved, embedder, tmp_path):
    lifter, folder = saved
    again = load_lifter(embedder, folder)
    assert again.config == lifter.config
    assert torch.equal(again.lift(vectors()), lifter.lift(vectors()))
    about = {"metrics": {"loss_recon": 0.5}, "seeds": {"training": 3}, "data_hash": "abc"}
    other = save_lifter(again, embedder, tmp_path / "other", training={"teacher": "fake"}, **about)
    for name in ("config.json", "model.safetensors", "README.md"):
        assert (other / name).read_bytes() == (folder / name).read_bytes()
    card = (folder / "README.md").read_text()
    assert embedder.fingerprint() in card
    assert "`fake` makes of any text" in card


def test_an_embedder_saved_and_loaded_again_fits(saved, embedder, tmp_path):
    lifter, folder = saved
    again = load_embedder(save(embedder, tmp_path / "embedder"), device="cpu")
    assert torch.equal(load_lifter(again, folder).lift(vectors()), lifter.lift(vectors()))


def test_another_embedder_or_backbone_is_refused(saved, embedder, make_tiny):
    _, folder = saved
    other = LLM2VecGen.untrained(embedder.backbone, embedder.config, seed=6)
    with pytest.raises(
        FingerprintMismatch, match=r"its embedder is.*`workbench train lifter` makes one"
    ) as refusal:
        load_lifter(other, folder)
    assert "\n" not in str(refusal.value)
    wider = GEM.untrained(embedder.backbone, GEMConfig(n_special=2))
    with pytest.raises(FingerprintMismatch, match="its embedder is"):
        load_lifter(wider, folder)
    elsewhere = LLM2VecGen.untrained(make_tiny("llama", seed=9), embedder.config, seed=5)
    with pytest.raises(FingerprintMismatch, match="its weights is"):
        load_lifter(elsewhere, folder)


def test_what_is_no_lifter_is_refused(saved, embedder, tmp_path, monkeypatch):
    _, folder = saved
    with pytest.raises(UsageError, match=r"no lifter at .*nowhere"):
        load_lifter(embedder, tmp_path / "nowhere")
    save(embedder, tmp_path / "embedder")
    with pytest.raises(UsageError, match="holds a llm2vec-gen, which is no lifter"):
        load_lifter(embedder, tmp_path / "embedder")
    with pytest.raises(WorkbenchError, match="unknown method 'lifter'"):
        load_embedder(folder, backbone=embedder.backbone)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        save_lifter(filled(), embedder, tmp_path / "file")
    monkeypatch.setattr("workbench.files.PACKAGE", tmp_path / "elsewhere" / "workbench")
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path / "empty"))
    with pytest.raises(UsageError, match="the shipped lifters/llm2vec-gen is not there"):
        load_lifter(embedder)


def test_damage_is_refused(saved, embedder):
    _, folder = saved
    config = json.loads((folder / "config.json").read_text())
    changed = {**config, "config": {**config["config"], "width": 15}}
    (folder / "config.json").write_text(json.dumps(changed))
    with pytest.raises(WorkbenchError, match="do not fit their configuration"):
        load_lifter(embedder, folder)
    (folder / "config.json").write_text(json.dumps(config))
    with open(folder / "model.safetensors", "r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x7f")
    with pytest.raises(WorkbenchError, match="not the file that"):
        load_lifter(embedder, folder)


def test_an_interrupted_save_leaves_what_was_there(saved, embedder, monkeypatch):
    _, folder = saved

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.setattr("workbench.embedders.manifest.save_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_lifter(filled(replace(SHAPE, width=8)), embedder, folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
