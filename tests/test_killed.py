"""Kill -9 at random points of every long command: the same command, run again, ends as if nothing had happened."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's /proc"),
]
COMMANDS = ("build", "embed", "respond", "train", "gem")
POINTS = 2
"""Each; `python tests/killed.py FOLDER 10 0 build embed respond train gem` tries ten."""


def test_a_killed_command_ends_with_the_bytes_of_one_that_was_not(tmp_path):
    script = Path(__file__).with_name("killed.py")
    command = [sys.executable, str(script), str(tmp_path), str(POINTS), "1", *COMMANDS]
    ran = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    reports = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]
    assert [report["command"] for report in reports] == list(COMMANDS)
    for report in reports:
        assert report["equal"], (report, ran.stderr[-2000:])
        assert report["cut"] > 0, f"{report['command']} was over before it could be killed"
