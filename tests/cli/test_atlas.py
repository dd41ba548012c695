"""`workbench atlas`: builds a store, searches it by text, vector and row, and says what is wrong in one line."""

import json

import numpy as np
import pytest

from workbench.backbone import Backbone
from workbench.embedders.artifact import load_embedder, save
from workbench.embedders.config import GEMConfig, LLM2VecGenConfig
from workbench.embedders.gem import GEM
from workbench.embedders.llm2vec_gen import LLM2VecGen

TEXTS = [f"What is number {n}?" for n in range(12)]


def write(path):
    rows = [{"query": text, "n": n, "kind": "ab"[n % 2], "id": f"q{n}"} for n, text in enumerate(TEXTS)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def store(tmp_path_factory, tiny_embedder_dir):
    from workbench.cli import main

    folder = tmp_path_factory.mktemp("atlas")
    source = write(folder / "a.jsonl")
    command = ["atlas", "build", "--embedder", tiny_embedder_dir, "--input", source, "--store", folder / "store",
               "--prompt-name", "document"]  # fmt: skip
    assert main([str(part) for part in command]) == 0
    return folder / "store"


@pytest.fixture(scope="module")
def vectors(tiny_embedder_dir):
    return load_embedder(tiny_embedder_dir).encode_document(TEXTS)


def ranked(vectors, query, k, kept=None):
    """Ids of the rows most similar to `query`, by hand."""
    cosines = vectors @ query / np.linalg.norm(vectors, axis=1) / np.linalg.norm(query)
    return [f"q{n}" for n in np.argsort(-cosines) if kept is None or n in kept][:k]


def found(ran):
    assert ran.code == 0, ran.err
    return [json.loads(line) for line in ran.out.splitlines()]


def test_a_text_finds_the_rows_that_its_own_vector_finds(cli, store, vectors, tiny_embedder_dir):
    command = (
        "atlas",
        "search",
        "--store",
        store,
        "--embedder",
        tiny_embedder_dir,
        "--text",
        "number",
        "--json",
    )
    embedder = load_embedder(tiny_embedder_dir)
    rows = found(cli(*command, "--top", 5))
    assert [row["id"] for row in rows] == ranked(vectors, embedder.encode_document("number"), 5)
    rows = found(cli(*command, "--top", 5, "--prompt-name", "query"))
    assert [row["id"] for row in rows] == ranked(vectors, embedder.encode_query("number"), 5)
    rows = found(cli(*command, "--where", "kind = 'b' AND n > 4"))
    assert [row["id"] for row in rows] == ranked(
        vectors, embedder.encode_document("number"), 10, {5, 7, 9, 11}
    )
    assert rows[0]["metadata"]["kind"] == "b"


def test_a_vector_and_a_row_need_no_embedder(cli, store, vectors, tmp_path, monkeypatch):
    monkeypatch.setattr("workbench.embedders.artifact.load_embedder", lambda *a, **k: pytest.fail("loaded"))
    np.save(tmp_path / "v.npy", vectors[3])
    by_file = found(
        cli("atlas", "search", "--store", store, "--vector", tmp_path / "v.npy", "--json", "--top", 4)
    )
    by_list = found(
        cli(
            "atlas",
            "search",
            "--store",
            store,
            "--vector",
            json.dumps(vectors[3].tolist()),
            "--json",
            "--top",
            4,
        )
    )
    assert by_file == by_list
    assert [row["id"] for row in by_file] == ranked(vectors, vectors[3], 4)
    assert by_file[0] == {"id": "q3", "similarity": 1.0, "text": TEXTS[3], "metadata": {"n": 3, "kind": "b"}}
    by_row = found(cli("atlas", "search", "--store", store, "--row", "q3", "--json", "--top", 3))
    assert by_row == by_file[1:]


def test_what_was_found_is_printed_and_decoded(cli, store, tiny_embedder_dir):
    command = ("atlas", "search", "--store", store, "--embedder", tiny_embedder_dir, "--row", "q2", "--top", 2,
               "--decode", "--max-new-tokens", 5)  # fmt: skip
    rows = found(cli(*command, "--json"))
    from workbench.decoding.decode import decode

    embedder = load_embedder(tiny_embedder_dir)
    texts = [row["text"] for row in rows]
    encoding = embedder.represent(texts, instruction=embedder.prompts["document"])
    assert [row["decoded"] for row in rows] == decode(
        embedder, encoding.soft_prompts.half().float(), max_new_tokens=5
    )
    printed = cli(*command).out
    assert all(f"{row['similarity']:.3f}  {row['text']}" in printed for row in rows)
    assert printed.count("decoded: ") == 2
    assert f"kind {rows[0]['metadata']['kind']}" in printed
    ran = cli(*command, "--where", "n > 99")
    assert (ran.code, ran.out) == (0, "")
    assert "no row was found" in ran.error


def test_info_says_what_a_store_holds(cli, store, tiny_embedder_dir):
    [info] = found(cli("atlas", "info", "--store", store, "--json"))
    wanted = {
        "rows": 12, "complete": True, "left_out": {}, "metadata": {"n": "int64", "kind": "string"}, "index": None,
        "dimension": 24, "soft_prompts": [3, 32], "method": "llm2vec-gen", "source": "a.jsonl",
    }  # fmt: skip
    assert {key: info[key] for key in wanted} == wanted
    assert info["instruction"] == load_embedder(tiny_embedder_dir).prompts["document"]
    printed = cli("atlas", "info", "--store", store).out
    assert "rows           12\n" in printed
    assert "method         llm2vec-gen\n" in printed


def test_bad_rows_get_a_line_each_and_a_count_and_a_rerun_adds_nothing(cli, tmp_path, tiny_embedder_dir):
    long = json.dumps({"id": 4, "text": "gold " * 20_000}).encode()
    lines = [b'{"id": 1, "text": "good"}', b'{"id": 2, "text": ""}', b'{"id": 1, "text": "x"}']
    lines += [b'{"text": "\xff", "id": 3}', long]
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(lines + [b"{"] * 25))
    command = (
        "atlas",
        "build",
        "--embedder",
        tiny_embedder_dir,
        "--input",
        tmp_path / "a.jsonl",
        "--store",
        tmp_path / "s",
    )
    ran = cli(*command)
    assert ran.code == 0, ran.err
    said = [line.rsplit("\r", 1)[-1] for line in ran.err.splitlines()]
    for line in (
        "line 2 is left out: empty", "line 3 is left out: duplicate id (1)", "line 4 is left out: not valid UTF-8",
        "1 row left out (empty)", "25 rows left out (not valid JSON)",
        "1 of 2 texts longer than the limit lost their tail", f"2 rows of dimension 24 in {tmp_path / 's'}",
    ):  # fmt: skip
        assert any(line in found for found in said), line
    assert sum("is left out: not valid JSON" in line for line in said) == 20
    again = cli(*command)
    assert again.error.endswith(f"2 rows of dimension 24 in {tmp_path / 's'}, 2 of them were there")
    assert "lost their tail" not in again.err


def test_vectors_of_embed_are_taken_as_they_are(cli, tmp_path, tiny_embedder_dir):
    source, embedder = write(tmp_path / "a.jsonl"), ("--embedder", tiny_embedder_dir)
    assert cli("embed", *embedder, "--input", source, "--output", tmp_path / "v.parquet").code == 0
    command = ("atlas", "build", *embedder, "--input", tmp_path / "v.parquet", "--store", tmp_path / "s")
    ran = cli(*command)
    assert ran.code == 2
    assert "'embedding' cannot be metadata" in ran.error
    assert cli(*command, "--vector-column", "embedding").code == 0
    rows = found(
        cli("atlas", "search", "--store", tmp_path / "s", *embedder, "--text", TEXTS[4], "--json", "--top", 1)
    )
    assert (rows[0]["text"], rows[0]["similarity"]) == (TEXTS[4], 1.0)
    ran = cli("atlas", "search", "--store", tmp_path / "s", *embedder, "--text", "a", "--decode")
    assert ran.code == 1
    assert "its vectors came with the input" in ran.error


def test_a_store_of_gem_is_searched_and_says_that_it_cannot_be_decoded(cli, tmp_path, tiny_backbone_dir):
    gem = save(GEM.untrained(Backbone.load(str(tiny_backbone_dir)), GEMConfig(n_special=2)), tmp_path / "gem")
    source = write(tmp_path / "a.jsonl")
    ran = cli("atlas", "build", "--embedder", gem, "--input", source, "--store", tmp_path / "s")
    assert ran.code == 0, ran.err
    assert "gem has no soft prompts: the rows of this store can be searched, not decoded" in ran.err
    command = ("atlas", "search", "--store", tmp_path / "s", "--embedder", gem, "--text", TEXTS[4])
    assert found(cli(*command, "--json"))[0]["id"] == "q4"
    ran = cli(*command, "--decode")
    assert ran.code == 1
    assert "gem has none" in ran.error


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "give one of --text, --vector and --row"),
        (("--text", "a", "--row", "q1"), 2, "give one of"),
        (("--text", " "), 2, "--text is empty"),
        (("--row", "q99"), 2, "has no row 'q99'"),
        (("--vector", "[1, 2]"), 2, "a query of shape [2]"),
        (("--vector", "one"), 2, "neither a .npy file nor a JSON list"),
        (("--vector", "no.npy"), 2, "no such file: no.npy"),
        (("--row", "q1", "--where", "colour = 1"), 2, "No field named colour"),
        (("--row", "q1", "--top", "0"), 2, "--top"),
    ],
)
def test_what_cannot_be_searched_is_one_line(cli, store, arguments, code, message):
    ran = cli("atlas", "search", "--store", store, *arguments)
    assert (ran.code, ran.out) == (code, "")
    assert ran.err.count("\n") == 1
    assert message in ran.error


def test_another_embedder_is_refused_by_search_and_build(cli, store, tmp_path, tiny_backbone_dir):
    config = LLM2VecGenConfig(n_compression=3, dimension=24, max_length=48)
    other = save(
        LLM2VecGen.untrained(Backbone.load(str(tiny_backbone_dir)), config, seed=1), tmp_path / "other"
    )
    for command in (
        ("search", "--text", "a"), ("search", "--row", "q1"), ("build", "--input", store.parent / "a.jsonl"),
    ):  # fmt: skip
        ran = cli("atlas", *command, "--store", store, "--embedder", other)
        assert (ran.code, ran.out) == (1, "")
        assert "does not fit: its embedder is" in ran.error
        assert ran.error.endswith("is loaded; open it with the embedder that built it")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("build", "--input", "no.jsonl", "--store", "s"), "no such file: no.jsonl"),
        (("build", "--input", "a.csv", "--store", "s"), "which column?"),
        (("build", "--input", "a.csv", "--column", "b", "--store", "s"), "has no column 'b'"),
        (("build", "--input", "a.csv", "--column", "a", "--store", "a.csv"), "a.csv is a file"),
        (
            ("build", "--input", "a.csv", "--column", "a", "--store", "s", "--prompt-name", "x"),
            "no prompt named 'x'",
        ),
        (("search", "--row", "a", "--store", "s"), "no store at s"),
        (("info", "--store", "s"), "no store at s"),
        (("info", "--store", "nonsense://a"), "no store can be at nonsense://a"),
    ],
)
def test_a_command_that_must_change_is_one_line_and_makes_nothing(
    cli, arguments, message, tmp_path, monkeypatch, tiny_embedder_dir
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text("a,n\nx,1\n")
    if arguments[0] == "build":
        arguments += ("--embedder", tiny_embedder_dir)
    ran = cli("atlas", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.count("\n") == 1
    assert message in ran.error
    assert not (tmp_path / "s").exists()
