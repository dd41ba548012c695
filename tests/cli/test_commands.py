"""Every command on good input, with a tiny backbone: what it writes, what it says, that it resumes."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from workbench.backbone import Backbone
from workbench.embedders.artifact import save
from workbench.embedders.config import GEMConfig
from workbench.embedders.gem import GEM
from workbench.errors import UsageError

TRAINING = ["--teacher", "mean-pool", "--batch-size", 4, "--warmup-steps", 1, "--n-compression", 3]


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_version_and_help(cli):
    import workbench

    assert cli("--version").out == f"{workbench.__version__}\n"
    helped = cli("train", "llm2vec-gen", "--help")
    assert helped.code == 0
    for flag in ("--lr", "--n-compression", "--w-align", "--queries", "--lora-rank", "--no-resume"):
        assert flag in helped.out
    assert "--dimension" not in helped.out
    assert "Peak learning rate of AdamW" in helped.out


def test_respond_writes_the_backbones_own_responses(cli, tmp_path, tiny_backbone_dir, tiny_backbone):
    queries = write(tmp_path / "q.txt", "Who painted the picture?\n\nTell me about gold.\n")
    ran = cli("respond", "--backbone", tiny_backbone_dir, "--queries", queries, "--output", tmp_path / "c.jsonl",
              "--max-new-tokens", 6)  # fmt: skip
    assert ran.code == 0, ran.err
    rows = lines(tmp_path / "c.jsonl")
    assert [row["query"] for row in rows] == ["Who painted the picture?", "Tell me about gold."]
    wanted = tiny_backbone.respond([row["query"] for row in rows], max_new_tokens=6)
    assert [row["response"] for row in rows] == wanted
    assert "1 row left out (empty)" in ran.err
    assert (tmp_path / "cache" / "responses").is_dir()
    assert ran.out == ""


@pytest.mark.parametrize("source", ["corpus", "queries"])
def test_train_makes_an_embedder_that_embeds_and_decodes(
    cli, tmp_path, tiny_backbone_dir, corpus_file, source
):
    queries = corpus_file
    if source == "queries":
        queries = write(tmp_path / "q.txt", "".join(f"What is number {n}?\n" for n in range(8)))
    folder = tmp_path / "embedder"
    ran = cli("train", "llm2vec-gen", "--backbone", tiny_backbone_dir, "--queries", queries, "--output", folder,
              "--max-new-tokens", 5, *TRAINING)  # fmt: skip
    assert ran.code == 0, ran.err
    config = json.loads((folder / "config.json").read_text())
    assert config["config"]["n_compression"] == 3
    assert config["config"]["teacher"] == "mean-pool"
    assert config["training"]["batch_size"] == 4
    assert cli("embed", "--embedder", folder, "--text", "gold", "--output", tmp_path / "v.npy").code == 0
    assert np.load(tmp_path / "v.npy").shape == (1, 32)


@pytest.mark.parametrize("method", ["llm2vec-gen", "gem"])
def test_a_watched_training_keeps_the_other_columns(cli, tmp_path, tiny_backbone_dir, method):
    from workbench.training.watched import read_watch

    rows = [{"query": f"What is {n}?", "response": f"It is {n}.", "kind": f"kind {n}"} for n in range(8)]
    path = write(tmp_path / "c.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    source = (
        ("--queries", path, *TRAINING) if method == "llm2vec-gen" else ("--texts", path, "--batch-size", 4)
    )
    ran = cli("train", method, "--backbone", tiny_backbone_dir, "--output", tmp_path / "e", *source,
              "--watch-every", 1, "--watch-texts", 4, "--watch-samples", 1)  # fmt: skip
    assert ran.code == 0, ran.err
    watch = read_watch(tmp_path / "e")
    assert [text.about for text in watch.texts] == [{"kind": f"kind {row}"} for row in (0, 2, 4, 6)]
    assert watch.steps[0] == 0
    assert len(watch.samples) == len(watch.steps) > 1


def test_align_fits_a_trained_embedder_to_another_teacher(cli, tmp_path, tiny_embedder_dir):
    queries = write(tmp_path / "q.txt", "".join(f"What is number {n}?\n" for n in range(24)))
    ran = cli("train", "align", "--embedder", tiny_embedder_dir, "--queries", queries, "--teacher", "mean-pool",
              "--max-new-tokens", 5, "--output", tmp_path / "aligned")  # fmt: skip
    assert ran.code == 0, ran.err
    assert "dimension 32, aligned to mean-pool" in ran.err
    before, after = (
        json.loads((f / "config.json").read_text()) for f in (tiny_embedder_dir, tmp_path / "aligned")
    )
    assert (before["dimension"], after["dimension"]) == (24, 32)
    assert after["config"]["teacher"] == "mean-pool"
    decoded = [cli("decode", "--embedder", folder, "--text", "gold", "--json", "--max-new-tokens", 8).out
               for folder in (tiny_embedder_dir, tmp_path / "aligned")]  # fmt: skip
    assert json.loads(decoded[0])["decoded"] == json.loads(decoded[1])["decoded"]


def test_align_refuses_what_has_no_alignment(cli, tmp_path, tiny_backbone_dir, corpus_file):
    save(GEM.untrained(Backbone.load(str(tiny_backbone_dir)), GEMConfig(n_special=2)), tmp_path / "gem")
    ran = cli(
        "train", "align", "--embedder", tmp_path / "gem", "--queries", corpus_file, "--output", tmp_path / "a"
    )
    assert ran.code == 2
    assert "only LLM2Vec-Gen embedders are aligned" in ran.error
    assert not (tmp_path / "a").exists()


def test_embed_writes_the_same_vectors_into_every_format(cli, tmp_path, tiny_embedder_dir):
    texts = ["Tell me about gold.", "Who painted the picture?", "The lion"]
    source = write(tmp_path / "t.csv", "id,text\n" + "".join(f"{n},{text}\n" for n, text in enumerate(texts)))
    for name in ("v.npy", "v.parquet", "v.jsonl"):
        ran = cli("embed", "--embedder", tiny_embedder_dir, "--input", source, "--output", tmp_path / name)
        assert ran.code == 0, ran.err
    vectors = np.load(tmp_path / "v.npy")
    assert vectors.shape == (3, 24)
    assert vectors.dtype == np.float32
    table = pq.read_table(tmp_path / "v.parquet")
    assert table.column("text").to_pylist() == texts
    np.testing.assert_array_equal(np.array(table.column("embedding").to_pylist(), dtype=np.float32), vectors)
    rows = lines(tmp_path / "v.jsonl")
    assert [row["text"] for row in rows] == texts
    np.testing.assert_array_equal(np.array([row["embedding"] for row in rows], dtype=np.float32), vectors)


def test_embed_is_encode_with_prompt_and_norm(cli, tmp_path, tiny_embedder_dir):
    from workbench import load_embedder

    ran = cli("embed", "--embedder", tiny_embedder_dir, "--text", "gold", "--text", "a lion", "--normalize",
              "--prompt-name", "document", "--output", tmp_path / "v.npy")  # fmt: skip
    assert ran.code == 0, ran.err
    wanted = load_embedder(tiny_embedder_dir).encode_document(["gold", "a lion"], normalize_embeddings=True)
    np.testing.assert_allclose(np.load(tmp_path / "v.npy"), wanted, atol=1e-6)


def test_a_long_embedding_goes_on_where_it_was_interrupted(cli, tmp_path, tiny_embedder_dir, monkeypatch):
    from workbench.cli import embed
    from workbench.embedders.llm2vec_gen import LLM2VecGen

    monkeypatch.setattr(embed, "PART", 4)
    source = write(tmp_path / "t.txt", "".join(f"text number {n}\n" for n in range(10)))
    command = ["embed", "--embedder", tiny_embedder_dir, "--input", source, "--output"]
    assert cli(*command, tmp_path / "whole.npy").code == 0

    represent, calls = LLM2VecGen.represent, []

    def interrupted(self, texts, **options):
        calls.append(len(texts))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return represent(self, texts, **options)

    monkeypatch.setattr(LLM2VecGen, "represent", interrupted)
    ran = cli(*command, tmp_path / "resumed.npy")
    assert (ran.code, ran.error) == (130, "workbench: interrupted; run the same command again to resume")
    assert not (tmp_path / "resumed.npy").exists()
    calls[:] = [0, 0]
    assert cli(*command, tmp_path / "resumed.npy").code == 0
    assert calls[2:] == [4, 2]
    assert (tmp_path / "resumed.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()
    assert not list(tmp_path.glob(".*"))


def test_decode_prints_text_response_decoded_and_trust(cli, tmp_path, tiny_embedder_dir):
    from workbench import load_embedder
    from workbench.decoding.trust import read, shuffled

    texts = ["Tell me about gold.", "The <b>lion</b>"]
    command = [
        "decode",
        "--embedder",
        tiny_embedder_dir,
        "--text",
        texts[0],
        "--text",
        texts[1],
        "--max-new-tokens",
        5,
    ]
    as_json = cli(*command, "--json")
    assert as_json.code == 0, as_json.err
    rows = [json.loads(line) for line in as_json.out.splitlines()]
    readings = read(load_embedder(tiny_embedder_dir), texts, max_new_tokens=5)
    assert [row["text"] for row in rows] == texts
    assert [row["response"] for row in rows] == readings.responses
    assert [row["decoded"] for row in rows] == readings.decoded
    assert rows[0]["shuffled"] == pytest.approx(shuffled(readings), abs=1e-4)

    plain = cli(*command)
    assert plain.out.count("decoded ") == 2
    assert texts[1] in plain.out
    ran = cli(*command, "--output", tmp_path / "r.jsonl")
    assert (ran.code, ran.out) == (0, "")
    assert lines(tmp_path / "r.jsonl") == rows
    single = cli(*command[:5], "--json", "--max-new-tokens", 5)
    assert json.loads(single.out)["shuffled"] is None


def test_texts_over_the_limit_are_counted_on_stderr(cli, tmp_path, tiny_embedder_dir):
    source = write(tmp_path / "t.txt", "short\n" + "gold " * 500 + "\n")
    ran = cli("embed", "--embedder", tiny_embedder_dir, "--input", source, "--output", tmp_path / "v.npy")
    assert ran.code == 0
    said = [line for line in ran.err.splitlines() if "1 of 2 texts" in line]
    assert said == ["workbench: 1 of 2 texts longer than the limit lost their tail"]
    ran = cli("decode", "--embedder", tiny_embedder_dir, "--input", source, "--max-new-tokens", 2, "--json")
    assert ran.code == 0
    assert "1 of 2 texts longer than the limit lost their tail" in ran.err
    assert len(ran.out.splitlines()) == 2


def test_long_queries_and_responses_are_counted_in_training_too(
    cli, tmp_path, tiny_backbone_dir, corpus_file
):
    long = json.dumps({"query": "gold " * 99, "response": "lion " * 99})
    corpus = write(tmp_path / "c.jsonl", corpus_file.read_text() + long + "\n")
    ran = cli("train", "llm2vec-gen", "--backbone", tiny_backbone_dir, "--queries", corpus, "--output", tmp_path / "e",
              "--max-query-length", 40, "--max-response-length", 30, *TRAINING)  # fmt: skip
    assert ran.code == 0, ran.err
    assert "1 of 13 queries longer than the limit lost their tail" in ran.err
    assert "1 of 13 responses longer than the limit lost their tail" in ran.err


def test_the_doctor_finds_a_sound_backbone_and_embedder_well(cli, tiny_backbone_dir, tiny_embedder_dir):
    ran = cli("doctor", "--backbone", tiny_backbone_dir)
    assert ran.code == 0, ran.out
    assert "embedder" not in ran.out
    both = cli("doctor", "--backbone", tiny_backbone_dir, "--embedder", tiny_embedder_dir)
    for name in ("backbone loads", "batch equals single", "head equals model", "embedder fits"):
        assert f"ok    {name}" in both.out, both.out


def test_the_doctor_fails_on_an_embedder_of_another_backbone(cli, tiny_gpt2_dir, tiny_embedder_dir):
    ran = cli("doctor", "--backbone", tiny_gpt2_dir, "--embedder", tiny_embedder_dir)
    assert ran.code == 1
    assert "FAIL  embedder fits" in ran.out
    assert ran.out.endswith("failed\n")


def test_the_app_is_started_on_this_machine_only(cli, monkeypatch):
    from workbench.cli import serve

    started = []
    monkeypatch.setattr(serve.subprocess, "call", lambda command: started.append(command) or 0)
    assert cli("app", "--port", 8600, "--headless").code == 0
    [command] = started
    assert command[2:4] == ["streamlit", "run"]
    assert command[4].endswith("app.py")
    assert command[5:8] == ["--server.address=localhost", "--server.port=8600", "--server.headless=true"]
    assert command[8:] == list(serve.SETTINGS)


def test_flags_come_from_the_configurations_fields():
    import inspect
    from dataclasses import dataclass
    from typing import Literal

    from workbench.cli.options import with_flags
    from workbench.config import Config

    @dataclass(frozen=True)
    class One(Config):
        size: int = 1
        """How large."""
        kind: Literal["a", "b"] = "a"

        def __post_init__(self):
            if self.size < 0:
                raise UsageError("size")

    @dataclass(frozen=True)
    class Two(Config):
        size: int = 1
        hidden: int = 7

    def command(one: One, two: Two, path: str, times: int = 2) -> tuple[One, Two, str, int]:
        """Does it."""
        return one, two, path, times

    command.__annotations__ |= {"one": One, "two": Two}
    flagged = with_flags(One, Two, skip=("hidden",))(command)
    assert list(inspect.signature(flagged).parameters) == ["path", "times", "size", "kind"]
    assert flagged.__doc__ == "Does it."
    assert flagged(path="p", times=3, size=5, kind="b") == (One(5, "b"), Two(5), "p", 3)
    with pytest.raises(UsageError):
        flagged(path="p", times=3, size=-1, kind="b")
