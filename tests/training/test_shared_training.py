"""Two real processes over gloo train as one does: the same losses at every step, the same tensors, one log."""

import json
from pathlib import Path

import pytest
import shared_recipes
from launching import launch
from safetensors.torch import load_file

from workbench.backbone import Backbone
from workbench.training import llm2vec_gen

pytestmark = pytest.mark.slow
NAMES = [*shared_recipes.RECIPES, "lifter"]


def interrupt(backbone, output):
    """Begin the recipe "resumed" in this process alone and stop it behind its first checkpoint."""
    forward, calls = llm2vec_gen.TrainingStep.forward, []

    def dying(self, **inputs):
        calls.append(1)
        if len(calls) == 7:
            raise KeyboardInterrupt
        return forward(self, **inputs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(llm2vec_gen.TrainingStep, "forward", dying)
        with pytest.raises(KeyboardInterrupt):
            shared_recipes.train("resumed", backbone, output)
    assert (output / "resumed" / "checkpoints" / "checkpoint-4" / "complete").is_file()


@pytest.fixture(scope="module")
def folders(tmp_path_factory, tiny_backbone_dir):
    """What one process made of every recipe, and what two made of it."""
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    backbone = Backbone.load(str(tiny_backbone_dir))
    shared_recipes.train_all(backbone, one)
    interrupt(backbone, two)
    ran = launch(Path(shared_recipes.__file__), tiny_backbone_dir, two)
    assert ran.returncode == 0, ran.stderr[-3000:]
    return one, two


def log_of(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("name", NAMES)
def test_the_losses_of_every_step_are_those_of_one_process(folders, name):
    one, two = (log_of(folder / name) for folder in folders)
    assert len(one) >= 20
    assert [row["step"] for row in one] == list(range(1, len(one) + 1))
    assert [set(row) for row in two] == [set(row) for row in one]
    for ours, theirs in zip(two, one, strict=True):
        assert ours["step"] == theirs["step"]
        assert ours["learning_rate"] == theirs["learning_rate"]
        for loss in (key for key in theirs if key.startswith("loss")):
            assert ours[loss] == pytest.approx(theirs[loss], abs=2e-4), (name, theirs["step"], loss)
    assert any(abs(row["loss"] - one[0]["loss"]) > 0.1 for row in one), "nothing trained"


@pytest.mark.parametrize("name", NAMES)
def test_the_trained_tensors_are_those_of_one_process(folders, name):
    one, two = (load_file(folder / name / "model.safetensors") for folder in folders)
    assert set(one) == set(two)
    for tensor in one:
        assert (one[tensor] - two[tensor]).abs().max() < 1e-4, (name, tensor)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_written_once_is_written_once(folders, name):
    one, two = (
        {path.relative_to(folder / name) for path in (folder / name).rglob("*")} for folder in folders
    )
    assert two == one
