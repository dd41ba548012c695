"""Which process this is, which rows are its own, which launches are refused, and how a process leaves the others."""

import pytest
from launching import launch

from workbench.errors import UsageError
from workbench.processes import Processes, agreed, alone, here, leave, wait, who

NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "ACCELERATE_USE_CPU", "MASTER_PORT", "ACCELERATE_USE_FSDP",
         "ACCELERATE_USE_DEEPSPEED")  # fmt: skip


@pytest.fixture
def environment(monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    return lambda **values: [monkeypatch.setenv(name, value) for name, value in values.items()]


def test_a_process_alone_is_the_first_of_one(environment):
    assert here() == Processes(0, 1, 0)
    assert here().first
    assert who() == ""
    assert agreed(lambda: 3) == 3
    wait()
    alone("this")


def test_a_launcher_says_which_process_this_is(environment):
    environment(RANK="5", WORLD_SIZE="8", LOCAL_RANK="1")
    assert here() == Processes(5, 8, 1)
    assert not here().first
    assert who() == "process 5: "
    with pytest.raises(UsageError, match="decoding runs in one process, and 8 were launched"):
        alone("decoding")


def test_every_row_is_in_one_part():
    rows = list(range(11))
    parts = [Processes(index, 3).own(rows) for index in range(3)]
    assert parts == [[0, 3, 6, 9], [1, 4, 7, 10], [2, 5, 8]]
    last = Processes(2, 3)
    assert last.own(rows[:2]) == []
    assert last.idle(rows[:2])
    assert last.read(rows[:2]) == [0]
    assert not Processes(1, 3).idle(rows[:2])
    assert Processes(1, 3).read(rows[:2]) == [1]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"ACCELERATE_USE_CPU": "True", "MASTER_PORT": "29500"}, "--multi_gpu --num_processes 2"),
        (
            {"ACCELERATE_USE_FSDP": "true", "RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0"},
            "--shard-backbone",
        ),
        (
            {"ACCELERATE_USE_DEEPSPEED": "true", "RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0"},
            "DeepSpeed",
        ),
    ],
)
def test_launches_that_cannot_give_what_they_promise_are_refused(environment, values, reason):
    environment(**values)
    with pytest.raises(UsageError, match=reason):
        here()


def test_accelerate_with_one_cpu_process_is_fine(environment):
    environment(ACCELERATE_USE_CPU="True")
    assert here().count == 1


LEAVING = """
import atexit, ctypes, os, sys, time
if os.environ["RANK"] == "1":  # last of all, and without letting go of the interpreter, for which gloo's threads wait
    atexit.register(ctypes.PyDLL(None).sleep, 4)
import torch
import torch.distributed as dist
from workbench.processes import here, join, leave

join()
atexit.register(lambda: print(f"process {here().index} ended well", flush=True))
if here().first:
    time.sleep(1)
for _ in range(2):  # as many as gloo has threads
    dist.all_reduce(torch.ones(4), async_op=True)
if here().first:
    time.sleep(5)
leave(int(sys.argv[1]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("code", [0, 1])
def test_a_process_that_met_others_leaves_with_its_code(tmp_path, code):
    (tmp_path / "leaving.py").write_text(LEAVING)
    ran = launch(tmp_path / "leaving.py", code)
    assert "terminate called" not in ran.stderr
    assert "Signal 6" not in ran.stderr
    assert ran.returncode == code
    assert "process 1 ended well" in ran.stdout


def test_a_process_alone_goes_on():
    assert leave(3) is None
