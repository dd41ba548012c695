"""`workbench lens attention | attribute | patch | verify`: what is printed and written is what the functions find."""

import json

import numpy as np
import pytest

TEXT = "What is the capital of Japan?"


@pytest.fixture
def run(cli, tmp_path, tiny_embedder_dir):
    """Runs a lens command; gives its JSON object, what it prints as a table, and the file that it writes."""

    def call(*arguments):
        flags = ("--embedder", tiny_embedder_dir)
        ran = cli("lens", *arguments, *flags, "--json", "--output", tmp_path / "out.parquet")
        assert ran.code == 0, ran.err
        assert ran.err.endswith(f"written to {tmp_path / 'out.parquet'}\n")
        plain = cli("lens", *arguments, *flags)
        assert plain.code == 0, plain.err
        return json.loads(ran.out), plain.out, tmp_path / "out.parquet"

    return call


@pytest.fixture
def embedder(tiny_embedder_dir):
    from workbench import load_embedder

    return load_embedder(tiny_embedder_dir)


@pytest.fixture
def reference(tmp_path):
    path = tmp_path / "others.txt"
    path.write_text("Tell me about gold.\nA lion\nWhich instrument has six strings?\n")
    return path


def test_attention(run, embedder):
    from workbench.lenses.attention_flow import AttentionFlow
    from workbench.lenses.flow import attention_flow

    values, table, file = run("attention", TEXT, "--layer", 2, "--head", 3, "--top", 2)
    found = attention_flow(embedder, TEXT)
    np.testing.assert_allclose(values["attention"], found.fed_by(layer=2, head=3), atol=1e-6)
    np.testing.assert_allclose(values["rollout"], found.fed_by("rollout"), atol=1e-6)
    best = found.words.labels[int(found.fed_by("rollout")[0].argmax())]
    line = next(line for line in table.splitlines() if line.startswith("◆1"))
    assert f"{best} {found.fed_by('rollout')[0].max():.2f}" in line
    assert "recomputed in eager attention" in table
    np.testing.assert_allclose(AttentionFlow.load(file).weights, found.weights, atol=1e-6)
    values, table, file = run("attention", TEXT, "--no-rollout")
    assert values["rollout"] is None
    assert "rollout" not in table
    assert AttentionFlow.load(file).rolled is None


def test_mask(run, cli, embedder, tiny_embedder_dir, tmp_path):
    import pandas as pd

    from workbench.lenses.attention import special_attention

    values, table, file = run("mask", TEXT, "--layer", 2, "--head", 3)
    found = special_attention(embedder, TEXT)
    np.testing.assert_allclose(values["weights"], found.weights[1, 2], atol=1e-6)
    assert values["declared"] == found.declared.tolist()
    first = int(np.flatnonzero(found.is_special)[0])
    line = next(line for line in table.splitlines() if line.startswith("◆1"))
    assert line.split()[1] == str(found.declared[first].sum()) == str(first + 1)
    assert f"{found.weights[1, 2, first, 0]:.2f}" in line
    assert "largest weight outside the mask: 0;" in table
    frame = pd.read_parquet(file)
    kept = frame[frame["row"] == first + 1]
    np.testing.assert_allclose(kept["weight"], found.weights[1, 2, first], atol=1e-6)
    assert kept["may"].tolist() == found.declared[first].tolist()
    command = ("lens", "mask", "--embedder", tiny_embedder_dir, "--figure")
    for name, start in (("f.pdf", b"%PDF"), ("f.png", b"\x89PNG"), ("f.svg", b"<?xml")):
        ran = cli(*command, tmp_path / name, "--rows", "--", TEXT)
        assert ran.code == 0, ran.err
        assert (tmp_path / name).read_bytes().startswith(start)


@pytest.mark.parametrize("method", ["zero", "mean", "resample", "gradient", "words"])
def test_attribute(run, embedder, reference, method):
    from workbench.lenses.attribution_map import AttributionMap
    from workbench.lenses.word_attribution import attribute

    values, table, file = run(
        "attribute", TEXT, "--method", method, "--reference", reference, "--steps", 2, "--decoded", "A lion."
    )
    found = attribute(
        embedder, TEXT, method, reference=reference.read_text().splitlines(), steps=2, decoded="A lion."
    )
    np.testing.assert_allclose(values["values"], found.values, atol=1e-5)
    np.testing.assert_allclose(AttributionMap.load(file).values, found.values, atol=1e-5)
    assert f"of {found.jointly.sum():+.2f} nats, error {found.completeness_error:.2f}" in table
    for label in found.labels:
        assert any(line.startswith(f"{label} ") for line in table.splitlines())


def test_a_long_map_is_printed_in_blocks(run):
    said = "The lion eats gold. " * 8
    values, table, _ = run("attribute", TEXT, "--decoded", said)
    assert values["tokens"][-1] == "<|end|>"
    assert max(map(len, table.splitlines())) < 260
    assert table.count("◆1") == -(-len(values["tokens"]) // 24)


def test_patch(run, embedder):
    from workbench.lenses.patching import PatchReading, patch

    other = "Tell me about the guitar."
    values, table, file = run(
        "patch", "--source", other, "--target", TEXT, "--token", 3, "--layer", 1, "--max-new-tokens", 5
    )
    found = patch(embedder, other, TEXT, token=2, layer=1, max_new_tokens=5)
    assert values["label"] == "◆3"
    assert (values["before"], values["after"]) == (found.before, found.after)
    assert "(◆3 behind layer 1)" in table
    np.testing.assert_allclose(PatchReading.load(file).target_change, found.target_change, atol=1e-5)


def test_verify(run, embedder, reference, tmp_path):
    from workbench.lenses.verification import Verification, verify
    from workbench.lenses.word_attribution import attribute

    (tmp_path / "texts.txt").write_text(f"{TEXT}\nI am happy.\nnever read\n")
    others = reference.read_text().splitlines()
    flags = ("--limit", 2, "--reference", reference, "--max-new-tokens", 4)
    values, table, file = run("verify", "--input", tmp_path / "texts.txt", *flags)
    maps = [attribute(embedder, text, "zero", max_new_tokens=4) for text in (TEXT, "I am happy.")]
    found = verify(embedder, maps, reference=others)
    assert values["texts"] == [TEXT, "I am happy."]
    assert values["correlation"] == pytest.approx(found.correlation, abs=1e-3)
    assert f"rank correlation {values['correlation']:.3f}" in table
    np.testing.assert_allclose(Verification.load(file).real, found.real, atol=1e-5)


@pytest.mark.parametrize(
    "arguments",
    [
        ("attention", TEXT),
        ("attribute", TEXT, "--decoded", "A lion."),
        ("patch", "--source", "A lion", "--target", TEXT, "--token", 1, "--max-new-tokens", 3),
        ("verify", "--text", TEXT, "--max-new-tokens", 3),
    ],
)
def test_every_command_draws(cli, tmp_path, tiny_embedder_dir, arguments):
    for name, start in (("f.html", b"<!doctype html>"), ("f.png", b"\x89PNG"), ("f.svg", b"<?xml")):
        ran = cli("lens", *arguments, "--embedder", tiny_embedder_dir, "--figure", tmp_path / name)
        assert ran.code == 0, ran.err
        assert (tmp_path / name).read_bytes().startswith(start)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("attention", " "), "the text is empty"),
        (("attention", TEXT, "--layer", 9), "no layer 9: they are numbered 1 to 2"),
        (("attention",), "Missing argument 'text'"),
        (("mask", TEXT, "--head", 99), "no head 99: they are numbered 1 to"),
        (("mask", TEXT, "--layer", 0), "no layer 0: they are numbered 1 to 2"),
        (("mask", TEXT, "--figure", "f.html"), "must end in .png or .pdf or .svg"),
        (("attribute", TEXT, "--method", "magic"), "magic"),
        (("attribute", TEXT, "--method", "mean", "--reference", "no.txt"), "no such file: no.txt"),
        (("attribute", TEXT, "--output", "map.csv"), "must end in .parquet"),
        (("attention", TEXT, "--figure", "f.gif"), "must end in .html or .png or .pdf or .svg"),
        (("verify", "--text", TEXT, "--figure", "f.gif"), "must end in .html"),
        (("patch", "--source", TEXT, "--target", TEXT, "--token", 4), "there is no ◆4"),
        (("patch", "--source", " ", "--target", TEXT, "--token", 1), "the text is empty"),
        (("patch", "--source", TEXT, "--target", TEXT, "--token", 0), "--token"),
        (("verify", "--text", TEXT, "--method", "words"), "is the intervention itself"),
        (("verify",), "give either --text or --input"),
    ],
)
def test_bad_input_is_one_line(cli, tiny_embedder_dir, arguments, words):
    ran = cli("lens", *arguments, "--embedder", tiny_embedder_dir)
    assert ran.code == 2, ran.err
    assert ran.err.count("\n") == 1, ran.err
    assert words in ran.error
    assert ran.out == ""
