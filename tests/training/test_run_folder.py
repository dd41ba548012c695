"""A training's folder belongs to one process at a time."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from workbench.errors import UsageError
from workbench.training.run import Run

TAKE = """
import sys
from pathlib import Path
from workbench.training.run import Run
run = Run(Path(sys.argv[1]))
run.start({"lr": 1}, resume=True)
run.write_log({"step": 1})
print("taken", flush=True)
sys.stdin.read()
"""


def test_a_folder_that_another_process_trains_into_is_refused_until_that_is_gone(tmp_path):
    command = [sys.executable, "-c", TAKE, str(tmp_path)]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "taken\n"
        for resume in (True, False):
            with pytest.raises(UsageError, match="another training is writing into"):
                Run(tmp_path).start({"lr": 1}, resume=resume)
        assert Run(tmp_path).last_log() == {"step": 1}  # refused before anything of it was touched
    finally:
        other.kill()
        other.wait()
    Run(tmp_path).start({"lr": 1}, resume=True)


def test_a_process_takes_up_its_own_interrupted_training(tmp_path):
    interrupted = Run(tmp_path)
    interrupted.start({"lr": 1}, resume=True)
    Run(tmp_path).start({"lr": 1}, resume=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.json"]  # no file of a lock
    with pytest.raises(UsageError, match="other settings"):
        Run(tmp_path).start({"lr": 2}, resume=True)


def test_a_full_disk_says_that_the_log_was_written(tmp_path, monkeypatch):
    run = Run(tmp_path)
    run.start({"lr": 1}, resume=True)

    def full(self, *_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(OSError, match=r"No space left on device: .*log\.jsonl"):
        run.write_log({"step": 1})
