"""`workbench lens index | latent`: indexes a file, reads a text through it, says in one line what is wrong."""

import json

import numpy as np
import pytest

from workbench.embedders.artifact import load_embedder
from workbench.lenses.latent import LatentReading, latent_lens
from workbench.lenses.latent_index import LatentIndex

TEXTS = [f"What is number {n}? Number {n} comes behind number {n - 1}." for n in range(12)]
QUERY = "a lion and a guitar"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    path = tmp_path_factory.mktemp("latent") / "corpus.jsonl"
    rows = [{"text": text, "other": f"nothing but gold and {n}"} for n, text in enumerate(TEXTS)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def index(corpus, tiny_backbone_dir):
    from workbench.cli import main

    folder = corpus.parent / "index"
    command = ["lens", "index", "--input", corpus, "--index", folder, "--backbone", tiny_backbone_dir]
    assert main([str(part) for part in command]) == 0
    return folder


def test_an_index_is_made_of_a_file(cli, index, corpus, tiny_backbone_dir, tmp_path):
    facts = LatentIndex.open(index).facts
    assert (facts.texts, facts.layers, facts.source) == (12, [1, 2], str(corpus))
    ran = cli("lens", "index", "--input", corpus, "--index", tmp_path / "few", "--backbone", tiny_backbone_dir,
              "--layers", "-1", "--column", "other", "--limit", 5, "--max-length", 9)  # fmt: skip
    assert (ran.code, ran.out) == (0, "")
    few = LatentIndex.open(tmp_path / "few")
    assert few.facts.layers == [2]
    assert sorted(few.texts) == [f"nothing but gold and {n}" for n in range(5)]
    assert f"{len(few)} states of 5 different texts in each of the layers 2" in ran.error
    assert "5 of 5 texts longer than the limit lost their tail" in ran.err


def test_a_text_is_read_as_the_function_reads_it(cli, index, tiny_embedder_dir, tmp_path):
    output = tmp_path / "reading.parquet"
    command = ("lens", "latent", QUERY, "--index", index, "--embedder", tiny_embedder_dir, "--k", 3)
    ran = cli(*command, "--json", "--output", output)
    assert ran.code == 0, ran.err
    [reading] = latent_lens(load_embedder(tiny_embedder_dir), [QUERY], LatentIndex.open(index), k=3)
    given = json.loads(ran.out)
    assert given == json.loads(json.dumps(reading.to_dict()))
    assert LatentReading.load(output).to_dict() == reading.to_dict()
    ran = cli(*command)
    assert ran.out.startswith("0 of 12 texts are left out as near duplicates of the text or of the response ")
    assert all(snippets[0] in ran.out for layer in reading.snippets for snippets in layer)
    assert ran.out.count("layer ") == 2
    ran = cli(*command, "--json", "--match", "any", "--layers", "0", "--duplicates", "in")
    reading = json.loads(ran.out)
    assert (reading["layers"], reading["response"]) == ([0], "")
    assert set(np.ravel(reading["neighbour_layers"]).tolist()) <= {1, 2}


def test_leaks_are_left_out_unless_they_are_wanted(cli, index, tiny_embedder_dir):
    command = (
        "lens",
        "latent",
        TEXTS[3].upper(),
        "--index",
        index,
        "--embedder",
        tiny_embedder_dir,
        "--json",
    )
    out = json.loads(cli(*command, "--near", 1).out)
    assert out["excluded"] == 1
    assert 3 not in np.ravel(out["neighbour_rows"])
    assert json.loads(cli(*command, "--duplicates", "in").out)["excluded"] == 0
    ran = cli(*command)  # by the default all twelve are near duplicates: they differ in a number
    assert (ran.code, ran.out) == (1, "")
    assert "5 neighbours are asked for, but the index has 0 that are not excluded" in ran.error


def test_an_index_lies_in_a_store_and_disturbs_nothing(
    cli, corpus, tmp_path, tiny_embedder_dir, tiny_backbone_dir
):
    store = tmp_path / "store"
    build = ("atlas", "build", "--input", corpus, "--store", store, "--embedder", tiny_embedder_dir)
    assert cli(*build).code == 0
    before = cli(
        "atlas", "search", "--store", store, "--embedder", tiny_embedder_dir, "--text", "gold", "--json"
    )
    ran = cli("lens", "index", "--input", corpus, "--store", store, "--backbone", tiny_backbone_dir)
    assert ran.code == 0, ran.err
    assert (store / "latent" / "config.json").is_file()
    ran = cli("lens", "latent", QUERY, "--store", store, "--embedder", tiny_embedder_dir, "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["texts"] == 12
    after = cli(
        "atlas", "search", "--store", store, "--embedder", tiny_embedder_dir, "--text", "gold", "--json"
    )
    assert after.out == before.out
    assert cli(*build).code == 0  # goes on with a store that holds an index
    assert json.loads(
        cli("lens", "latent", QUERY, "--store", store, "--embedder", tiny_embedder_dir, "--json").out
    )


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("index", "--input", "a.txt"), 2, "give either --index or --store"),
        (("index", "--input", "a.txt", "--index", "i", "--store", "s"), 2, "give either --index or --store"),
        (("index", "--input", "no.txt", "--index", "i"), 2, "no such file: no.txt"),
        (("index", "--input", "a.txt", "--store", "s"), 2, "no store in a folder at s"),
        (("index", "--input", "a.txt", "--index", "i", "--layers", "one"), 2, "--layers are numbers"),
        (("index", "--input", "a.txt", "--index", "a.txt"), 2, "a.txt is not a directory"),
        (("latent", "a"), 2, "give either --index or --store"),
        (("latent", " ", "--index", "i"), 2, "the text is empty"),
        (("latent", "a", "--index", "i"), 2, "no index at i"),
        (("latent", "a", "--index", "i", "--near", "2"), 2, "--near is above 0"),
        (("latent", "a", "--index", "i", "--output", "a.csv"), 2, "must end in .parquet"),
    ],
)
def test_what_must_change_is_one_line(cli, arguments, code, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("a b c\n")
    ran = cli("lens", *arguments)
    assert (ran.code, ran.out) == (code, "")
    assert ran.err.count("\n") == 1
    assert message in ran.error
    assert not (tmp_path / "i").exists()


def test_another_backbones_index_is_refused(cli, index, corpus, save_tiny, tiny_embedder_dir, tmp_path):
    other = save_tiny("gpt2")
    ran = cli("lens", "index", "--input", corpus, "--index", index, "--backbone", other)
    assert ran.code == 1
    assert f"the index {index} does not fit: its " in ran.error
    foreign = tmp_path / "foreign"
    assert cli("lens", "index", "--input", corpus, "--index", foreign, "--backbone", other).code == 0
    ran = cli("lens", "latent", QUERY, "--index", foreign, "--embedder", tiny_embedder_dir)
    assert (ran.code, ran.out) == (1, "")
    assert f"the index {foreign} does not fit: its " in ran.error
    assert " is loaded" in ran.error
