"""`workbench train lifter` and `workbench fieldguide lifter`, on good input and on bad."""

import json

import pytest

from workbench.backbone import Backbone
from workbench.embedders.artifact import load_embedder, save
from workbench.embedders.config import GEMConfig, LLM2VecGenConfig
from workbench.embedders.gem import GEM
from workbench.embedders.lifter_artifact import load_lifter
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.fieldguide.exam import write_exam
from workbench.fieldguide.items import Item

TRAINING = ["--batch-size", 4, "--warmup-steps", 1, "--width", 8]
ITEMS = [
    Item("one_hop", "What is number 3?", "Number 3 is 3.", ("3",), passage="A 3 is number 3."),
    Item("two_hop", "What is number 4?", "Number 4 is 4.", ("4",), passage="A 4 is number 4."),
]


@pytest.fixture(scope="module")
def jepa_dir(tmp_path_factory, tiny_backbone_dir):
    """An untrained embedder whose teacher is its own backbone's mean pool, so that none is loaded."""
    config = LLM2VecGenConfig(n_compression=3, dimension=32, max_length=48, teacher="mean-pool")
    embedder = LLM2VecGen.untrained(Backbone.load(str(tiny_backbone_dir)), config)
    return save(embedder, tmp_path_factory.mktemp("jepa") / "embedder")


def failed(ran, code, *words):
    """Whether the last line says all the words; behind the bars of a progress there is no other."""
    assert ran.code == code, ran.err
    said = [line for line in ran.err.splitlines() if line.strip() and "teacher targets" not in line]
    assert len(said) == 1, ran.err
    return all(word in said[0] for word in words)


def test_a_lifter_is_trained_and_measured(cli, tmp_path, jepa_dir, corpus_file):
    folder = tmp_path / "lifter"
    command = [
        "train",
        "lifter",
        "--embedder",
        jepa_dir,
        "--queries",
        corpus_file,
        "--output",
        folder,
        *TRAINING,
    ]
    ran = cli(*command)
    assert ran.code == 0, ran.err
    assert f"a lifter to 3 soft prompts, for a llm2vec-gen embedder, in {folder}" in ran.err
    config = json.loads((folder / "config.json").read_text())
    assert config["config"] == {"dimension": 32, "n_prompts": 3, "size": 32, "width": 8}
    assert config["training"]["teacher"] == "mean-pool"
    written = (folder / "config.json").stat().st_mtime_ns
    assert cli(*command).code == 0
    assert (folder / "config.json").stat().st_mtime_ns == written, "a finished run is loaded"

    write_exam(ITEMS, tmp_path / "eval.jsonl")
    ran = cli("fieldguide", "lifter", "--embedder", jepa_dir, "--lifter", folder, "--data", tmp_path,
              "--output", tmp_path / "report.json")  # fmt: skip
    assert ran.code == 0, ran.err
    assert "| pooled vector alone |" in ran.out
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["teacher"]["passages"]["sentences"] == 2
    assert report["pooled"]["two_hop"]["queries"] == 1


def test_gem_needs_no_teacher(cli, tmp_path, tiny_backbone_dir, corpus_file):
    embedder = GEM.untrained(Backbone.load(str(tiny_backbone_dir)), GEMConfig(n_special=2, lora_rank=2))
    save(embedder, tmp_path / "gem")
    ran = cli("train", "lifter", "--embedder", tmp_path / "gem", "--queries", corpus_file, "--n-prompts", 4,
              "--output", tmp_path / "lifter", *TRAINING)  # fmt: skip
    assert ran.code == 0, ran.err
    assert load_lifter(load_embedder(tmp_path / "gem"), tmp_path / "lifter").config.n_prompts == 4
    write_exam(ITEMS, tmp_path / "eval.jsonl")
    ran = cli("fieldguide", "lifter", "--embedder", tmp_path / "gem", "--lifter", tmp_path / "lifter",
              "--data", tmp_path)  # fmt: skip
    assert ran.code == 0, ran.err
    assert "teacher" not in ran.out


def test_bad_input_is_one_line(cli, tmp_path, jepa_dir, tiny_embedder_dir, corpus_file):
    train = [
        "train",
        "lifter",
        "--embedder",
        jepa_dir,
        "--queries",
        corpus_file,
        "--output",
        tmp_path / "out",
    ]
    assert failed(cli(*train, "--lr", -1), 2, "lr must be above 0")
    assert failed(cli(*train, "--n-prompts", 0), 2, "n_prompts must be at least 1")
    assert failed(cli(*train, "--n-prompts", 5), 2, "n_prompts must be 3, as many as the embedder has")
    assert failed(cli(*train[:-1], corpus_file), 2, "the output is a file")
    assert failed(cli(*train[:4], "--queries", "nowhere.txt", *train[6:]), 2, "nowhere.txt")
    assert failed(cli("train", "lifter", "--queries", corpus_file), 2, "--output")
    assert not (tmp_path / "out").exists()

    write_exam(ITEMS, tmp_path / "eval.jsonl")
    measure = ["fieldguide", "lifter", "--embedder", tiny_embedder_dir, "--data", tmp_path]
    assert failed(cli(*measure, "--lifter", tmp_path / "no"), 2, "no lifter at", "workbench train lifter")
    assert failed(cli(*measure, "--lifter", jepa_dir), 2, "which is no lifter")
    assert failed(cli(*measure, "--output", tmp_path / "r.txt"), 2, "must end in .json")
    assert failed(cli(*measure[:4], "--data", tmp_path / "no"), 2, "no such file", "eval.jsonl")
    assert cli(*train, *TRAINING).code == 0
    assert failed(cli(*measure, "--lifter", tmp_path / "out"), 1, "does not fit: its embedder is")
    (tmp_path / "eval.jsonl").write_text("{}\n")
    ran = cli(
        "fieldguide", "lifter", "--embedder", jepa_dir, "--lifter", tmp_path / "out", "--data", tmp_path
    )
    assert failed(ran, 1, "line 1")
