"""The benchmark against the official package, without it: a fake worker, our own side in its place, tiny sizes."""

import io
import sys
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from benchmarks import agreement, memory, official, plain, wire
from benchmarks import beside as beside_options
from benchmarks import official_model as data
from benchmarks.official_ours import Ours

TINY = {"hidden": 32, "layers": 2, "heads": 4, "key_value_heads": 2, "intermediate": 48, "vocabulary": 64}
WORKER = """
from benchmarks import wire
print("noise of a library")
def fail(): raise KeyError("lost")
def end(): raise SystemExit(3)
wire.serve({"double": lambda number: (print("more noise"), 2 * number)[1], "fail": fail, "end": end})
"""


def worker():
    return wire.Peer([sys.executable, "-c", WORKER])


def test_a_worker_answers_whatever_it_prints_besides():
    with worker() as peer:
        assert [peer.ask("double", number=number) for number in (2, 3.5)] == [4, 7.0]
        with pytest.raises(SystemExit, match=r"failed at 'fail': KeyError: 'lost'"):
            peer.ask("fail")
        assert peer.ask("double", number=1) == 2  # an error ends the request, not the worker


def test_a_worker_that_ends_is_reported():
    with worker() as peer, pytest.raises(SystemExit, match="ended during 'end'"):
        peer.ask("end")


def test_one_answer_a_request():
    answers, requests = io.StringIO(), io.StringIO('{"do": "add", "a": 1, "b": 2}\n{"do": "unknown"}\n')
    wire.answer_all(requests, answers, {"add": lambda a, b: a + b})
    assert answers.getvalue().splitlines() == ['{"answer": 3}', '{"error": "KeyError: \'unknown\'"}']


def test_the_peak_is_above_what_was_held():
    found = memory.peak(lambda: np.ones(2**23).sum())  # 64 MB
    assert 50 < found["peak"] - found["before"] < 100
    assert memory.peak(lambda: None)["peak"] - found["before"] < 50  # an older peak is forgotten


def test_the_model_is_read_as_it_was_written(tmp_path):
    shape = data.Shape(**TINY)
    ours = Ours()
    found = ours.load(str(data.write(tmp_path, shape)), 1, "cpu")
    assert found["trains"] == 10 * 32 + 2 * (32 * 32 + 32)  # special tokens, W_r, W_a
    texts = data.texts([3, 7], shape.vocabulary, seed=0)
    tokens = ours.embedder.tokenize(texts).ids
    assert [len(row) for row in tokens] == [3, 7]
    assert tokens[0] == [int(word.removeprefix("w")) for word in texts[0].split()]
    sizes = {name: tuple(weight.shape) for name, weight in ours.embedder.backbone.model.state_dict().items()}
    assert "lm_head.weight" in sizes
    assert {name: sizes[name] for name in data.weights(shape, None)} == {
        name: tuple(weight.shape) for name, weight in data.weights(shape, None).items()
    }


def options(*arguments):
    found = official.parser().parse_args([
        "--batch-size", "2", "--texts", "6", "--encode-batch", "4", "--decode-texts", "2", "--tokens", "4", "--repeats",
        "2", "--memory-repeats", "1", "--threads", "1", "--device", "cpu", "--size", "small", *arguments,
    ])  # fmt: skip
    found.shape = TINY
    return found


class Twin:
    """Our own side behind the official one's requests, in this process; `change` alters what it answers."""

    def __init__(self, change=lambda do, answer: answer):
        self.side, self.change = Ours(), change

    def ask(self, do, **request):
        if do == "encode":
            request = {
                "texts": request["texts"],
                "batch_size": request["batch_size"] or len(request["texts"]),
            }
            if sent := self.side.encode(**request).tolist():
                return self.change(do, sent)
        name = "decode" if do == "decode_together" else do
        return self.change(do, getattr(self.side, name)(**request))


@pytest.fixture
def beside(monkeypatch):
    def put(change=lambda do, answer: answer):
        @contextmanager
        def opened(_):
            yield Twin(change)

        monkeypatch.setattr(official, "official", opened)
        monkeypatch.setattr(official, "our_process", opened)
        monkeypatch.setattr(official, "STEPS", {"32, 64": (6, 5)})

    return put


def test_all_kinds_are_measured_with_their_bars(beside):
    beside(lambda do, answer: {"before": 1.0, "peak": 3.0} if do == "peak" else answer)
    found = {report.benchmark: report for report in official.run(options("--steps", "32, 64"))}
    bars = {name: [(bar.least, bar.most) for bar in report.bars] for name, report in found.items()}
    assert bars == {
        "official_memory_32_64": [(None, 0.6)],
        "official_encode": [(1.5, None), (1.5, None)],
        "official_decode": [(15.0, None)],
        "official_train_32_64": [(1.5, None)],
    }
    assert all(len(report.judged()) == len(report.bars) for report in found.values())
    assert all(len(line.times) == 2 for line in found["official_encode"].lines)


def test_on_a_gpu_memory_is_counted_where_the_models_are_and_batches_are_as_large_as_they_get(
    beside, monkeypatch
):
    class Placed(Ours):
        """Says that it is on a GPU, and is not."""

        def load(self, **request):
            return super().load(**request | {"device": "cpu"})

        def peak(self, **_):
            return {"before": 1.0, "peak": 2.0}

    beside(lambda do, answer: {"before": 1.0, "peak": 3.0} if do == "peak" else answer)
    monkeypatch.setattr(official, "Ours", Placed)
    monkeypatch.setattr(sys.modules[__name__], "Ours", Placed)
    monkeypatch.setattr(official, "our_process", lambda _: pytest.fail("a process of its own"))
    asked = ["--steps", "32, 64", "--device", "cuda", "--only", "memory", "encode"]
    memory, encode = list(official.run(options(*asked)))
    assert [row["ratio"] for row in memory.judged()] == [0.5]
    assert [(bar.line, bar.reference.split(",")[-1]) for bar in encode.bars] == [
        ("ours", " its encode: all texts as one batch"),
        ("ours, batches of 4", " batches of 4"),
    ]


@pytest.mark.parametrize(
    ("do", "only", "change"),
    [
        ("encode", "encode", lambda rows: (np.array(rows) * 1.001).tolist()),
        ("decode", "decode", lambda texts: [texts[0], texts[1] + " w5"]),
        ("train", "train", lambda losses: [losses[0], losses[1] + 0.01]),
    ],
)
def test_other_answers_stop_the_benchmark_before_anything_is_timed(beside, monkeypatch, do, only, change):
    beside(lambda asked, answer: change(answer) if asked == do and answer else answer)
    monkeypatch.setattr(official, "measure", lambda *_, **__: pytest.fail("timed all the same"))
    with pytest.raises(SystemExit, match="do not do the same"):
        list(official.run(options("--steps", "32, 64", "--only", only)))


def test_shapes_that_differ_are_other_answers():
    with pytest.raises(SystemExit, match=r"other shapes: ours \(1, 2\), theirs \(2,\)"):
        agreement.agree([[1.0, 2.0]], [1.0, 2.0], 1e-4)
    with pytest.raises(SystemExit, match="nan apart"):
        agreement.agree([float("nan")], [1.0], 1e-4)


def test_a_gpu_may_choose_other_words_but_not_begin_with_them():
    ours, theirs = ["w5 w6", "w7 w8"], ["w5 w9", "w8 w7"]
    assert agreement.same_texts(ours, theirs, options("--device", "cuda")) == 0
    assert agreement.same_texts(ours, ours, options()) == 2
    for other in (options(), options("--device", "cuda", "--dtype", "bfloat16")):
        with pytest.raises(SystemExit, match="2 of 2 texts were decoded differently"):
            agreement.same_texts(ours, ["w1 w6", "w2 w8"], other)


def test_where_the_package_is_absent_its_commands_are_shown(tmp_path):
    with (
        pytest.raises(SystemExit, match=f"no official package at {tmp_path}") as raised,
        official.official(options("--official", str(tmp_path))),
    ):
        pass
    assert f"{tmp_path}/bin/pip install --no-deps llm2vec-gen==0.1.3" in str(raised.value)


def plain_options(**changes):
    found = plain.parser().parse_args(["--repeats", "1", "--threads", "1", "--device", "cpu"])
    sizes = {"texts": 6, "batch_size": 4, "decode_texts": 2, "tokens": 4, "shape": TINY}
    return type(found)(**{**vars(found), **sizes, **changes})


def test_our_encode_and_decode_do_what_bare_hugging_face_does():
    encoded, decoded = list(plain.run(plain_options()))[:2]
    assert [(bar.line, bar.least) for bar in (*encoded.bars, *decoded.bars)] == [
        ("ours: encode", 0.95),
        ("ours: decode", 0.9),
    ]


def test_a_bare_forward_that_differs_stops_the_benchmark(monkeypatch):
    forward = plain.forward
    monkeypatch.setattr(plain, "forward", lambda *inputs: 1.01 * forward(*inputs))
    with pytest.raises(SystemExit, match="do not do the same"):
        next(plain.run(plain_options()))


def test_the_floor_waits_for_the_weights_once_a_token(tmp_path, monkeypatch):
    ours = Ours()
    ours.load(str(data.write(tmp_path, data.Shape(**TINY))), 1, "cpu")
    weights = sum(weight.numel() for weight in ours.embedder.backbone.model.parameters()) * 4
    monkeypatch.setattr(plain, "bandwidth", lambda device: weights / 0.01)
    ours.prompts(["w5 w6"])
    found = plain.floor(plain_options(), ours.embedder, ours.embedder.backbone.model, ours.kept, {})
    assert found.named(found.reference).fastest >= 4 * 0.01
    assert found.lines[0].name == "ours: decode"


def test_a_device_that_is_not_there_is_one_line(capsys):
    with pytest.raises(SystemExit) as ended:
        beside_options.publish(plain.run(plain_options(device="nothing")))
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("no device 'nothing' here: ")


def test_a_copy_has_a_bandwidth():
    assert plain.bandwidth(torch.device("cpu"), size=2**16, repeats=2) > 1e6
