"""What should not come in, to every command: a full or read-only disk, halves of characters, lines of 50 MB."""

import json
import subprocess

import pytest
from small_disk import small_disk

LONGEST = "gold iron " * (5 * 1024 * 1024)
HALF = "gold\udcff"


@pytest.fixture
def commands(tmp_path, tiny_backbone_dir, tiny_embedder_dir):
    """Each command that reads a file, as a function of the file and of the folder that it writes into."""
    embedder, backbone = ("--embedder", tiny_embedder_dir), ("--backbone", tiny_backbone_dir)
    reference = tmp_path / "reference.txt"
    reference.write_text("".join(f"text {n} of gold\n" for n in range(20)))
    few, small = ("--max-new-tokens", 4), ("--batch-size", 4)
    return {
        "respond": lambda file, out: ("respond", *backbone, *few, "--output", out / "c.jsonl", "--queries", file),
        "embed": lambda file, out: ("embed", *embedder, "--output", out / "v.npy", "--input", file),
        "embed as parquet": lambda file, out: ("embed", *embedder, "--output", out / "v.parquet", "--input", file),
        "decode": lambda file, out: ("decode", *embedder, *few, "--reference", reference, "--output",
                                     out / "d.jsonl", "--input", file),
        "build": lambda file, out: ("atlas", "build", *embedder, "--store", out / "s", "--input", file),
        "train": lambda file, out: ("train", "llm2vec-gen", *backbone, *small, *few, "--teacher", "mean-pool",
                                    "--output", out / "e", "--queries", file),
        "gem": lambda file, out: ("train", "gem", *backbone, *small, "--output", out / "g", "--texts", file),
        "teacher": lambda file, out: ("train", "teacher", *backbone, "--mntp-steps", 1, "--simcse-steps", 1,
                                      "--output", out / "t", "--texts", file),
        "lifter": lambda file, out: ("train", "lifter", *embedder, *few, "--teacher-every", 0, "--output",
                                     out / "l", "--queries", file),
        "index": lambda file, out: ("lens", "index", *backbone, "--index", out / "i", "--input", file),
    }  # fmt: skip


WRITES = [
    "respond",
    "embed",
    "embed as parquet",
    "decode",
    "build",
    "train",
    "gem",
    "teacher",
    "lifter",
    "index",
]

BEFORE = {"respond": "c.jsonl", "embed": "v.npy", "embed as parquet": "v.parquet", "decode": "d.jsonl"}
"""The file that a command makes, where it makes but one."""


def refused(ran, codes, *words):
    assert ran.code in codes, ran.err
    assert "Traceback" not in ran.err
    assert ran.error.startswith("workbench: ")
    for word in words:
        assert word in ran.error
    return True


@pytest.fixture
def corpus(tmp_path):
    """Texts whose results are larger than the small disk."""
    path = tmp_path / "many.jsonl"
    rows = [
        {"text": f"text {n} " + "gold iron " * 9, "response": f"Number {n} " + "tin " * 30}
        for n in range(200)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("name", WRITES)
def test_a_full_disk_is_one_line_and_leaves_what_was_there(cli, commands, corpus, tmp_path, name):
    with small_disk(tmp_path / "disk", "24k") as disk:
        (disk / "kept").write_text("what was there")
        command = commands[name](corpus, disk)
        before = BEFORE.get(name)
        if before:
            (disk / before).write_text("an older result")
        ran = cli(
            *command, *(["--limit", 24] if name in ("train", "gem", "decode", "respond", "lifter") else [])
        )
        if before and ran.code == 0:  # it fitted
            assert name in ("decode", "respond")
            return
        assert refused(ran, [1])
        assert any(words in ran.error for words in ("No space left", "disk full", "cannot be written"))
        assert str(disk) in ran.error
        assert (disk / "kept").read_text() == "what was there"
        if before:
            assert (disk / before).read_text() == "an older result"
            assert sorted(path.name for path in disk.iterdir()) == sorted(["kept", before])


@pytest.mark.parametrize("name", WRITES)
def test_a_read_only_disk_is_said_before_any_work(cli, commands, corpus, tmp_path, name):
    with small_disk(tmp_path / "disk", "1m") as disk:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        ran = cli(*commands[name](corpus, disk))
        assert refused(ran, [1, 2])
        assert "cannot write" in ran.error
        assert f"the disk of {disk} is read-only" in ran.error
        assert "reading" not in ran.err
        assert list(disk.iterdir()) == []


def test_a_full_disk_leaves_the_artifact_that_was_there(tiny_embedder_dir, tmp_path):
    import shutil

    from workbench import load_embedder
    from workbench.embedders.artifact import save

    with small_disk(tmp_path / "disk", "48k") as disk:
        embedder = load_embedder(tiny_embedder_dir)
        backbone = embedder.backbone
        save(embedder, disk / "e")
        before = {path.name: path.read_bytes() for path in (disk / "e").iterdir()}
        (disk / "fill").write_bytes(bytes(shutil.disk_usage(disk).free))
        with pytest.raises(Exception, match=r"[Ss]pace|cannot be written"):
            save(embedder, disk / "e")
        assert {path.name: path.read_bytes() for path in (disk / "e").iterdir()} == before
        assert load_embedder(disk / "e", backbone=backbone).fingerprint() == embedder.fingerprint()


HALVES = {
    "embed": ("--text", HALF, "--output", "v.npy"),
    "decode": ("--text", HALF),
    "arithmetic combine": ("--add", HALF),
    "arithmetic chain": ("--text", HALF),
    "lens logit": (HALF,),
    "lens attention": (HALF,),
    "lens mask": (HALF,),
    "lens attribute": (HALF,),
    "lens patch": ("--source", HALF, "--target", "a b", "--token", 1),
}


@pytest.mark.parametrize("name", HALVES)
def test_half_a_character_on_the_command_line(cli, tiny_embedder_dir, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    ran = cli(*name.split(), "--embedder", tiny_embedder_dir, *HALVES[name])
    assert refused(ran, [2], "half a character", r"gold\udcff")
    assert not (tmp_path / "v.npy").exists()


def test_half_a_character_in_an_instruction_or_in_a_response(cli, commands, tmp_path):
    good, bad = tmp_path / "good.txt", tmp_path / "bad.jsonl"
    good.write_text("gold\n")
    bad.write_text('{"query": "a", "response": "b"}\n{"query": "c", "response": "d\\ud800"}\n')
    assert refused(cli(*commands["respond"](good, tmp_path), "--instruction", HALF), [2], "half a character")
    for name in ("train", "gem"):
        assert refused(cli(*commands[name](bad, tmp_path)), [1], "response 2 holds half a character")


def test_control_characters_are_characters(cli, commands, tmp_path):
    file = tmp_path / "nul.jsonl"
    file.write_text('{"text": "gold\\u0000iron"}\n{"text": "the\\u001bmoon"}\n')
    assert cli(*commands["embed as parquet"](file, tmp_path)).code == 0
    assert cli(*commands["build"](file, tmp_path)).code == 0

    import pyarrow.parquet as pq

    from workbench.atlas.store import open_store

    texts = ["gold\0iron", "the\x1bmoon"]
    assert pq.read_table(tmp_path / "v.parquet")["text"].to_pylist() == texts
    rows = [
        row["text"] for batch in open_store(str(tmp_path / "s")).scan(["text"]) for row in batch.to_pylist()
    ]
    assert sorted(rows) == texts


@pytest.mark.parametrize("suffix", [".txt", ".jsonl", ".csv"])
def test_a_line_of_50_megabytes_loses_its_tail_and_takes_seconds(cli, commands, tmp_path, suffix):
    file = tmp_path / f"long{suffix}"
    written = {
        ".txt": LONGEST + "\n",
        ".jsonl": json.dumps({"text": LONGEST}) + "\n",
        ".csv": f'text\n"{LONGEST}"\n',
    }
    file.write_text(written[suffix])
    ran = cli(*commands["embed"](file, tmp_path))
    assert ran.code == 0
    assert "1 of 1 texts longer than the limit lost their tail" in ran.err


@pytest.mark.parametrize("name", ["train", "gem"])
def test_a_response_of_50_megabytes_is_cut_before_it_is_tokenized(cli, commands, tmp_path, name):
    file = tmp_path / "long.jsonl"
    rows = [{"text": "q", "response": LONGEST}, *({"text": text, "response": text} for text in "abc")]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert cli(*commands[name](file, tmp_path), "--epochs", 1).code == 0


def test_a_single_text_is_too_few_for_gem(cli, commands, tmp_path):
    (tmp_path / "one.txt").write_text("gold\n")
    assert refused(cli(*commands["gem"](tmp_path / "one.txt", tmp_path)), [1], "at least two texts")


def test_a_vector_that_is_nested_too_deeply(cli, tmp_path, commands):
    (tmp_path / "a.txt").write_text("gold\niron\n")
    assert cli(*commands["build"](tmp_path / "a.txt", tmp_path)).code == 0
    ran = cli("atlas", "search", "--store", tmp_path / "s", "--vector", "[" * 100_000)
    assert refused(ran, [2], "neither a .npy file nor a JSON list")


def test_a_filter_deletes_nothing(cli, commands, tmp_path):
    (tmp_path / "a.txt").write_text("gold\niron\n")
    assert cli(*commands["build"](tmp_path / "a.txt", tmp_path)).code == 0
    search = ("atlas", "search", "--store", tmp_path / "s", "--vector", f"[1{', 0' * 23}]", "--where")
    for where in (
        "text = 'gold'; drop table rows",
        "1 = 1) ; delete from rows --",
        "(" * 3000,
        "text = '\\'",
    ):
        ran = cli(*search, where)
        assert ran.code in (0, 2)
        assert "Traceback" not in ran.err
        assert '"rows": 2' in cli("atlas", "info", "--store", tmp_path / "s", "--json").out


def test_an_exported_map_runs_no_script_of_its_texts(cli, commands, tmp_path):
    evil = "</script><script>alert(1)</script>"
    rows = [
        {"text": f"{evil} {n}", "kind": evil if n % 2 else "plain", "id": f"{evil}{n}"} for n in range(12)
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert cli(*commands["build"](tmp_path / "a.jsonl", tmp_path)).code == 0
    out = tmp_path / "map.html"
    ran = cli("atlas", "map", "--store", tmp_path / "s", "--by", "kind", "--method", "pca", "--output", out)
    assert ran.code == 0, ran.err
    page = out.read_text()
    assert "alert(1)" in page
    assert "<script>alert" not in page
    assert "</script>alert" not in page
