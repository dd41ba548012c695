"""`respond` and `embed` in two real processes: one file, every row once, also after one of them was killed."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from launching import launch

from workbench.cli import commands, embed
from workbench.cli.embed import Part, merge_parts, part_size, read_part, write_part
from workbench.errors import WorkbenchError

TEXTS = [f"What is number {n}{' of all of them' * (n % 5)}?" for n in range(22)]


@pytest.fixture
def texts_file(tmp_path):
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in [*TEXTS, TEXTS[3], TEXTS[4]]))
    return path


@pytest.mark.slow
def test_two_processes_respond_as_one(cli, tmp_path, tiny_backbone_dir, texts_file):
    options = ["respond", "--backbone", tiny_backbone_dir, "--queries", texts_file, "--max-new-tokens", 6]
    assert cli(*options, "--output", tmp_path / "one.jsonl").code == 0
    ran = launch(
        "-m", "workbench", *options, "--output", tmp_path / "two.jsonl", "--cache-dir", tmp_path / "shared"
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert (tmp_path / "two.jsonl").read_bytes() == (tmp_path / "one.jsonl").read_bytes()
    assert ran.stderr.count("24 responses in") == 1
    shards = [pq.read_table(path) for path in (tmp_path / "shared").rglob("*.parquet")]
    asked = [query for shard in shards for query in shard.column("query").to_pylist()]
    assert len(shards) == 2
    assert sorted(asked) == sorted(TEXTS), "every query once, by one of both"


@pytest.mark.slow
def test_embedding_goes_on_after_one_process_was_killed(
    cli, tmp_path, tiny_embedder_dir, texts_file, monkeypatch
):
    options = ["embed", "--embedder", tiny_embedder_dir, "--input", texts_file, "--output"]
    script, output = Path(__file__).with_name("shared_embed.py"), tmp_path / "two.npy"
    killed = launch(script, *options, output, KILLED="1")
    assert killed.returncode != 0
    assert not output.exists()
    folder = embed.parts_folder(output)
    kept = {path: path.stat().st_mtime_ns for path in folder.glob("*.npz")}
    assert kept, killed.stderr[-3000:]
    assert len(kept) < 6
    ran = launch(script, *options, output)
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert not folder.exists()
    assert ran.stderr.count("24 vectors of dimension 24 in") == 1

    again = tmp_path / "again.npy"
    monkeypatch.setattr(embed, "PART", 4)
    assert cli(*options, again).code == 0
    assert output.read_bytes() == again.read_bytes()
    monkeypatch.setattr(embed, "PART", 2048)
    assert cli(*options, tmp_path / "one.npy").code == 0
    np.testing.assert_allclose(np.load(output), np.load(tmp_path / "one.npy"), atol=1e-5)


def test_no_process_is_without_a_part():
    assert part_size(100_000, 8) == 2048
    assert part_size(50, 2) == 25
    assert part_size(51, 2) == 26
    assert part_size(1, 2) == 1


def test_parts_that_are_missing_or_have_other_rows_are_not_merged(tmp_path):
    part = Part(np.arange(6, dtype=np.float32).reshape(3, 2), 1)
    write_part(part, tmp_path / "part.npz")
    found = read_part(tmp_path / "part.npz", 3)
    assert found.vectors.tolist() == part.vectors.tolist()
    assert found.truncated == 1
    with pytest.raises(WorkbenchError, match="3 rows for 4 texts"):
        read_part(tmp_path / "part.npz", 4)
    with pytest.raises(WorkbenchError, match="missing"):
        read_part(tmp_path / "other.npz", 3)
    (tmp_path / "torn.npz").write_bytes((tmp_path / "part.npz").read_bytes()[:60])
    with pytest.raises(WorkbenchError, match="damaged"):
        read_part(tmp_path / "torn.npz", 3)
    assert merge_parts([part, part], 6).truncated == 2
    for parts in ([part], [part, part, part]):
        with pytest.raises(WorkbenchError, match="rows for 6 texts"):
            merge_parts(parts, 6)


def test_a_response_that_no_process_gave_is_missed(tiny_backbone, tmp_path, monkeypatch):
    from workbench.processes import Processes
    from workbench.training import corpus

    monkeypatch.setattr(corpus, "here", lambda: Processes(0, 2))
    monkeypatch.setattr(corpus, "wait", lambda: None)
    with pytest.raises(WorkbenchError, match="1 of 3 responses of 2 processes are missing"):
        corpus.respond(tiny_backbone, ["a", "b", "c"], cache_dir=tmp_path, max_new_tokens=2)
    monkeypatch.setattr(corpus, "here", lambda: Processes(1, 2))
    rest = corpus.respond(tiny_backbone, ["a", "b", "c", "a"], cache_dir=tmp_path, max_new_tokens=2)
    assert rest.responses == tiny_backbone.respond(["a", "b", "c", "a"], max_new_tokens=2)


@pytest.mark.parametrize(("arguments", "code"), [(["--version"], 0), (["embed", "--nonsense"], 2)])
def test_a_command_leaves_the_other_processes_with_its_code(monkeypatch, arguments, code):
    left = []
    monkeypatch.setattr(commands, "leave", left.append)
    assert commands.main(arguments) == code
    assert left == [code]


def test_other_commands_are_refused_under_a_launcher(cli, monkeypatch):
    for name, value in (("RANK", "1"), ("WORLD_SIZE", "2"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    ran = cli("atlas", "build", "--input", "texts.csv", "--store", "store")
    assert ran.code == 2
    assert ran.error == (
        "workbench: process 1: workbench atlas build runs in one process, and 2 were launched: "
        "start it without a launcher"
    )
