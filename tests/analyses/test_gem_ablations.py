"""The ablation tables of GEM: the rows are the paper's, and a finished row is not trained again."""

import json
import subprocess
import sys

import pytest

from analyses.gem_ablations import Table, settings


def test_the_rows_are_the_papers():
    mix = [changes["p"] for _, changes, _ in settings(Table.MIX, 100)]
    assert mix == [0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.99]
    assert [shape["n_special"] for _, _, shape in settings(Table.TOKENS, 100)] == [1, 2, 5, 10]
    names = [name for name, _, _ in settings(Table.OBJECTIVES, 100)]
    assert names == ["vanilla", "mixed NTP", "mixed NTP + contrastive"]
    assert settings(Table.OBJECTIVES, 100)[2][1] == {"alpha": 0.5, "alpha_start": 50}


@pytest.mark.slow
def test_a_table_is_measured_row_by_row_and_kept(tmp_path):
    command = [sys.executable, "-m", "analyses.gem_ablations", "objectives", "--steps", "2", "--limit", "2",
               "--seeds", "1", "--results", str(tmp_path)]  # fmt: skip
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = [line for line in ran.stdout.splitlines() if line.startswith("| ")]
    assert len(rows) == 1 + 3
    files = sorted(tmp_path.glob("objectives-*.json"))
    assert len(files) == 3
    changed = json.loads(files[0].read_text()) | {"kept": 0.123}
    files[0].write_text(json.dumps(changed))
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "0.123" in again.stdout, "the row was read, not trained again"
    assert sum("0.123 (0.123, 0.123)" in row for row in again.stdout.splitlines()) == 1
