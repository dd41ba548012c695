"""The processes that `accelerate launch` or torchrun started together: which one this is, its rows, and waiting.

A process started alone is the first of one: nothing here then waits or talks to anyone.
"""

import atexit
import os
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import NamedTuple, TypeVar

from workbench.errors import UsageError, WorkbenchError

T = TypeVar("T")
PATIENCE = timedelta(days=7)
"""How long a process waits for the others. Where one dies, the launcher ends the rest at once."""


class Processes(NamedTuple):
    """Which of how many processes this is."""

    index: int = 0
    count: int = 1
    local: int = 0
    """The same among those of this machine: which of its GPUs is this process's."""

    @property
    def first(self) -> bool:
        """Whether this process writes what is written once: logs, checkpoints, artifacts, merged files."""
        return self.index == 0

    def own(self, rows: Sequence[T]) -> list[T]:
        """This process's part of the rows, every `count`-th; nothing where there are fewer rows than processes."""
        return list(rows[self.index :: self.count])

    def read(self, rows: Sequence[T]) -> list[T]:
        """`own`, or the first row where it is empty: all must run the same layers. Then nothing of it may count."""
        return self.own(rows) or list(rows[:1])

    def idle(self, rows: Sequence[T]) -> bool:
        """Whether no row is this process's own."""
        return self.index >= len(rows)


def here() -> Processes:
    """What the launcher's environment says.

    Raises UsageError for launches that cannot give what they promise: several CPU processes of which accelerate
    started one alone, and FSDP or DeepSpeed by accelerate, which would wrap only the small part that trains.
    """
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    if os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true":
        raise UsageError(
            "FSDP by accelerate would shard what trains, which is small, and not the backbone: launch with "
            "--multi_gpu and pass --shard-backbone (docs/scale.md)"
        )
    if os.environ.get("ACCELERATE_USE_DEEPSPEED", "").lower() == "true":
        raise UsageError("DeepSpeed is not supported: launch with --multi_gpu (docs/scale.md)")
    if not all(name in os.environ for name in names):
        if _one_of_several_on_cpu():
            raise UsageError(
                "accelerate launch --cpu starts processes that know nothing of each other: for several on CPUs, "
                "launch with `accelerate launch --multi_gpu --num_processes 2` or torchrun (docs/scale.md)"
            )
        return Processes()
    index, count, local = (int(os.environ[name]) for name in names)
    return Processes(index, count, local)


def who() -> str:
    """What a line of this process begins with: nothing in the first one, for what is said by all of them."""
    index = os.environ.get("RANK", "0")
    return "" if index == "0" else f"process {index}: "


def alone(what: str) -> None:
    """Raises UsageError where several processes were started for something that takes one."""
    if (count := here().count) > 1:
        raise UsageError(
            f"{what} runs in one process, and {count} were launched: start it without a launcher"
        )


def wait() -> None:
    """Go on once every process has come here; raises WorkbenchError where one of the others has ended before."""
    agreed(lambda: None)


def agreed(work: Callable[[], T]) -> T:
    """What `work` returns in the first process, which alone does it; the others wait for it.

    What it returns must survive pickling. Where it raises a WorkbenchError, every process raises it.
    """
    processes = here()
    if processes.count == 1:
        return work()
    join()
    import torch.distributed as dist

    told: list = [None, None]
    try:
        if processes.first:
            try:
                told[0] = work()
            except WorkbenchError as error:
                told[1] = error
        dist.broadcast_object_list(told, src=0)
        dist.barrier()
    except RuntimeError as error:
        raise WorkbenchError(
            f"process {processes.index} lost the others ({str(error).splitlines()[0][:120]}); what was finished is "
            "kept: run the same command again"
        ) from error
    if told[1] is not None:
        raise told[1]
    return told[0]


def join() -> None:
    """Meet the other processes, once: torch's own choice of backends, gloo on CPUs and NCCL on GPUs."""
    import torch.distributed as dist

    if here().count > 1 and not dist.is_initialized():
        dist.init_process_group(timeout=PATIENCE)


def leave(code: int) -> None:
    """End a process that has met others with `code`; one that has met nobody goes on.

    What is registered for an exit runs, but the interpreter is not taken apart: a thread of gloo's that lets go of its
    last tensor meanwhile would end it in an abort, with all its work done (PyTorch's issue 190489). Ending the group
    first is not enough: a backbone that was spread over processes keeps it.
    """
    dist = sys.modules.get("torch.distributed")
    if dist is None or not (dist.is_available() and dist.is_initialized()):
        return
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _one_of_several_on_cpu() -> bool:
    """accelerate sets the meeting place where several processes were asked for, but no rank where it starts one."""
    return os.environ.get("ACCELERATE_USE_CPU", "").lower() == "true" and "MASTER_PORT" in os.environ
