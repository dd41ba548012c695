"""`workbench decode --vectors`, and badges of what is not soft prompts: GEM's, and those behind a lifter."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workbench.backbone import Backbone
from workbench.decoding.badge import Judge
from workbench.decoding.lift import read_vectors
from workbench.decoding.media import ThroughLifter
from workbench.decoding.reference import calibrate
from workbench.decoding.search import Search, best_readings
from workbench.decoding.trust import read
from workbench.embedders.artifact import load_embedder, save
from workbench.embedders.config import GEMConfig, LifterConfig
from workbench.embedders.gem import GEM
from workbench.embedders.lifter import Lifter
from workbench.embedders.lifter_artifact import load_lifter, save_lifter
from workbench.fieldguide.exam import write_exam
from workbench.fieldguide.items import Item

KNOWN = [f"{start} number {n}?" for n in range(9) for start in ("What is", "Tell me about")]
SHORT = ("--max-new-tokens", 6)


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """A file that references are made of."""
    path = tmp_path_factory.mktemp("known") / "known.txt"
    path.write_text("".join(f"{text}\n" for text in KNOWN))
    return path


@pytest.fixture(scope="module")
def lifter_dir(tmp_path_factory, tiny_embedder_dir):
    embedder = load_embedder(tiny_embedder_dir)
    lifter = Lifter(LifterConfig(dimension=24, n_prompts=3, size=32, width=16))
    encoding = embedder.represent(KNOWN)
    lifter.start(encoding.embedding, encoding.soft_prompts)
    return save_lifter(lifter, embedder, tmp_path_factory.mktemp("lifter") / "l")


@pytest.fixture(scope="module")
def gem_dir(tmp_path_factory, tiny_backbone_dir):
    embedder = GEM.untrained(Backbone.load(str(tiny_backbone_dir)), GEMConfig(n_special=2, lora_rank=2))
    return save(embedder, tmp_path_factory.mktemp("gem") / "e")


@pytest.fixture(scope="module")
def vectors(tiny_embedder_dir):
    return load_embedder(tiny_embedder_dir).encode(KNOWN[:3])


@pytest.fixture
def decode(cli, tiny_embedder_dir, lifter_dir, texts):
    """`decode(file)` reads its vectors through the lifter."""
    shared = ("--embedder", tiny_embedder_dir, "--lifter", lifter_dir, "--reference", texts, *SHORT)
    return lambda file, *more: cli("decode", "--vectors", file, *shared, *more)


def rows_of(ran):
    assert ran.code == 0, ran.err
    return [json.loads(line) for line in ran.out.splitlines()]


def write_lines(path, rows):
    path.write_text("".join(json.dumps({"text": "t", "embedding": row}) + "\n" for row in rows))
    return path


def test_vectors_are_read_through_the_lifter_with_their_badges(
    decode, tmp_path, vectors, tiny_embedder_dir, lifter_dir
):
    np.save(tmp_path / "v.npy", vectors * np.float32([[1], [1], [50]]))
    rows = rows_of(decode(tmp_path / "v.npy", "--json"))
    embedder = load_embedder(tiny_embedder_dir)
    medium = ThroughLifter(embedder, load_lifter(embedder, lifter_dir))
    lifted = read_vectors(embedder, medium.lifter, vectors, max_new_tokens=6)
    assert [row["decoded"] for row in rows] == lifted.decoded
    assert [row["vector"] for row in rows] == [0, 1, 2]
    wanted = Judge(medium, calibrate(medium, KNOWN)).badges(vectors, lifted.decoded)
    for row, badge in zip(rows, wanted, strict=True):
        for name in ("cosine", "null", "gap"):
            assert row[name] == pytest.approx(getattr(badge, name), abs=1e-3)
    assert rows[0]["level"] == wanted[0].level
    assert rows[2]["level"] == "off the manifold", "a vector 50 times as long is none of this embedder's"
    np.testing.assert_allclose([row["cosine"] for row in rows], lifted.round_trip, atol=1e-3)


def test_a_search_reads_better_or_the_same(decode, cli, tmp_path, vectors, tiny_embedder_dir, lifter_dir):
    np.save(tmp_path / "v.npy", vectors)
    embedder = load_embedder(tiny_embedder_dir)
    found = best_readings(embedder, load_lifter(embedder, lifter_dir), vectors, Search(1), max_new_tokens=6)
    assert [row["decoded"] for row in rows_of(decode(tmp_path / "v.npy", "--json", "--search", 1))] == found
    refused = cli("decode", "--text", "gold", "--search", 1)
    assert refused.code == 2
    assert "--search belong to --vectors" in refused.err


def test_every_kind_of_file_holds_the_same_vectors(decode, tmp_path, vectors):
    np.save(tmp_path / "v.npy", vectors)
    np.save(tmp_path / "one.npy", vectors[0])
    table = {"embedding": list(vectors), "text": KNOWN[:3]}
    pq.write_table(pa.table(table), tmp_path / "v.parquet")
    write_lines(tmp_path / "v.jsonl", vectors.tolist())
    rows = rows_of(decode(tmp_path / "v.npy", "--json"))
    for name in ("v.parquet", "v.jsonl"):
        assert rows_of(decode(tmp_path / name, "--json")) == rows
    [single] = rows_of(decode(tmp_path / "one.npy", "--json"))
    [first] = rows_of(decode(tmp_path / "v.jsonl", "--json", "--limit", 1))
    assert single == first
    assert single["decoded"] == rows[0]["decoded"]
    plain = decode(tmp_path / "one.npy")
    assert plain.out.startswith(f"vector    0\ndecoded   {single['decoded']}".split("\n")[0])
    assert f"cosine    {single['cosine']:.2f} (others {single['null']:.2f})" in plain.out
    assert plain.out.rstrip().endswith(single["level"])
    assert decode(tmp_path / "v.npy", "--output", tmp_path / "r.jsonl").out == ""
    assert [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()] == rows


BAD = [
    ("wide.npy", np.ones((2, 7)), 1, "shape [2, 7], but the lifter reads [b, 24]"),
    ("deep.npy", np.ones((1, 2, 24)), 2, "shape [1, 2, 24]"),
    ("nan.npy", np.array([[1.0] * 24, [np.nan] * 24]), 1, "1 of 2 vectors are 0 or not finite, the first is number 1"),
    ("zero.npy", np.zeros((3, 24)), 1, "3 of 3 vectors are 0 or not finite, the first is number 0"),
    ("words.npy", np.array(["a"]), 2, "words.npy"),
    ("objects.npy", np.array([None]), 2, "objects.npy"),
    ("mixed.jsonl", [[1.0] * 24, [1.0] * 23], 1, "line 2: an embedding of 23 numbers, not 24"),
    ("words.jsonl", [["a"] * 24], 1, "line 1: the embedding is no list of numbers"),
    ("empty.jsonl", [], 1, "is empty"),
    ("nan.jsonl", [[float("nan")] * 24], 1, "not finite"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "code", "message"), BAD)
def test_bad_vectors_are_one_line_before_a_model_is_loaded(
    decode, tmp_path, monkeypatch, name, content, code, message
):
    monkeypatch.setattr("workbench.embedders.artifact.load_embedder", lambda *_, **__: pytest.fail("loaded"))
    path = tmp_path / name
    if path.suffix == ".npy":
        np.save(path, content, allow_pickle=True)
    else:
        write_lines(path, content)
    ran = decode(path)
    assert (ran.code, ran.out, ran.err.count("\n")) == (code, "", 1), ran.err
    assert message in ran.error


def test_options_that_do_not_go_together_are_one_line(
    cli, decode, tmp_path, vectors, lifter_dir, monkeypatch
):
    monkeypatch.setattr("workbench.embedders.artifact.load_embedder", lambda *_, **__: pytest.fail("loaded"))
    np.save(tmp_path / "v.npy", vectors)
    (tmp_path / "v.txt").write_text("1 2 3")
    (tmp_path / "no.jsonl").write_text('{"text": "a"}\n')
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    monkeypatch.setattr("workbench.files.PACKAGE", tmp_path / "elsewhere" / "workbench")
    given = ("decode", "--vectors", tmp_path / "v.npy")
    commands = [
        (cli(*given, "--text", "a"), 2, "either --vectors or texts"),
        (cli(*given, "--lifter", tmp_path / "nowhere"), 2, "no lifter at"),
        (cli(*given), 2, "the shipped lifters/llm2vec-gen is not there"),
        (cli(*given), 2, "`make lifter`"),
        (
            cli("decode", "--text", "a", "--lifter", lifter_dir),
            2,
            "--lifter and --search belong to --vectors",
        ),
        (decode(tmp_path / "v.txt"), 2, "v.txt: vectors are read from .npy, .csv, .parquet, .jsonl"),
        (decode(tmp_path), 2, "a directory, not a file"),
        (decode(tmp_path / "gone.npy"), 2, "no such file"),
        (decode(tmp_path / "no.jsonl"), 2, "no column 'embedding'; it has text"),
        (
            cli("fieldguide", "trust", "--lifter", lifter_dir),
            2,
            "--lifter and --search belong to --read lifter",
        ),
    ]
    for ran, code, message in commands:
        assert (ran.code, ran.out, ran.err.count("\n")) == (code, "", 1), ran.err
        assert message in ran.error


def test_another_embedders_lifter_is_refused(cli, tmp_path, vectors, gem_dir, lifter_dir):
    np.save(tmp_path / "v.npy", vectors)
    ran = cli("decode", "--vectors", tmp_path / "v.npy", "--embedder", gem_dir, "--lifter", lifter_dir)
    assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)
    assert "does not fit: its embedder is" in ran.error
    assert ran.error.endswith("is loaded; `workbench train lifter` makes one for this embedder")


def test_gem_has_badges_of_its_own(cli, gem_dir, texts):
    command = ("decode", "--embedder", gem_dir, "--text", "gold", "--text", "a lion", "--reference", texts)
    rows = rows_of(cli(*command, *SHORT, "--json"))
    embedder = load_embedder(gem_dir)
    reading = read(embedder, ["gold", "a lion"], max_new_tokens=6)
    wanted = Judge(embedder, calibrate(embedder, KNOWN)).badges(reading.kept, reading.decoded)
    assert [row["level"] for row in rows] == [badge.level for badge in wanted]
    assert [row["gap"] for row in rows] == pytest.approx([badge.gap for badge in wanted], abs=1e-3)
    assert "  gap " in cli(*command, *SHORT).out


@pytest.mark.parametrize("read_by", ["lifter", "own"])
def test_fieldguide_trust_measures_lifters_and_gem(
    cli, tiny_embedder_dir, gem_dir, lifter_dir, texts, tmp_path, read_by
):
    queries = ("What is gold?", "A lion?", "The river flows.", "I am happy.", "Summarize this.")
    write_exam([Item("smalltalk", query, "r", ("r",)) for query in queries], tmp_path / "eval.jsonl")
    what = ("--embedder", tiny_embedder_dir, "--read", "lifter", "--lifter", lifter_dir)
    if read_by == "own":
        what = ("--embedder", gem_dir)
    ran = cli("fieldguide", "trust", *what, "--data", tmp_path, "--reference", texts, "--items", 4,
              "--output", tmp_path / "r.json", "--keep", tmp_path / "kept.json")  # fmt: skip
    assert ran.code == 0, ran.err
    kept = json.loads((tmp_path / "kept.json").read_text())
    assert kept["medium"] == {"lifter": "lifter", "own": "special tokens"}[read_by]
    assert ("lifter" in kept) == (read_by == "lifter")
    badges = json.loads((tmp_path / "r.json").read_text())["badges"]
    assert badges["true pairs"]["readings"] == 4
    assert badges["random, same mean norm"]["levels"]["off the manifold"] == 1.0
