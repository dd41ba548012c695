"""A full disk: the one line names what could not be written, and no empty folder stays behind."""

import json

import pytest
from small_disk import fill, small_disk


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "corpus.jsonl"
    rows = [{"text": f"text {n} of gold", "response": f"Number {n}."} for n in range(24)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def full(ran, path):
    """The run ended with one line that says the disk is full, and where."""
    assert ran.code == 1, ran.err
    assert ran.error.startswith("workbench: ")
    assert "No space left" in ran.error
    assert str(path) in ran.error
    assert ".partial" not in ran.error
    return True


def test_a_figure_stays_as_it_was(cli, tmp_path):
    with small_disk(tmp_path / "disk", "1m") as disk:
        assert cli("figure", "gem_mask", "--output", disk / "o").code == 0
        before = {path: path.read_bytes() for path in (disk / "o").iterdir()}
        fill(disk)
        (disk / "o" / "gem_mask.svg").write_bytes(b"")  # room for a part of it
        before[disk / "o" / "gem_mask.svg"] = b""
        assert full(cli("figure", "gem_mask", "--width", "column", "--output", disk / "o"), disk / "o")
        assert {path: path.read_bytes() for path in (disk / "o").iterdir()} == before


def test_a_table_of_runs_and_its_figure(cli, tmp_path, tiny_backbone_dir):
    pairs, run = tmp_path / "pairs.tsv", tmp_path / "run.parquet"
    pairs.write_text("score\tsentence1\tsentence2\n5\ta\ta\n1\ta\tgold\n3\tiron\tgold\n0\tmoon\ttin\n")
    asked = ("evaluate", "--embedder", f"mean:{tiny_backbone_dir}", "--task", "sts", "--data", pairs)
    assert cli(*asked, "--output", run).code == 0
    with small_disk(tmp_path / "disk", "64k") as disk:
        fill(disk)
        for name in ("t.md", "t.pdf"):
            assert full(cli("report", run, "--output", disk / name), disk / name)


def test_a_map(cli, tmp_path, tiny_embedder_dir, corpus):
    store = tmp_path / "store"
    assert (
        cli("atlas", "build", "--embedder", tiny_embedder_dir, "--input", corpus, "--store", store).code == 0
    )
    with small_disk(tmp_path / "disk", "64k") as disk:
        fill(disk)
        for name in ("map.html", "map.png", "map.csv"):
            asked = ("atlas", "map", "--store", store, "--method", "pca", "--output", disk / name)
            assert full(cli(*asked), disk / name)


def test_the_cache_is_named_where_it_is_the_full_one(cli, tmp_path, tiny_backbone_dir, corpus, monkeypatch):
    with small_disk(tmp_path / "disk", "64k") as disk:
        fill(disk)
        monkeypatch.setenv("WORKBENCH_CACHE", str(disk / "cache"))
        asked = ("respond", "--backbone", tiny_backbone_dir, "--queries", corpus, "--max-new-tokens", 4)
        assert full(cli(*asked, "--limit", 4, "--output", tmp_path / "c.jsonl"), disk / "cache")
        assert not (tmp_path / "c.jsonl").exists()


@pytest.mark.parametrize("command", ["align", "train-tuned"])
def test_a_training_that_cannot_be_saved_leaves_no_folder(cli, tmp_path, tiny_embedder_dir, corpus, command):
    asked = {
        "align": ("train", "align", "--queries", corpus, "--teacher", "mean-pool"),
        "train-tuned": ("lens", "train-tuned", "--input", corpus, "--steps", 1),
    }
    with small_disk(tmp_path / "disk", "64k") as disk:
        fill(disk)
        ran = cli(*asked[command], "--embedder", tiny_embedder_dir, "--output", disk / "new" / "o")
        assert full(ran, disk / "new")
        assert [path.name for path in disk.iterdir()] == ["fill"]
