"""Two real processes on this machine's CPU, as docs/scale.md launches them."""

import os
import subprocess
import sys

LAUNCH = [
    sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1",
    "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0",
]  # fmt: skip


def launch(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script, or `-m` and a module, in two processes that talk through gloo."""
    return subprocess.run(
        [*LAUNCH, *map(str, arguments)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", **environment},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
