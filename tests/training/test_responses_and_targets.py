"""Responses and targets: cached by content, the same after a kill, read and written with clear errors."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from workbench.errors import UsageError, WorkbenchError
from workbench.training import corpus as module
from workbench.training.corpus import Corpus, read_corpus, respond, targets, write_corpus

QUERIES = [f"What is number {n}?" for n in range(40)] + ["gold", "gold", "Paris " * 60]
OPTIONS = {"max_new_tokens": 6, "batch_size": 2, "max_length": 32}


def bytes_of(folder):
    return {path.name: path.read_bytes() for path in Path(folder).rglob("*.parquet") if path.name[0] != "."}


class Killed(BaseException):
    pass


def killing(backbone, monkeypatch, after):
    """Make the backbone die when its answers are asked for the time `after` + 1."""
    calls, real = [], backbone.answers

    def answers(texts, **options):
        calls.append(texts)
        if len(calls) > after:
            raise Killed
        return real(texts, **options)

    monkeypatch.setattr(backbone, "answers", answers)
    return calls


def test_the_corpus_holds_what_the_backbone_says(make_tiny, tmp_path):
    backbone = make_tiny("llama")
    found = respond(backbone, QUERIES, cache_dir=tmp_path, **OPTIONS)
    assert found.queries == QUERIES
    assert found.responses == backbone.respond(QUERIES, max_new_tokens=6, max_length=32)
    assert found.meta["truncated"] == 1
    assert found.meta["unfinished"] == backbone.answers(
        QUERIES, max_new_tokens=6, max_length=32
    ).finished.count(False)


def test_a_second_call_asks_nothing_and_other_options_ask_again(make_tiny, tmp_path, monkeypatch):
    backbone = make_tiny("llama")
    calls = killing(backbone, monkeypatch, after=10**6)
    first = respond(backbone, QUERIES, cache_dir=tmp_path, **OPTIONS)
    count = len(calls)
    assert sum(map(len, calls)) == len(set(QUERIES))  # a query that stands twice is asked once
    assert respond(backbone, QUERIES, cache_dir=tmp_path, **OPTIONS) == first
    assert respond(backbone, QUERIES[::-1], cache_dir=tmp_path, **OPTIONS).responses == first.responses[::-1]
    assert len(calls) == count
    respond(backbone, ["gold"], cache_dir=tmp_path, **{**OPTIONS, "max_new_tokens": 7})
    respond(backbone, ["gold"], cache_dir=tmp_path, instruction="Repeat:", **OPTIONS)
    respond(make_tiny("llama", 1), ["gold"], cache_dir=tmp_path, **OPTIONS)
    assert len(calls) == count + 2
    assert len(list((tmp_path / "responses").iterdir())) == 4


@pytest.mark.parametrize("after", [0, 1, 2])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_interrupted_equals_uninterrupted_to_the_byte(make_tiny, tmp_path, monkeypatch, after, temperature):
    options = {**OPTIONS, "temperature": temperature, "seed": 3}
    whole = respond(make_tiny("llama"), QUERIES, cache_dir=tmp_path / "a", **options)
    backbone = make_tiny("llama")
    killing(backbone, monkeypatch, after)
    with pytest.raises(Killed):
        respond(backbone, QUERIES, cache_dir=tmp_path / "b", **options)
    assert len(bytes_of(tmp_path / "b")) == after
    resumed = respond(make_tiny("llama"), QUERIES, cache_dir=tmp_path / "b", **options)
    assert resumed == whole
    assert resumed.hash() == whole.hash()
    assert bytes_of(tmp_path / "a") == bytes_of(tmp_path / "b")


def test_kill_9_in_the_middle(tiny_backbone_dir, tmp_path):
    """A real process, killed while it works on the second shard."""
    script = f"""
        import os, signal
        from workbench.backbone import Backbone
        from workbench.training.corpus import respond
        backbone = Backbone.load({str(tiny_backbone_dir)!r}, device="cpu")
        die = lambda done, total: os.kill(os.getpid(), signal.SIGKILL) if done > 20 else None
        respond(backbone, {QUERIES!r}, cache_dir={str(tmp_path / "cache")!r}, progress=die, **{OPTIONS!r})
    """
    environment = {**os.environ, "PYTHONPATH": str(Path(module.__file__).parents[2])}
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], env=environment, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert len(bytes_of(tmp_path / "cache")) == 1
    from workbench.backbone import Backbone

    backbone = Backbone.load(str(tiny_backbone_dir), device="cpu")
    resumed = respond(backbone, QUERIES, cache_dir=tmp_path / "cache", **OPTIONS)
    assert resumed == respond(backbone, QUERIES, cache_dir=tmp_path / "other", **OPTIONS)
    assert bytes_of(tmp_path / "cache") == bytes_of(tmp_path / "other")


def test_a_damaged_shard_is_named_and_leftovers_are_passed_over(tiny_backbone, tmp_path):
    respond(tiny_backbone, ["gold"], cache_dir=tmp_path, **OPTIONS)
    shard = next(tmp_path.rglob("*.parquet"))
    shard.with_name(f".{shard.stem}.ab12.partial.parquet").write_bytes(b"half")
    respond(tiny_backbone, ["gold"], cache_dir=tmp_path, **OPTIONS)
    shard.write_bytes(shard.read_bytes()[:40])
    with pytest.raises(WorkbenchError, match="damaged cache file"):
        respond(tiny_backbone, ["gold"], cache_dir=tmp_path, **OPTIONS)


def test_progress_counts_queries_up_to_all(tiny_backbone, tmp_path):
    seen = []
    respond(
        tiny_backbone,
        QUERIES,
        cache_dir=tmp_path,
        progress=lambda done, total: seen.append((done, total)),
        **OPTIONS,
    )
    assert seen[-1] == (len(set(QUERIES)),) * 2
    assert seen == sorted(seen)


class Counting:
    """The fake teacher, counting, and dying at a text if told to."""

    def __init__(self, teacher, die_at=None):
        self.teacher, self.id, self.dimension = teacher, teacher.id, teacher.dimension
        self.asked, self.die_at = 0, die_at

    def fingerprint(self):
        return self.teacher.fingerprint()

    def embed(self, texts, batch_size=64):
        if self.die_at in texts:
            raise Killed
        self.asked += len(texts)
        return self.teacher.embed(texts, batch_size)


def test_targets_are_the_teachers_vectors_computed_once(fake_teacher, tmp_path):
    texts = [f"gold {n}" for n in range(50)] + ["gold 3", ""]
    teacher = Counting(fake_teacher)
    found = targets(teacher, texts, cache_dir=tmp_path, batch_size=2)
    assert found.dtype == np.float32
    assert np.array_equal(found, fake_teacher.embed(texts))
    assert teacher.asked == 51
    assert np.array_equal(targets(teacher, texts[::-1], cache_dir=tmp_path, batch_size=2), found[::-1])
    assert teacher.asked == 51
    assert targets(teacher, [], cache_dir=tmp_path).shape == (0, 24)


def test_targets_resume_to_the_same_bytes(fake_teacher, tmp_path):
    texts = [f"gold {n}" for n in range(50)]
    with pytest.raises(Killed):
        targets(Counting(fake_teacher, die_at="gold 20"), texts, cache_dir=tmp_path / "b", batch_size=2)
    teacher = Counting(fake_teacher)
    resumed = targets(teacher, texts, cache_dir=tmp_path / "b", batch_size=2)
    assert teacher.asked == 34  # one shard of 16 was there
    assert np.array_equal(resumed, targets(fake_teacher, texts, cache_dir=tmp_path / "a", batch_size=2))
    assert bytes_of(tmp_path / "a") == bytes_of(tmp_path / "b")


def test_a_teacher_that_gives_nonsense_is_stopped(fake_teacher, tmp_path):
    teacher = Counting(fake_teacher)
    teacher.embed = lambda texts, batch_size: np.full((len(texts), 24), np.nan, dtype=np.float32)
    with pytest.raises(WorkbenchError, match="finite vectors"):
        targets(teacher, ["x"], cache_dir=tmp_path)
    assert not bytes_of(tmp_path)


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_a_corpus_comes_back_as_it_was_written(tmp_path, suffix):
    corpus = Corpus(["a\u2028b", 'quo"te', "ünï"], ["one\ntwo", "", "  spaces "])
    write_corpus(corpus, tmp_path / f"corpus{suffix}")
    back = read_corpus(tmp_path / f"corpus{suffix}")
    assert (back.queries, back.responses, back.hash()) == (corpus.queries, corpus.responses, corpus.hash())


def test_what_is_no_corpus(tmp_path):
    with pytest.raises(UsageError, match="must end in"):
        write_corpus(Corpus([], []), tmp_path / "corpus.csv")
    path = tmp_path / "queries.jsonl"
    path.write_text('{"query": "a", "other": 1}\n')
    with pytest.raises(UsageError, match="no column 'response', only other, query"):
        read_corpus(path)
    path.write_text('{"query": "a", "response": "b"}\n{"query": "c", "response": null}\n')
    with pytest.raises(WorkbenchError, match="response of query 2 is not a text"):
        read_corpus(path)
    with pytest.raises(UsageError):
        read_corpus(tmp_path / "missing.jsonl")


def test_corpora_that_do_not_fit_are_refused_and_hashes_tell_them_apart():
    with pytest.raises(WorkbenchError, match="2 queries, but 1 responses"):
        Corpus(["a", "b"], ["c"])
    with pytest.raises(WorkbenchError, match="1 queries, but 2 targets"):
        Corpus(["a"], ["c"], np.zeros((2, 3), dtype=np.float32))
    kinds = [
        Corpus(["a"], ["b"]),
        Corpus(["b"], ["a"]),
        Corpus(["a"], ["b"], np.zeros((1, 3), dtype=np.float32)),
    ]
    assert len({corpus.hash() for corpus in kinds}) == 3
    assert len(kinds[0]) == 1
