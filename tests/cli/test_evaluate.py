"""`workbench evaluate` and `workbench report`: the protocols' figures, the files, and every wrong command line."""

import json
import shlex

import numpy as np
import pytest

from workbench.embedders.artifact import load_embedder
from workbench.embedders.baselines import load_baseline
from workbench.embedders.instructions import DOCUMENT, PROMPTS
from workbench.evaluation import perplexity, retrieval, sts
from workbench.evaluation.files import read_sts
from workbench.evaluation.results import read_run
from workbench.evaluation.retrieval_files import read_retrieval

PAIRS = [(5, "Paris", "the city of Paris"), (4, "a lion", "a lion eats"), (2, "gold", "six strings"),
         (1, "Tell me about gold", "I am happy"), (0, "Tokyo", "a metal")]  # fmt: skip


@pytest.fixture
def pairs(tmp_path):
    """A file of graded pairs."""
    path = tmp_path / "pairs.tsv"
    lines = ["\t".join(map(str, row)) for row in PAIRS]
    path.write_text("\n".join(["score\tsentence1\tsentence2", *lines]) + "\n")
    return path


@pytest.fixture
def search(tmp_path):
    """Three files of a retrieval task, as options."""
    contents = {
        "corpus": [{"_id": str(n), "title": f"t{n}", "text": text} for n, (_, _, text) in enumerate(PAIRS)],
        "queries": [{"_id": f"q{n}", "text": text} for n, (_, text, _) in enumerate(PAIRS)],
        "qrels": [{"query-id": f"q{n}", "corpus-id": str(n), "score": 1} for n in range(len(PAIRS))],
    }
    options = []
    for role, rows in contents.items():
        path = tmp_path / f"{role}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        options += [f"--{role}", path]
    return options


def test_sts_of_our_embedder_has_its_instruction_and_prints_json(cli, pairs, tiny_embedder_dir):
    ran = cli("evaluate", "--embedder", tiny_embedder_dir, "--task", "sts", "--data", pairs, "--json")
    assert ran.code == 0, ran.err
    found, embedder = json.loads(ran.out), load_embedder(tiny_embedder_dir)
    encode = lambda texts: np.asarray(embedder.encode(texts, prompt=PROMPTS["STS"]))  # noqa: E731
    expected = sts.evaluate(read_sts(pairs), encode, task="pairs")
    assert found["main_score"] == pytest.approx(expected.main_score)
    assert found["metrics"] == pytest.approx(expected.metrics)
    assert (found["task"], found["n"], found["fingerprint"]) == ("pairs", 5, embedder.fingerprint())
    assert found["interval"][0] <= found["main_score"] <= found["interval"][1]
    plain = cli(
        "evaluate",
        "--embedder",
        tiny_embedder_dir,
        "--task",
        "sts",
        "--data",
        pairs,
        "--json",
        "--prompt",
        "",
    )
    bare = sts.evaluate(read_sts(pairs), lambda texts: np.asarray(embedder.encode(texts)), task="pairs")
    assert json.loads(plain.out)["metrics"] == pytest.approx(bare.metrics)
    assert bare.metrics != pytest.approx(expected.metrics)


def test_a_baseline_reads_texts_as_they_are_and_the_command_repeats_the_run(
    cli, pairs, tiny_gpt2_dir, make_tiny, tmp_path
):
    output = tmp_path / "run.parquet"
    ran = cli("evaluate", "--embedder", f"mean:{tiny_gpt2_dir}", "--task", "sts", "--data", pairs, "--name", "my task",
              "--seed", 3, "--output", output)  # fmt: skip
    assert ran.code == 0, ran.err
    mean = load_baseline("mean-pool", make_tiny("gpt2"))
    expected = sts.evaluate(read_sts(pairs), lambda texts: np.asarray(mean.encode(texts)), task="x")
    run = read_run(output)
    (result,) = run.results
    assert result.score.main_score == pytest.approx(expected.main_score)
    assert f"| my task | cosine_spearman | {expected.main_score:.5f} |" in ran.out
    assert result.files == {"data": str(pairs)}
    command = shlex.split(run.command)
    assert command[:2] == ["workbench", "evaluate"]
    again = cli(*command[1:], "--output", tmp_path / "again.parquet")
    assert again.code == 0, again.err
    (repeated,) = read_run(tmp_path / "again.parquet").results
    np.testing.assert_array_equal(repeated.score.rows, result.score.rows)
    assert (repeated.interval, repeated.data_hash) == (result.interval, result.data_hash)


def test_retrieval_has_an_instruction_for_each_side(cli, search, tiny_embedder_dir):
    options = ["evaluate", "--embedder", tiny_embedder_dir, "--task", "retrieval", *search, "--json"]
    embedder, data = load_embedder(tiny_embedder_dir), read_retrieval(*search[1::2])
    for prompt_name, query in ((None, "Retrieval-query"), ("SciFact", "SciFact-query")):
        ran = cli(*options, *(["--prompt-name", prompt_name] if prompt_name else []))
        assert ran.code == 0, ran.err
        expected = retrieval.evaluate(
            data,
            lambda texts, query=query: np.asarray(embedder.encode(texts, prompt=PROMPTS[query])),
            lambda texts: np.asarray(embedder.encode(texts, prompt=DOCUMENT)),
            task="queries",
        )
        assert json.loads(ran.out)["metrics"] == pytest.approx(expected.metrics)


def test_classification_clustering_and_language_models(cli, tmp_path, tiny_backbone_dir, make_tiny):
    rows = [(f"gold number {n}", "metal") for n in range(6)] + [(f"I am happy {n}", "mood") for n in range(6)]
    for name, part in (("train", rows[::2]), ("test", rows[1::2])):
        lines = "".join(f"{text}\t{label}\n" for text, label in part)
        (tmp_path / f"{name}.tsv").write_text("text\tlabel\n" + lines)
    mean = f"mean:{tiny_backbone_dir}"
    ran = cli("evaluate", "--embedder", mean, "--task", "classification", "--train", tmp_path / "train.tsv",
              "--data", tmp_path / "test.tsv", "--samples-per-label", 2, "--json")  # fmt: skip
    found = json.loads(ran.out)
    assert (found["main_score"], found["details"]["samples_per_label"]) == (1.0, 2), ran.err
    ran = cli(
        "evaluate", "--embedder", mean, "--task", "clustering", "--data", tmp_path / "test.tsv", "--json"
    )
    assert json.loads(ran.out)["main_score"] == pytest.approx(1.0)
    assert json.loads(ran.out)["interval"] is None, "of a single set there is none"
    texts = [text for text, _ in rows[1::2]]
    ran = cli(
        "evaluate", "--embedder", mean, "--task", "perplexity", "--data", tmp_path / "test.tsv", "--json"
    )
    backbone = make_tiny("llama")
    expected = perplexity.evaluate(texts, backbone, task="x").main_score
    assert json.loads(ran.out)["main_score"] == pytest.approx(expected, rel=1e-5)
    question = {"question": "Is gold a metal?", "choices": ["yes", "no"], "answer": "A"}
    (tmp_path / "mc.jsonl").write_text(json.dumps(question) + "\n")
    ran = cli(
        "evaluate", "--embedder", mean, "--task", "multiple-choice", "--data", tmp_path / "mc.jsonl", "--json"
    )
    assert json.loads(ran.out)["main_score"] in (0.0, 1.0)


def test_runs_side_by_side(cli, pairs, tiny_backbone_dir, tmp_path):
    files = []
    for name in (f"mean:{tiny_backbone_dir}", f"last:{tiny_backbone_dir}"):
        files.append(tmp_path / f"{len(files)}.parquet")
        assert (
            cli("evaluate", "--embedder", name, "--task", "sts", "--data", pairs, "--output", files[-1]).code
            == 0
        )
    first, second = (read_run(path).results[0].score.main_score for path in files)
    for suffix in (".md", ".csv", ".tex"):
        output = tmp_path / "made" / f"t{suffix}"
        ran = cli("report", *files, "--reference", f"mean:{tiny_backbone_dir}", "--output", output)
        assert ran.code == 0, ran.err
        assert (str(first) if suffix == ".csv" else f"{first:.3f}") in output.read_text()
        assert f"{second - first:+.3f}" in ran.out
    assert f"{second - first:+.3f}" in (tmp_path / "made/t.tex").read_text()
    assert ran.out.splitlines()[0] == "| embedder | pairs, cosine_spearman |"
    for reference in ((), ("--reference", f"mean:{tiny_backbone_dir}")):
        drawn = tmp_path / f"{len(reference)}.svg"
        assert cli("report", *files, *reference, "--output", drawn).code == 0
        assert "cosine_spearman" in drawn.read_text() or "Spearman" in drawn.read_text()
    assert (tmp_path / "0.svg").read_bytes() != (tmp_path / "2.svg").read_bytes()
    alone = cli(
        "report", files[0], "--reference", f"mean:{tiny_backbone_dir}", "--output", tmp_path / "a.pdf"
    )
    assert alone.code == 2
    assert "can be resampled together" in alone.err
    ran = cli("report", files[0], "--reference", "nobody")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert cli("report", files[0], files[0]).code == 2
    assert cli("report", tmp_path / "none.parquet").code == 2
    assert cli("report", files[0], "--output", "t.docx").code == 2


WRONG = [
    ([], "either --suite or --task"),
    (["--suite", "fieldguide", "--task", "sts"], "either --suite or --task"),
    (["--suite", "nothing"], "fieldguide, parity"),
    (["--suite", "parity"], "needs --data"),
    (["--suite", "fieldguide", "--train", "x"], "--train does not belong"),
    (["--suite", "fieldguide", "--samples-per-label", "3"], "--samples-per-label does not belong"),
    (["--suite", "fieldguide", "--data", "/nowhere"], "no such file"),
    (["--task", "nothing", "--data", "PAIRS"], "multiple-choice"),
    (["--task", "sts"], "needs --data"),
    (["--task", "sts", "--data", "/nowhere.tsv"], "no such file"),
    (["--task", "sts", "--data", "PAIRS", "--train", "PAIRS"], "--train does not belong"),
    (["--task", "sts", "--data", "PAIRS", "--shots", "2"], "--shots does not belong"),
    (["--task", "sts", "--data", "PAIRS", "--limit", "5"], "--limit belongs"),
    (["--task", "classification", "--data", "PAIRS"], "--train --data"),
    (["--task", "classification", "--data", "PAIRS", "--samples-per-label", "0"], "at least 1"),
    (["--task", "clustering", "--data", "PAIRS", "--max-texts", "9"], "--fast"),
    (["--task", "retrieval", "--corpus", "PAIRS", "--queries", "PAIRS"], "--qrels"),
    (["--task", "reranking", "--data", "PAIRS", "--corpus", "PAIRS"], "--candidates"),
    (["--task", "multiple-choice", "--data", "PAIRS", "--prompt", "x"], "do not belong"),
    (["--task", "sts", "--data", "PAIRS", "--prompt", "x", "--prompt-name", "y"], "either --prompt"),
    (["--task", "sts", "--data", "PAIRS", "--answers", "2"], "belong to --embedder hyde"),
    (["--task", "sts", "--data", "PAIRS", "--output", "r.csv"], ".parquet"),
    (["--task", "sts", "--data", "PAIRS", "--embedder", "foo:bar"], "st:PATH_OR_ID"),
    (["--task", "perplexity", "--data", "PAIRS", "--embedder", "st:a/b"], "has none"),
]


@pytest.mark.parametrize(("arguments", "said"), WRONG)
def test_a_wrong_command_line_is_refused_before_anything_is_loaded(cli, pairs, monkeypatch, arguments, said):
    from workbench.evaluation import sources

    monkeypatch.setattr(sources, "open_source", lambda *_, **__: pytest.fail("a model was loaded"))
    ran = cli("evaluate", *(pairs if word == "PAIRS" else word for word in arguments))
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1), ran.err
    assert said in ran.err


def test_a_wrong_file_is_named_with_its_line_before_anything_is_loaded(cli, pairs, tmp_path, monkeypatch):
    from workbench.evaluation import sources

    monkeypatch.setattr(sources, "open_source", lambda *_, **__: pytest.fail("a model was loaded"))
    pairs.write_text(pairs.read_text().replace("\n4\t", "\nfour\t"))
    ran = cli("evaluate", "--task", "sts", "--data", pairs)
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert "pairs.tsv, line 3" in ran.err
    (tmp_path / "train.tsv").write_text("text\tlabel\na\tx\nb\ty\n")
    (tmp_path / "test.tsv").write_text("text\tlabel\na\tx\nb\tz\n")
    ran = cli("evaluate", "--task", "classification", "--train", tmp_path / "train.tsv",
              "--data", tmp_path / "test.tsv")  # fmt: skip
    assert ran.code == 1
    assert "test.tsv, line 3" in ran.err


def test_a_prompt_that_the_embedder_lacks(cli, pairs, tiny_embedder_dir):
    ran = cli(
        "evaluate",
        "--embedder",
        tiny_embedder_dir,
        "--task",
        "sts",
        "--data",
        pairs,
        "--prompt-name",
        "STS99",
    )
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "no prompt named 'STS99'" in ran.err
