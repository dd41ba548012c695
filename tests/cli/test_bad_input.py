"""Every command on bad input: one clear line on stderr, the right exit code, nothing half-written."""

import json
import os
import shutil

import pytest


@pytest.fixture
def commands(tmp_path, tiny_backbone_dir, tiny_embedder_dir):
    """Each command that reads texts, as a function of where they come from; output under `out/`."""
    out = tmp_path / "out"
    embedder = ("--embedder", tiny_embedder_dir)
    backbone = ("--backbone", tiny_backbone_dir)
    fixed = {
        "respond": ("respond", *backbone, "--output", out / "c.jsonl", "--queries"),
        "train": (
            "train",
            "llm2vec-gen",
            *backbone,
            "--teacher",
            "mean-pool",
            "--output",
            out / "e",
            "--queries",
        ),
        "align": ("train", "align", *embedder, "--teacher", "mean-pool", "--output", out / "e", "--queries"),
        "embed": ("embed", *embedder, "--output", out / "v.npy", "--input"),
        "decode": ("decode", *embedder, "--output", out / "d.jsonl", "--input"),
    }
    return {name: lambda *source, start=start: (*start, *source) for name, start in fixed.items()}


READERS = ["respond", "train", "align", "embed", "decode"]


def failed(ran, code, *words):
    """The run ended with `code` and one line that holds the words."""
    assert ran.code == code, ran.err
    assert ran.err.count("\n") == 1, ran.err
    assert ran.error.startswith("workbench: ")
    for word in words:
        assert word in ran.error
    assert "Traceback" not in ran.err
    assert ran.out == ""
    return True


@pytest.mark.parametrize("name", READERS)
def test_a_missing_file(cli, commands, name, tmp_path):
    assert failed(cli(*commands[name](tmp_path / "no.txt")), 2, "no such file", "no.txt")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(("file", "content"), [("a.txt", ""), ("a.csv", "text\n"), ("a.jsonl", "\n")])
def test_an_empty_file(cli, commands, name, file, content, tmp_path):
    (tmp_path / file).write_text(content)
    assert failed(cli(*commands[name](tmp_path / file)), 1, "is empty", file)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", READERS)
def test_a_file_without_the_named_column(cli, commands, name, tmp_path):
    (tmp_path / "a.csv").write_text("text,id\na,1\n")
    assert failed(
        cli(*commands[name](tmp_path / "a.csv", "--column", "body")), 2, "no column 'body'", "text, id"
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", READERS)
def test_a_malformed_line(cli, commands, name, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n{"text": \n')
    assert failed(cli(*commands[name](tmp_path / "a.jsonl")), 1, "line 2")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("backbone", ["nobody/no-such-model", "./no/such/folder", "nonsense"])
@pytest.mark.parametrize("name", ["respond", "train"])
def test_an_unknown_backbone(cli, commands, name, backbone, tmp_path):
    (tmp_path / "a.txt").write_text("gold\n")
    assert failed(cli(*commands[name](tmp_path / "a.txt"), "--backbone", backbone), 2, "backbone", backbone)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["respond", "train", "embed", "decode"])
def test_a_backbone_whose_chat_template_is_broken(cli, commands, name, tmp_path, tiny_backbone_dir):
    (tmp_path / "a.txt").write_text("gold\n")
    broken = shutil.copytree(tiny_backbone_dir, tmp_path / "mine")
    (broken / "chat_template.jinja").write_text('{{ raise_exception("not today") }}')
    ran = cli(*commands[name](tmp_path / "a.txt"), "--backbone", broken)
    assert failed(ran, 1, f"the chat template of backbone '{broken}' cannot be used: not today")
    assert not (tmp_path / "out").exists()
    if name == "respond":
        ran = cli("doctor", "--backbone", broken)
        assert (ran.code, ran.err) == (1, "")
        assert f"FAIL  backbone loads          the chat template of backbone '{broken}'" in ran.out


@pytest.mark.parametrize("embedder", ["nobody/no-such-embedder", "./no/such/folder"])
@pytest.mark.parametrize("name", ["embed", "decode"])
def test_an_unknown_embedder(cli, commands, name, embedder, tmp_path):
    (tmp_path / "a.txt").write_text("gold\n")
    assert failed(cli(*commands[name](tmp_path / "a.txt"), "--embedder", embedder), 2, embedder)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["embed", "decode"])
def test_an_embedder_whose_fingerprint_does_not_fit(cli, commands, name, tmp_path, tiny_gpt2_dir):
    (tmp_path / "a.txt").write_text("gold\n")
    ran = cli(*commands[name](tmp_path / "a.txt"), "--backbone", tiny_gpt2_dir)
    assert failed(ran, 1, "does not fit", "is loaded")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["embed", "decode"])
def test_an_embedder_that_is_damaged(cli, commands, name, tmp_path, tiny_embedder_dir, tiny_backbone_dir):
    (tmp_path / "a.txt").write_text("gold\n")
    copy = shutil.copytree(tiny_embedder_dir, tmp_path / "copy")
    (copy / "model.safetensors").write_bytes(b"short")
    assert failed(cli(*commands[name](tmp_path / "a.txt"), "--embedder", copy), 1, "model.safetensors")
    (copy / "config.json").write_text("{")
    assert failed(cli(*commands[name](tmp_path / "a.txt"), "--embedder", copy), 1, "config.json")
    (copy / "config.json").unlink()
    assert failed(cli(*commands[name](tmp_path / "a.txt"), "--embedder", copy), 2, "no embedder")


def test_an_unknown_teacher(cli, commands, tmp_path):
    (tmp_path / "a.txt").write_text("gold\n")
    assert failed(
        cli(*commands["train"](tmp_path / "a.txt"), "--teacher", "nobody/no-such-teacher"), 2, "teacher"
    )
    assert not (tmp_path / "out").exists()


def test_rows_with_and_without_a_response(cli, commands, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"query": "a", "response": "b"}\n{"query": "c"}\n')
    assert failed(cli(*commands["train"](tmp_path / "a.jsonl")), 2, "some rows hold a response")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--w-align", 0, "--w-recon", 0], "nothing would train"),
        (["--lr", -1], "lr must be above 0"),
        (["--n-compression", 0], "n_compression must be at least 1"),
        (["--schedule", "steep"], "--schedule"),
        (["--batch-size", "many"], "--batch-size"),
        (["--no-such-flag"], "--no-such-flag"),
    ],
)
def test_options_out_of_range(cli, commands, tmp_path, flags, words):
    (tmp_path / "a.txt").write_text("gold\n")
    assert failed(cli(*commands["train"](tmp_path / "a.txt"), *flags), 2, words)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "output"), [("respond", "c.txt"), ("embed", "v.csv"), ("decode", "d.json"), ("embed", "v")]
)
def test_an_output_of_another_type(cli, commands, tmp_path, name, output):
    (tmp_path / "a.txt").write_text("gold\n")
    assert failed(cli(*commands[name](tmp_path / "a.txt"), "--output", tmp_path / output), 2, "must end in")


@pytest.mark.parametrize("name", READERS)
def test_an_output_that_cannot_be_written(cli, commands, tmp_path, name):
    (tmp_path / "a.txt").write_text("gold\n")
    (tmp_path / "out").write_text("a file where a folder is needed")
    assert failed(cli(*commands[name](tmp_path / "a.txt")), 2, "is not a directory")
    (tmp_path / "out").unlink()
    suffix = {"respond": "c.jsonl", "train": "e", "align": "e", "embed": "v.npy", "decode": "d.jsonl"}[name]
    if name in ("train", "align"):
        (tmp_path / suffix).write_text("a file")
    else:
        (tmp_path / suffix).mkdir()
    assert failed(
        cli(*commands[name](tmp_path / "a.txt"), "--output", tmp_path / suffix), 2, "the output is a"
    )


@pytest.mark.parametrize("name", ["train", "align"])
def test_files_of_another_hand_are_not_replaced(cli, commands, tmp_path, name):
    (tmp_path / "a.txt").write_text("gold\n")
    (tmp_path / "README.md").write_text("mine")
    command = commands[name](tmp_path / "a.txt", "--output", tmp_path)
    assert failed(cli(*command), 2, "holds a README.md that", "choose another output")
    (tmp_path / "config.json").write_text("{}")
    assert failed(cli(*command), 2, "holds a config.json and a README.md that")
    assert (tmp_path / "README.md").read_text() == "mine"


@pytest.mark.parametrize("name", ["embed", "decode"])
def test_texts_from_both_sides_or_from_none(cli, tmp_path, tiny_embedder_dir, name):
    command = [
        name,
        "--embedder",
        tiny_embedder_dir,
        "--output",
        tmp_path / ("v.npy" if name == "embed" else "v.jsonl"),
    ]
    assert failed(cli(*command), 2, "either --text or --input")
    assert failed(cli(*command, "--text", "a", "--input", "b.txt"), 2, "either --text or --input")
    assert failed(cli(*command, "--text", " "), 2, "a --text is empty")
    assert failed(cli(*command, "--text", "a", "--column", "b"), 2, "--column belongs to --input")


def test_an_unknown_prompt_name(cli, tmp_path, tiny_embedder_dir):
    ran = cli(
        "embed",
        "--embedder",
        tiny_embedder_dir,
        "--text",
        "a",
        "--prompt-name",
        "x",
        "--output",
        tmp_path / "v.npy",
    )
    assert failed(ran, 2, "no prompt named 'x'", "document")


def test_an_unknown_command_and_device(cli, tmp_path, tiny_embedder_dir):
    assert failed(cli("paint"), 2, "paint")
    assert failed(cli(), 2, "Missing command", "--help")
    assert failed(cli("train"), 2, "Missing command")
    assert failed(cli("embed", "--embedder", tiny_embedder_dir, "--text", "a", "--output", tmp_path / "v.npy",
                      "--device", "abacus"), 2, "abacus")  # fmt: skip
    assert failed(cli("embed", "--text", "a"), 2, "--output")


def test_nothing_shipped(cli, tmp_path, monkeypatch):
    monkeypatch.setattr("workbench.files.PACKAGE", tmp_path / "nowhere" / "workbench")
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path / "empty"))
    ran = cli("embed", "--text", "a", "--output", tmp_path / "v.npy")
    assert failed(ran, 2, "looked at", str(tmp_path / "empty"))


def test_a_full_disk_is_one_line_and_leaves_nothing(cli, commands, tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("gold\n")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numpy.save", full)
    assert failed_last(cli(*commands["embed"](tmp_path / "a.txt")), 1, "No space left on device")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt"]


def failed_last(ran, code, words):
    assert ran.code == code
    assert words in ran.error
    return "Traceback" not in ran.err


def test_ctrl_c_says_how_to_go_on(cli, commands, tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("gold\n")

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("workbench.backbone.Backbone.answers", interrupted)
    ran = cli(*commands["respond"](tmp_path / "a.txt"))
    assert (ran.code, ran.error) == (130, "workbench: interrupted; run the same command again to resume")
    assert not (tmp_path / "out" / "c.jsonl").exists()


@pytest.mark.slow
def test_a_reader_that_leaves_is_no_error(tmp_path, tiny_embedder_dir):
    import subprocess
    import sys

    source = tmp_path / "t.txt"
    source.write_text("gold\n" * 4)
    command = [sys.executable, "-m", "workbench", "decode", "--embedder", str(tiny_embedder_dir), "--json"]
    command += ["--input", str(source), "--max-new-tokens", "400"]
    reading, writing = os.pipe()
    os.close(reading)
    ran = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (ran.returncode, "Traceback" in ran.stderr, "Exception" in ran.stderr) == (0, False, False), (
        ran.stderr
    )


def test_fieldguide_evaluate_and_build_check_their_paths(cli, tmp_path):
    assert failed(cli("fieldguide", "evaluate", "--data", tmp_path), 2, "no such file", "eval.jsonl")
    assert failed(cli("fieldguide", "evaluate", "--output", tmp_path / "r.txt"), 2, "must end in .json")
    assert failed(cli("fieldguide", "build"), 2, "--output")
    (tmp_path / "file").write_text("x")
    assert failed(cli("fieldguide", "build", "--output", tmp_path / "file"), 2, "the output is a file")


def test_an_evaluation_of_bad_data_names_the_line(cli, tmp_path, tiny_embedder_dir):
    (tmp_path / "eval.jsonl").write_text(json.dumps({"no": "item"}) + "\n")
    (tmp_path / "passages.jsonl").write_text("{}\n")
    ran = cli(
        "fieldguide",
        "evaluate",
        "--data",
        tmp_path,
        "--embedder",
        tiny_embedder_dir,
        "--teacher",
        "mean-pool",
    )
    assert failed(ran, 1, "line 1")


def test_pushing_what_is_no_embedder_or_without_a_hub(cli, tiny_embedder_dir, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert failed(cli("push", tmp_path, "me/name"), 2, "no embedder")
    assert failed(cli("push", tiny_embedder_dir, "name"), 2, "hub")
