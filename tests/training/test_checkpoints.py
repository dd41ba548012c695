"""A training goes on from a checkpoint that is whole and unchanged, and from no other."""

import json
import pickle
import shutil
import zipfile

import pytest

from workbench.embedders.config import LLM2VecGenConfig
from workbench.errors import WorkbenchError
from workbench.files import hash_file
from workbench.training import checkpoints
from workbench.training.config import LLM2VecGenTraining
from workbench.training.corpus import Corpus
from workbench.training.llm2vec_gen import train
from workbench.training.llm2vec_gen_step import TrainingStep

QUICK = LLM2VecGenTraining(lr=1e-2, batch_size=2, epochs=2, logging_steps=1, save_steps=2, warmup_steps=1)
SHAPE = LLM2VecGenConfig(n_compression=2, dimension=24)
QUERIES, RESPONSES = [f"Number {n}?" for n in range(6)], [f"It is {n}." for n in range(6)]


@pytest.fixture
def corpus(fake_teacher):
    return Corpus(QUERIES, RESPONSES, fake_teacher.embed(RESPONSES), {})


@pytest.fixture
def interrupted(make_tiny, corpus, tmp_path, monkeypatch):
    """A run of 6 steps that was interrupted in its last: checkpoints of steps 2 and 4."""
    calls, forward = [], TrainingStep.forward

    def stop(self, **inputs):
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return forward(self, **inputs)

    with monkeypatch.context() as patched:
        patched.setattr(TrainingStep, "forward", stop)
        with pytest.raises(KeyboardInterrupt):
            train(make_tiny("llama"), corpus, QUICK, SHAPE, output=tmp_path / "run")
    return tmp_path / "run" / "checkpoints"


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGES = {
    "flipped": flip,
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-7]),
    "missing": lambda path: path.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_refused_in_one_line(make_tiny, corpus, interrupted, damage):
    last = interrupted / "checkpoint-4"
    files = sorted(path.name for path in last.iterdir())
    assert {"model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json"} < set(
        files
    )
    for name in set(files) - {checkpoints.COMPLETE}:
        shutil.copytree(last, interrupted.parent / "kept")
        DAMAGES[damage](last / name)
        with pytest.raises(WorkbenchError, match=f"checkpoint-4 is damaged, {name} is .*: remove") as refused:
            train(make_tiny("llama"), corpus, QUICK, SHAPE, output=interrupted.parent)
        assert "\n" not in str(refused.value)
        shutil.rmtree(last)
        (interrupted.parent / "kept").rename(last)


def test_without_a_damaged_checkpoint_the_run_ends_as_if_nothing_had_happened(
    make_tiny, corpus, interrupted, tmp_path
):
    flip(interrupted / "checkpoint-4" / "optimizer.pt")
    shutil.rmtree(interrupted / "checkpoint-4")  # what the message says
    train(make_tiny("llama"), corpus, QUICK, SHAPE, output=interrupted.parent)
    train(make_tiny("llama"), corpus, QUICK, SHAPE, output=tmp_path / "whole")
    for name in ("model.safetensors", "config.json", "log.jsonl"):
        assert (interrupted.parent / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.parametrize("said", ["{}", '{"step": 4, "files": {}}', '{"step": 4, "files": [', "[]", "\x00"])
def test_a_mark_that_says_nothing_is_refused(make_tiny, corpus, interrupted, said):
    (interrupted / "checkpoint-4" / checkpoints.COMPLETE).write_text(said)
    with pytest.raises(WorkbenchError, match="checkpoint-4"):
        train(make_tiny("llama"), corpus, QUICK, SHAPE, output=interrupted.parent)


class Payload:
    def __init__(self, touched):
        self.touched = touched

    def __reduce__(self):
        return (exec, (f"open({str(self.touched)!r}, 'w').close()",))


@pytest.mark.parametrize("name", ["optimizer.pt", "scheduler.pt", "rng_state.pth"])
def test_a_pickle_that_runs_code_is_refused_and_not_run_even_where_its_hash_was_forged(
    make_tiny, corpus, interrupted, tmp_path, name
):
    last, touched = interrupted / "checkpoint-4", tmp_path / "touched"
    with zipfile.ZipFile(last / name) as old:
        parts = {part: old.read(part) for part in old.namelist()}
    with zipfile.ZipFile(last / name, "w") as new:
        for part, data in parts.items():
            new.writestr(part, pickle.dumps(Payload(touched), 2) if part.endswith("data.pkl") else data)
    mark = json.loads((last / checkpoints.COMPLETE).read_text())
    mark["files"][name] = hash_file(last / name)
    (last / checkpoints.COMPLETE).write_text(json.dumps(mark))
    with pytest.raises(WorkbenchError, match="a pickle in it holds more than tensors"):
        train(make_tiny("llama"), corpus, QUICK, SHAPE, output=interrupted.parent)
    assert not touched.exists()


def test_the_newest_whole_checkpoint_is_taken_by_its_number(tmp_path):
    for step in (2, 10, 9):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}" / "x").write_text(str(step))
        if step != 9:
            checkpoints.mark_complete(tmp_path / f"checkpoint-{step}")
    assert checkpoints.latest(tmp_path) == tmp_path / "checkpoint-10"
    assert not (tmp_path / "checkpoint-9").exists()  # nobody said that it is whole
    assert checkpoints.latest(tmp_path / "nowhere") is None
