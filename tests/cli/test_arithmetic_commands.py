"""`workbench arithmetic` on a tiny embedder: identities to the last bit, what is printed, and bad input in one line."""

import json

import numpy as np
import pytest

A, B = "Tell me about gold.", "Who painted the picture of the lion, and when?"


@pytest.fixture
def texts(tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("".join(f"What is number {n}?\n" for n in range(18)))
    return path


@pytest.fixture
def run(cli, tmp_path, tiny_embedder_dir, texts):
    """Runs an operation; gives its blocks as they were written, and its rows."""

    def call(*arguments):
        ran = cli("arithmetic", *arguments, "--embedder", tiny_embedder_dir, "--reference", texts,
                  "--max-new-tokens", 6, "--json", "--output", tmp_path / "blocks.npy")  # fmt: skip
        assert ran.code == 0, ran.err
        return np.load(tmp_path / "blocks.npy"), [json.loads(line) for line in ran.out.splitlines()]

    return call


@pytest.fixture
def own(tiny_embedder_dir):
    """The soft prompts of texts, each read alone."""
    from workbench import load_embedder

    embedder = load_embedder(tiny_embedder_dir)
    return lambda *texts: np.concatenate([embedder.represent([text]).soft_prompts.numpy() for text in texts])


def test_identities_are_byte_equal(run, own):
    [a] = own(A)
    for operation in (
        ("combine", "--add", A),
        ("average", "--text", A),
        ("average", "--text", A, "--text", A),
        ("transplant", "--into", A, "--source", B, "--tokens", ""),
        ("transplant", "--into", B, "--source", A, "--tokens", "0,1,2"),
        ("chain", "--text", A, "--steps", 0),
    ):
        blocks, [row] = run(*operation)
        assert blocks[0].tobytes() == a.tobytes(), operation
        assert row["operation"] == operation[0]


@pytest.mark.parametrize("how", ["linear", "spherical"])
def test_the_ends_of_a_walk_are_the_texts(run, own, how):
    blocks, rows = run("interpolate", "--from", A, "--to", B, "--steps", 3, "--how", how)
    a, b = own(A, B)
    assert blocks[0].tobytes() == a.tobytes()
    assert blocks[2].tobytes() == b.tobytes()
    assert [row["block"] for row in rows] == ["0.00", "0.50", "1.00"]


def test_what_is_computed_is_what_was_asked_for(run, own):
    a, b = own(A, B)
    blocks, _ = run("combine", "--add", A, "--subtract", B, "--add", A)
    np.testing.assert_allclose(blocks[0], a + a - b, rtol=1e-6, atol=1e-6)
    blocks, _ = run("average", "--text", A, "--text", B)
    np.testing.assert_allclose(blocks[0], (a + b) / 2, rtol=1e-6, atol=1e-6)
    blocks, _ = run("transplant", "--into", A, "--source", B, "--tokens", "0, 2")
    assert np.array_equal(blocks[0], np.stack([b[0], a[1], b[2]]))


def test_an_average_reads_a_file(run, own, tmp_path):
    (tmp_path / "t.csv").write_text(f'body,id\n"{A}",1\n"{B}",2\n')
    blocks, [row] = run("average", "--input", tmp_path / "t.csv", "--column", "body")
    np.testing.assert_allclose(blocks[0], own(A, B).mean(axis=0), rtol=1e-6, atol=1e-6)
    assert row["block"] == "of 2"


def test_what_is_printed_is_decoded_and_judged(run, cli, tiny_embedder_dir, texts):
    import torch

    from workbench import decode, load_embedder
    from workbench.decoding.arithmetic import chain
    from workbench.decoding.badge import Judge
    from workbench.decoding.reference import calibrate

    blocks, rows = run("chain", "--text", A, "--steps", 2)
    embedder = load_embedder(tiny_embedder_dir)
    wanted = chain(embedder, embedder.represent([A]).soft_prompts, 2)[:, 0]
    torch.testing.assert_close(torch.as_tensor(blocks), wanted)
    said = decode(embedder, wanted, max_new_tokens=6)
    judge = Judge(embedder, calibrate(embedder, texts.read_text().splitlines()))
    assert [row["decoded"] for row in rows] == said
    for row, badge in zip(rows, judge.badges(wanted, said), strict=True):
        assert row["level"] == badge.level
        assert (row["cosine"], row["null"], row["gap"]) == pytest.approx(
            (badge.cosine, badge.null, badge.gap), abs=1e-3
        )
    plain = cli("arithmetic", "chain", "--text", A, "--steps", 2, "--embedder", tiny_embedder_dir,
                "--reference", texts, "--max-new-tokens", 6)  # fmt: skip
    assert plain.code == 0, plain.err
    for row in rows:
        assert row["decoded"] in plain.out
        assert f"gap {row['gap']:+.2f}  {row['level']}" in plain.out


def test_decode_shows_the_same_badges(cli, tiny_embedder_dir, texts):
    from workbench import load_embedder
    from workbench.decoding.badge import Judge
    from workbench.decoding.reference import calibrate
    from workbench.decoding.trust import read

    command = ("decode", "--embedder", tiny_embedder_dir, "--text", A, "--text", B, "--max-new-tokens", 6,
               "--reference", texts)  # fmt: skip
    rows = [json.loads(line) for line in cli(*command, "--json").out.splitlines()]
    embedder = load_embedder(tiny_embedder_dir)
    readings = read(embedder, [A, B], max_new_tokens=6)
    judge = Judge(embedder, calibrate(embedder, texts.read_text().splitlines()))
    badges = judge.badges(readings.soft_prompts, readings.decoded)
    assert [row["level"] for row in rows] == [badge.level for badge in badges]
    assert [row["gap"] for row in rows] == pytest.approx([badge.gap for badge in badges], abs=1e-3)
    assert cli(*command).out.count(f"gap {badges[0].gap:+.2f}  {badges[0].level}") >= 1


@pytest.fixture(scope="module")
def gem_dir(tmp_path_factory, tiny_backbone_dir):
    from workbench.backbone import Backbone
    from workbench.embedders.artifact import save
    from workbench.embedders.config import GEMConfig
    from workbench.embedders.gem import GEM

    folder = tmp_path_factory.mktemp("gem") / "gem"
    save(GEM.untrained(Backbone.load(str(tiny_backbone_dir)), GEMConfig(n_special=2, lora_rank=2)), folder)
    return folder


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("interpolate", "--from", A, "--to", B, "--steps", 1), "at least 2 steps"),
        (("interpolate", "--from", A, "--to", B, "--how", "cubic"), "cubic"),
        (("interpolate", "--from", A), "--to"),
        (("interpolate", "--from", A, "--to", " "), "a text is empty"),
        (("combine",), "no text to compute with"),
        (("average",), "give either --text or --input"),
        (("average", "--input", "no.txt"), "no such file: no.txt"),
        (("transplant", "--into", A, "--source", B, "--tokens", "0,x"), "numbers from 0 such as 0,3"),
        (("transplant", "--into", A, "--source", B, "--tokens", "0,3"), "no special token 3"),
        (("chain", "--text", A, "--steps", -1), "0 or more steps"),
        (("chain", "--text", A, "--max-new-tokens", 0), "at least 1, not 0"),
        (("chain", "--text", A, "--output", "blocks.csv"), "must end in .npy"),
        (("chain", "--text", A, "--reference", "no.txt"), "no such file: no.txt"),
    ],
)
def test_bad_input_is_one_line(cli, tiny_embedder_dir, arguments, words):
    ran = cli("arithmetic", *arguments, "--embedder", tiny_embedder_dir)
    assert ran.code == 2, ran.err
    assert ran.err.count("\n") == 1, ran.err
    assert words in ran.error
    assert ran.out == ""


def test_a_reference_of_too_few_texts(cli, tiny_embedder_dir, tmp_path):
    (tmp_path / "few.txt").write_text("a\nb\n")
    ran = cli("arithmetic", "chain", "--text", A, "--embedder", tiny_embedder_dir, "--reference",
              tmp_path / "few.txt")  # fmt: skip
    assert ran.code == 2
    assert "a reference needs at least 16 different texts, not 2" in ran.error
    assert ran.out == ""


def test_gem_has_no_soft_prompts_to_compute_with(cli, gem_dir):
    ran = cli("arithmetic", "chain", "--text", A, "--embedder", gem_dir)
    assert (ran.code, ran.err.count("\n"), ran.out) == (2, 1, "")
    assert "a gem embedder has no soft prompts; take an LLM2Vec-Gen embedder" in ran.error


def test_fieldguide_trust_checks_its_paths(cli, tiny_embedder_dir, tmp_path):
    ran = cli("fieldguide", "trust", "--embedder", tiny_embedder_dir, "--data", tmp_path)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "no such file" in ran.error
    ran = cli("fieldguide", "trust", "--embedder", tiny_embedder_dir, "--output", tmp_path / "r.csv")
    assert (ran.code, ran.err.count("\n")) == (2, 1)


def test_fieldguide_trust_prints_and_writes_its_report(cli, tiny_embedder_dir, tmp_path, texts):
    from workbench.fieldguide.exam import write_exam
    from workbench.fieldguide.items import Item

    queries = (A, B, "The river flows.", "I am happy.", "Summarize this.", "Which instrument is it?")
    write_exam([Item("smalltalk", query, "r", ("r",)) for query in queries], tmp_path / "eval.jsonl")
    ran = cli("fieldguide", "trust", "--embedder", tiny_embedder_dir, "--data", tmp_path, "--reference", texts,
              "--items", 5, "--output", tmp_path / "r.json")  # fmt: skip
    assert ran.code == 0, ran.err
    values = json.loads((tmp_path / "r.json").read_text())
    assert values["badges"]["norm x 4"]["levels"]["off the manifold"] == 1.0
    assert f"| score | {values['auroc']['score']:.3f} |" in ran.out
    assert values["badges"]["true pairs"]["readings"] == 5
