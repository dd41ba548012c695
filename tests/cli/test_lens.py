"""`workbench lens logit | tuned | patchscope | grid | train-tuned` on a tiny embedder: what is printed and written."""

import json

import numpy as np
import pandas as pd
import pytest

TEXT = "What is the capital of Japan?"


@pytest.fixture(scope="module")
def embedder(tiny_embedder_dir):
    from workbench import load_embedder

    return load_embedder(tiny_embedder_dir)


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("".join(f"What is number {n}?\n" for n in range(12)))
    return path


@pytest.fixture
def probes(cli, tmp_path, tiny_embedder_dir, corpus):
    ran = cli("lens", "train-tuned", "--input", corpus, "--output", tmp_path / "probes", "--steps", 8,
              "--batch-size", 8, "--embedder", tiny_embedder_dir)  # fmt: skip
    assert ran.code == 0, ran.err
    return tmp_path / "probes"


def same(row, reading):
    assert row["lens"] == reading.lens
    assert row["layers"] == list(reading.layers)
    assert row["tokens"] == reading.tokens
    assert row["token_ids"] == reading.token_ids.tolist()
    np.testing.assert_allclose(row["scores"], reading.scores, atol=1e-6)
    assert row["novel"] == reading.novel.tolist()
    return True


def test_logit_prints_and_writes_what_the_lens_reads(cli, tmp_path, tiny_embedder_dir, embedder):
    from workbench.lenses.logit import logit_lens
    from workbench.lenses.reading import LensReading

    command = ("lens", "logit", TEXT, "--embedder", tiny_embedder_dir, "--layers", "0,-1", "--k", 3)
    ran = cli(*command, "--json", "--output", tmp_path / "r.parquet")
    assert ran.code == 0, ran.err
    [reading] = logit_lens(embedder, [TEXT], [0, -1], 3)
    assert same(json.loads(ran.out), reading)
    assert same(LensReading.load(tmp_path / "r.parquet").to_dict(), reading)
    table = cli(*command).out.splitlines()
    assert table[1::4] == ["layer 0", "layer 2"]
    for number, label in enumerate(reading.labels):
        line = table[6 + number]
        assert line.split()[0] == label
        for rank, token in enumerate(reading.tokens[1][number]):
            star = "*" if reading.novel[1, number, rank] else ""
            assert f"{token}{star} {reading.scores[1, number, rank]:.2f}" in line


def test_patchscope_takes_a_prompt_and_a_layer(cli, tiny_embedder_dir, embedder):
    from workbench.lenses.patchscope import patchscope

    command = ("lens", "patchscope", TEXT, "--embedder", tiny_embedder_dir, "--json")
    assert same(json.loads(cli(*command).out), patchscope(embedder, [TEXT])[0])
    ran = cli(*command, "--prompt", "Say {}!", "--target-layer", "same")
    assert same(json.loads(ran.out), patchscope(embedder, [TEXT], prompt="Say {}!", target_layer=None)[0])


def test_a_tuned_lens_is_trained_and_read(cli, tmp_path, tiny_embedder_dir, embedder, probes, corpus):
    from workbench.lenses.tuned import train_tuned_lens, tuned_lens
    from workbench.lenses.tuned_artifact import load_tuned_lens
    from workbench.lenses.tuned_config import TunedTraining

    ran = cli("lens", "tuned", TEXT, "--probes", probes, "--embedder", tiny_embedder_dir, "--json")
    [reading] = tuned_lens(embedder, [TEXT], load_tuned_lens(embedder, probes))
    assert same(json.loads(ran.out), reading)
    again = cli("lens", "train-tuned", "--input", corpus, "--output", tmp_path / "again", "--steps", 8,
                "--batch-size", 8, "--embedder", tiny_embedder_dir)  # fmt: skip
    trained = train_tuned_lens(
        embedder, corpus.read_text().splitlines(), TunedTraining(steps=8, batch_size=8)
    )
    for layer, (before, after) in enumerate(zip(trained.logit, trained.tuned, strict=True)):
        assert f"{layer}      {before:.3f}       {after:.3f}" in again.out
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (probes / name).read_bytes()


def test_the_grid_holds_every_lens_and_how_they_agree(cli, tmp_path, tiny_embedder_dir, embedder, probes):
    from workbench.lenses.agreement import agreement
    from workbench.lenses.logit import logit_lens
    from workbench.lenses.patchscope import patchscope
    from workbench.lenses.tuned import tuned_lens
    from workbench.lenses.tuned_artifact import load_tuned_lens

    command = ("lens", "grid", TEXT, "--probes", probes, "--embedder", tiny_embedder_dir)
    ran = cli(*command, "--json", "--output", tmp_path / "g.parquet", "--figure", tmp_path / "g.html")
    assert ran.code == 0, ran.err
    values = json.loads(ran.out)
    wanted = [
        logit_lens(embedder, [TEXT]),
        tuned_lens(embedder, [TEXT], load_tuned_lens(embedder, probes)),
        patchscope(embedder, [TEXT]),
    ]
    for row, [reading] in zip(values["readings"], wanted, strict=True):
        assert same(row, reading)
    found = agreement(wanted)
    np.testing.assert_allclose(values["agreement"]["score"], found.score)
    assert set(values["agreement"]["pairs"]) == {"logit tuned", "logit patchscope", "tuned patchscope"}
    frame = pd.read_parquet(tmp_path / "g.parquet")
    assert frame.groupby("lens").size().to_dict() == dict.fromkeys(
        ("logit", "tuned", "patchscope"), 3 * 3 * 5
    )
    assert "<html>" in (tmp_path / "g.html").read_text()[:100]
    table = cli(*command).out
    for at, layer in enumerate(found.layers):
        assert f"{layer}      {found.score[at]:.2f}     {found.low[at]:.2f} to {found.high[at]:.2f}" in table


def test_figures_are_printed_too(cli, tmp_path, tiny_embedder_dir):
    path = tmp_path / "f.svg"
    ran = cli("lens", "logit", TEXT, "--embedder", tiny_embedder_dir, "--layers", "-1", "--figure", path)
    assert ran.code == 0, ran.err
    assert "<svg" in path.read_text()
    assert f"drawn into {path}" in ran.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("logit", "  "), "the text is empty"),
        (("logit", TEXT, "--layers", "0,x"), "--layers are numbers such as 0,4,-1"),
        (("logit", TEXT, "--layers", "9"), "no layer 9: they are numbered from 0 (the input rows) to 2"),
        (("logit", TEXT, "--k", 500), "k must be from 1 to the vocabulary's 400"),
        (("logit", TEXT, "--output", "r.csv"), "must end in .parquet"),
        (("logit", TEXT, "--figure", "r.gif"), "must end in .html or .png or .pdf or .svg"),
        (("tuned", TEXT), "--probes"),
        (("tuned", TEXT, "--probes", "nowhere"), "no tuned lens at nowhere"),
        (("patchscope", TEXT, "--prompt", "none"), "must hold {} once"),
        (("patchscope", TEXT, "--target-layer", "last"), "--target-layer is a number or same"),
        (("grid", TEXT, "--probes", "nowhere"), "no tuned lens at nowhere"),
        (("train-tuned", "--input", "no.txt", "--output", "out"), "no such file: no.txt"),
    ],
)
def test_bad_input_is_one_line(cli, tiny_embedder_dir, arguments, words):
    ran = cli("lens", *arguments, "--embedder", tiny_embedder_dir)
    assert (ran.code, ran.err.count("\n"), ran.out) == (2, 1, ""), ran.err
    assert words in ran.error


def test_another_embedders_probes_are_refused(cli, tmp_path, probes, tiny_gpt2_dir, corpus):
    from workbench.backbone import Backbone
    from workbench.embedders.artifact import save
    from workbench.embedders.config import GEMConfig
    from workbench.embedders.gem import GEM

    other = save(
        GEM.untrained(Backbone.load(str(tiny_gpt2_dir)), GEMConfig(n_special=2, lora_rank=2)),
        tmp_path / "gem",
    )
    ran = cli("lens", "tuned", TEXT, "--probes", probes, "--embedder", other)
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert "does not fit" in ran.error
    assert cli("lens", "grid", TEXT, "--embedder", other).code == 0


def test_the_doctor_compares_with_the_bridge(cli, tiny_backbone_dir, monkeypatch):
    from workbench.cli import doctor
    from workbench.lenses import bridge

    def line(*arguments):
        ran = cli("doctor", "--backbone", tiny_backbone_dir, *arguments)
        return ran.code, [row for row in ran.out.splitlines() if "bridge" in row]

    code, [row] = line()
    assert code == 0
    assert row.startswith("ok    bridge equals model     LlamaForCausalLM, 3 texts: logits differ by at most")
    assert line("--no-bridge") == (0, [])
    monkeypatch.setattr(doctor, "COPIED", 1000)
    assert "not compared" in line()[1][0]
    assert "3 texts" in line("--bridge")[1][0]
    monkeypatch.setattr(bridge, "_wrap", lambda model: (_ for _ in ()).throw(bridge.NoBridge("none for it")))
    monkeypatch.setattr(doctor, "COPIED", 10**9)
    assert line() == (0, ["ok    bridge equals model     nothing to compare with: none for it"])
    assert line("--bridge") == (1, ["FAIL  bridge equals model     none for it"])
    monkeypatch.setattr(bridge, "_wrap", lambda model: lambda row, **_: model(row).logits + 1)
    assert "FAIL" in line()[1][0]
    assert "computes something else" in line()[1][0]
