"""Watching a training: what a look writes, that it changes nothing, and that a killed run ends in the same files."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from small_disk import fill, small_disk

from workbench.decoding.decode import decode
from workbench.embedders.artifact import load_embedder
from workbench.embedders.config import GEMConfig, LLM2VecGenConfig
from workbench.embedders.gem import GEM
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.errors import UsageError
from workbench.training import gem, llm2vec_gen, watcher
from workbench.training.config import LLM2VecGenTraining
from workbench.training.corpus import Corpus
from workbench.training.gem_config import GEMTraining
from workbench.training.run import Run
from workbench.training.watched import read_watch
from workbench.training.watcher import Watcher, spread

QUERIES = [f"What is the capital of {place}?" for place in ("France", "Japan", "gold", "the river")]
RESPONSES = ["Paris.", "The capital of Japan is Tokyo.", "Gold is a metal with the symbol Au.", "No."]
KINDS = [{"kind": kind, "response": "not this one"} for kind in ("city", "city", "metal", None)]
WATCHED = {"watch_every": 3, "watch_texts": 5, "watch_samples": 2}
GEN = LLM2VecGenTraining(
    lr=1e-2, warmup_steps=2, batch_size=4, epochs=2, logging_steps=2, save_steps=4, **WATCHED
)
GEM_RECIPE = GEMTraining(
    p=0.3, share_soft_prompt=0.5, batch_size=4, epochs=2, lr=1e-2, contrastive_lr=5e-3, alpha_start=4,
    alpha=0.5, logging_steps=2, save_steps=4, warmup_steps=1, **WATCHED,
)  # fmt: skip
SHAPES = {
    "gen": LLM2VecGenConfig(n_compression=3, teacher="fake-teacher"),
    "gem": GEMConfig(n_special=2, lora_rank=2),
}
RECIPES = {"gen": GEN, "gem": GEM_RECIPE}


@pytest.fixture(scope="module")
def corpus(fake_teacher):
    """16 queries with responses, targets and another column: 8 steps in either recipe."""
    responses = RESPONSES * 4
    return Corpus(QUERIES * 4, responses, fake_teacher.embed(responses), {}, KINDS * 4)


def trained(method, backbone, corpus, output, **changes):
    module = {"gen": llm2vec_gen, "gem": gem}[method]
    config = replace(RECIPES[method], **changes)
    return module.train(backbone, corpus, config, SHAPES[method], output=output)


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def parts_of(folder: Path, watch: bool) -> dict[str, bytes]:
    """The files of a run that belong to its watch, or all the others."""
    return {name: data for name, data in files_of(folder).items() if name.startswith("watch/") == watch}


def stopped(monkeypatch, method, at):
    """The run's forward pass stops it in its step number `at`, counted from 1."""
    step = {"gen": llm2vec_gen.TrainingStep, "gem": gem.GEMStep}[method]
    calls, forward = [], step.forward

    def dying(self, **inputs):
        calls.append(1)
        if len(calls) == at:
            raise KeyboardInterrupt
        return forward(self, **inputs)

    monkeypatch.setattr(step, "forward", dying)


@pytest.fixture(scope="module")
def whole(make_tiny, corpus, tmp_path_factory):
    """A watched run of each method, from end to end, by the method's name."""
    folders = {method: tmp_path_factory.mktemp(method) for method in RECIPES}
    for method, folder in folders.items():
        trained(method, make_tiny("llama"), corpus, folder)
    return folders


@pytest.mark.parametrize("method", ["gen", "gem"])
def test_watching_changes_nothing_of_the_training(make_tiny, corpus, whole, tmp_path, method):
    trained(method, make_tiny("llama"), corpus, tmp_path, watch_every=0)
    assert parts_of(whole[method], watch=False) == files_of(tmp_path)
    assert read_watch(whole[method]).steps == [0, 3, 6, 8]


def test_nor_with_a_lora_and_packed_rows(make_tiny, corpus, tmp_path):
    for folder, every in (("watched", 2), ("alone", 0)):
        changes = {"lora_rank": 2, "packing": "on", "epochs": 1, "watch_every": every}
        trained("gen", make_tiny("llama"), corpus, tmp_path / folder, **changes)
    assert parts_of(tmp_path / "watched", watch=False) == files_of(tmp_path / "alone")


def test_nor_with_a_full_fine_tuning(make_tiny, corpus, tmp_path):
    backbone, full = make_tiny("gpt2"), replace(SHAPES["gem"], tuning="full")
    for folder, every in (("watched", 3), ("alone", 0)):
        config = replace(GEM_RECIPE, epochs=1, watch_every=every)
        gem.train(backbone, corpus, config, full, output=tmp_path / folder)
    assert parts_of(tmp_path / "watched", watch=False) == files_of(tmp_path / "alone")


@pytest.mark.parametrize("method", ["gen", "gem"])
def test_a_look_draws_nothing_and_leaves_modes_and_gradients(make_tiny, corpus, tmp_path, method):
    kind, shape = (
        (LLM2VecGen, replace(SHAPES["gen"], dimension=24)) if method == "gen" else (GEM, SHAPES["gem"])
    )
    embedder = kind.untrained(make_tiny("llama"), shape)
    embedder.module.train()
    for weight in embedder.module.parameters():
        weight.grad = torch.ones_like(weight)
    modes = [part.training for part in (*embedder.module.modules(), *embedder.backbone.model.modules())]
    drawn = torch.get_rng_state(), np.random.get_state()[1].tolist()
    Watcher(embedder, corpus, RECIPES[method], Run(tmp_path)).look(3)
    assert torch.equal(torch.get_rng_state(), drawn[0])
    assert np.random.get_state()[1].tolist() == drawn[1]
    after = [part.training for part in (*embedder.module.modules(), *embedder.backbone.model.modules())]
    assert after == modes
    assert all(torch.equal(weight.grad, torch.ones_like(weight)) for weight in embedder.module.parameters())
    assert (tmp_path / "watch/vectors-000003.safetensors").is_file()


@pytest.mark.parametrize("method", ["gen", "gem"])
def test_what_a_look_writes_is_the_embedder_as_it_is(make_tiny, corpus, whole, method):
    """The last look against the trained embedder, the first against the untrained one; cosines by hand."""
    backbone = make_tiny("llama")
    last = load_embedder(whole[method], backbone=backbone)
    first = type(last).untrained(backbone, last.config)
    watch = read_watch(whole[method])
    assert [text.row for text in watch.texts] == [0, 3, 6, 9, 12]
    for text in watch.texts:
        assert (text.query, text.response) == (corpus.queries[text.row], corpus.responses[text.row])
        assert text.about == {"kind": KINDS[text.row % 4]["kind"]}
    queries = [text.query for text in watch.texts]
    for step, embedder in ((0, first), (8, last)):
        np.testing.assert_array_equal(watch.vectors(step), embedder.encode(queries).astype(np.float16))
        samples = [sample for sample in watch.samples if sample.step == step]
        assert [sample.row for sample in samples] == [0, 6]
        encoding = embedder.represent([sample.query for sample in samples])
        readable = encoding.soft_prompts if method == "gen" else encoding.special_cache
        assert [sample.decoded for sample in samples] == decode(embedder, readable)
        for sample, vector in zip(samples, encoding.embedding.numpy(), strict=True):
            if method == "gem":
                assert sample.cosine is None, "its vectors do not lie in the teacher's space"
                continue
            target = corpus.targets[sample.row]
            by_hand = vector @ target / np.linalg.norm(vector) / np.linalg.norm(target)
            assert sample.cosine == pytest.approx(by_hand, abs=1e-5)
    assert any(sample.decoded for sample in watch.samples)
    assert {sample.step for sample in watch.samples} == set(watch.steps)


@pytest.mark.parametrize(("method", "at"), [("gen", 1), ("gen", 8), ("gem", 8)])
def test_a_resumed_run_ends_in_the_same_files(make_tiny, corpus, whole, tmp_path, monkeypatch, method, at):
    """Stopped in step 8, it has a checkpoint of step 4 and was looked at at 6."""
    stopped(monkeypatch, method, at)
    with pytest.raises(KeyboardInterrupt):
        trained(method, make_tiny("llama"), corpus, tmp_path)
    monkeypatch.undo()
    assert read_watch(tmp_path).steps == ([0] if at == 1 else [0, 3, 6])
    trained(method, make_tiny("llama"), corpus, tmp_path)
    assert files_of(tmp_path) == files_of(whole[method])


@pytest.mark.parametrize(
    ("name", "at"), [("write_lines", 1), ("write_lines", 2), ("save", 3), ("decoded", 3)]
)
def test_a_run_killed_in_a_look_ends_in_the_same_files(
    make_tiny, corpus, whole, tmp_path, monkeypatch, name, at
):
    """While the texts are written, the first samples; in the look at step 6, the vectors, the decoding."""
    calls, original = [], getattr(watcher, name)

    def killed(*arguments):
        calls.append(1)
        if len(calls) == at:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(watcher, name, killed)
    with pytest.raises(KeyboardInterrupt):
        trained("gen", make_tiny("llama"), corpus, tmp_path)
    monkeypatch.undo()
    trained("gen", make_tiny("llama"), corpus, tmp_path)
    assert files_of(tmp_path) == files_of(whole["gen"])


def test_how_a_run_is_watched_makes_it_no_other_run(make_tiny, corpus, whole, tmp_path, monkeypatch):
    """Stopped in step 8, with a checkpoint of step 4, looked at at 0, 3 and 6 where it was watched."""
    for name in "abc":
        with monkeypatch.context() as patch:
            stopped(patch, "gen", 8)
            with pytest.raises(KeyboardInterrupt):
                trained(
                    "gen", make_tiny("llama"), corpus, tmp_path / name, watch_every=0 if name == "a" else 3
                )
    trained("gen", make_tiny("llama"), corpus, tmp_path / "a")
    assert read_watch(tmp_path / "a").steps == [4, 6, 8], "watching began when it went on"
    trained("gen", make_tiny("llama"), corpus, tmp_path / "b", watch_every=5, watch_samples=1)
    assert read_watch(tmp_path / "b").steps == [0, 3, 5, 8]
    assert [sample.step for sample in read_watch(tmp_path / "b").samples] == [0, 0, 3, 3, 5, 8]
    with pytest.raises(UsageError, match="watched on other texts so far"):
        trained("gen", make_tiny("llama"), corpus, tmp_path / "c", watch_texts=4)
    trained("gen", make_tiny("llama"), corpus, tmp_path / "c", watch_every=0)
    assert read_watch(tmp_path / "c").steps == [0, 3], (
        "what lay behind the checkpoint is dropped all the same"
    )
    for name in "abc":
        assert parts_of(tmp_path / name, watch=False) == parts_of(whole["gen"], watch=False)


def test_a_finished_run_keeps_its_watch_and_a_fresh_one_drops_it(make_tiny, corpus, whole, tmp_path):
    backbone, folder = make_tiny("llama"), tmp_path / "run"
    shutil.copytree(whole["gen"], folder)
    trained("gen", backbone, corpus, folder, watch_texts=3)
    assert files_of(folder) == files_of(whole["gen"]), "the log stays, too"
    config = replace(GEN, watch_every=0, lr=2e-2, epochs=1)
    llm2vec_gen.train(backbone, corpus, config, SHAPES["gen"], output=folder, resume=False)
    assert not (folder / "watch").exists()


def test_without_targets_samples_or_responses(make_tiny, tmp_path):
    backbone, plain = make_tiny("llama"), Corpus(QUERIES, [""] * 4)
    trained("gem", backbone, plain, tmp_path / "a", share_soft_prompt=0.0, watch_samples=0, epochs=1)
    watch = read_watch(tmp_path / "a")
    assert (watch.steps, watch.samples, len(watch.texts)) == ([0, 1], [], 4)
    assert {text.response for text in watch.texts} == {""}
    corpus = Corpus(QUERIES, RESPONSES)
    trained("gen", backbone, corpus, tmp_path / "b", w_align=0.0, epochs=1)
    assert {sample.cosine for sample in read_watch(tmp_path / "b").samples} == {None}


def test_numbers_beyond_float16_are_stored_as_its_largest(make_tiny, corpus, tmp_path):
    embedder = LLM2VecGen.untrained(make_tiny("llama"), replace(SHAPES["gen"], dimension=24))
    with torch.no_grad():
        embedder.module.alignment.bias.fill_(1e6)
    Watcher(embedder, corpus, replace(GEN, watch_samples=0), Run(tmp_path)).look(0)
    stored = load_file(tmp_path / "watch/vectors-000000.safetensors")["embedding"]
    assert (stored.dtype, stored.shape, set(stored.ravel().tolist())) == (np.float16, (5, 24), {65504.0})


def test_a_full_disk_is_said_with_the_file_of_the_look(make_tiny, corpus, tmp_path):
    embedder = LLM2VecGen.untrained(make_tiny("llama"), replace(SHAPES["gen"], dimension=24))
    with small_disk(tmp_path / "disk", "64k") as disk:
        look = Watcher(embedder, corpus, GEN, Run(disk / "r")).look
        (disk / "r" / "watch").mkdir(parents=True)
        fill(disk)
        with pytest.raises(OSError, match="No space") as caught:
            look(0)
    assert caught.value.filename == str(disk / "r/watch/vectors-000000.safetensors")


def test_other_columns_become_plain_values(make_tiny, tmp_path):
    import datetime

    rows = [
        {
            "row": "mine",
            "when": datetime.date(2026, 1, 2),
            "score": float("nan"),
            "tags": ["a"],
            "odd": "\ud800",
        }
    ]
    corpus = Corpus(["a"], ["b"], None, {}, rows)
    line = watcher._line_of(corpus, 0)
    wanted = {
        "row": 0,
        "query": "a",
        "response": "b",
        "when": "2026-01-02",
        "score": "nan",
        "tags": "['a']",
        "odd": "?",
    }
    assert json.loads(json.dumps(line)) == wanted


def test_places_are_spread_evenly():
    assert spread(10, 4) == [0, 2, 5, 7]
    assert spread(3, 8) == [0, 1, 2]
    assert spread(5, 0) == spread(0, 5) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"watch_every": -1}, "watch_every must be at least 0"),
        ({"watch_texts": 0}, "watch_texts must be at least 1"),
        ({"watch_texts": 4, "watch_samples": 5}, r"watch_samples \(5\) cannot be more than watch_texts \(4\)"),
    ],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(UsageError, match=message):
        LLM2VecGenTraining(**changes)
    with pytest.raises(UsageError, match=message):
        GEMTraining(**changes)
