"""What was watched of a run is read again: texts, vectors, samples; what is damaged is refused with its place."""

import json
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import save_file

from workbench.errors import UsageError, WorkbenchError
from workbench.training.watched import Sample, WatchedText, cut_watch, is_watched, read_watch

TEXTS = [
    {"row": 0, "query": "What is gold?", "response": "A metal.", "kind": "one_hop", "topic": None},
    {"row": 7, "query": "Who?\u2028Why?", "response": ""},
]
SAMPLES = [
    {"step": step, "row": 7, "query": "Who?\u2028Why?", "response": "", "decoded": said, "cosine": cosine}
    for step, said, cosine in ((0, "", None), (100, "Nobody.", 0.25), (150, "Nobody at all.", -0.5))
]


@pytest.fixture
def run(tmp_path):
    """A run that was looked at at steps 0, 100 and 150."""
    folder = tmp_path / "run"
    watch = folder / "watch"
    watch.mkdir(parents=True)
    for name, rows in (("texts", TEXTS), ("samples", SAMPLES)):
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (watch / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    for step in (0, 100, 150):
        vectors = np.array([[step, 0.5, -1], [0, step, 2]], np.float16)
        save_file({"embedding": vectors}, watch / f"vectors-{step:06d}.safetensors")
    return folder


def test_all_of_it_is_read(run):
    assert is_watched(run)
    watch = read_watch(str(run))
    assert watch.texts == [
        WatchedText(0, "What is gold?", "A metal.", {"kind": "one_hop", "topic": None}),
        WatchedText(7, "Who?\u2028Why?", "", {}),
    ]
    assert watch.steps == [0, 100, 150]
    assert watch.samples == [Sample(**values) for values in SAMPLES]
    vectors = watch.vectors(100)
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, [[100, 0.5, -1], [0, 100, 2]])


def test_a_run_that_was_not_watched_and_a_step_that_was_not_looked_at(run, tmp_path):
    with pytest.raises(UsageError, match=r"was not watched.*--watch-every"):
        read_watch(tmp_path)
    with pytest.raises(UsageError, match="not looked at at step 50; the steps are 0, 100, 150"):
        read_watch(run).vectors(50)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("texts.jsonl", "", "it is empty"),
        ("texts.jsonl", '{"row": 0, "query": "a"}\n', "line 1: it has no response that is a text"),
        ("texts.jsonl", '{"row": "0", "query": "a", "response": ""}\n', "no row that is a number"),
        ("texts.jsonl", '{"row": 0, "query": "a", "response": ""}\n' * 2, "a row stands twice"),
        ("texts.jsonl", '[1]\n', "line 1: not a JSON object but list"),
        ("samples.jsonl", "\n{", "line 2: not valid JSON"),
        ("samples.jsonl", b"\xff", "not valid UTF-8"),
        ("samples.jsonl", json.dumps({**SAMPLES[0], "row": 3}), "row 3 is none of the watched texts"),
        ("samples.jsonl", json.dumps({**SAMPLES[0], "cosine": "high"}), "no cosine that is a number or null"),
    ],
)  # fmt: skip
def test_damaged_lines_are_refused_with_their_place(run, name, content, message):
    (run / "watch" / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(WorkbenchError, match=message):
        read_watch(run)


def test_damaged_vectors_are_refused_when_they_are_asked_for(run):
    path = run / "watch" / "vectors-000100.safetensors"
    path.write_bytes(path.read_bytes()[:-3])
    watch = read_watch(run)
    with pytest.raises(WorkbenchError, match="cannot be read"):
        watch.vectors(100)
    for tensors, message in (
        ({"other": np.zeros((2, 3), np.float16)}, "holds other, not the tensor embedding"),
        ({"embedding": np.zeros((3, 3), np.float16)}, r"shape \[3, 3\], but 2 texts"),
        ({"embedding": np.full((2, 3), np.nan, np.float16)}, "not finite"),
    ):
        save_file(tensors, path)
        with pytest.raises(WorkbenchError, match=message):
            watch.vectors(100)
    assert watch.vectors(150).shape == (2, 3)


def test_what_lies_behind_a_checkpoint_is_cut(run):
    (run / "watch" / ".vectors-000200.ab12.partial.safetensors").write_bytes(b"half")
    cut_watch(run, after=100)
    watch = read_watch(run)
    assert watch.steps == [0, 100]
    assert [sample.step for sample in watch.samples] == [0, 100]
    assert len(list((run / "watch").iterdir())) == 4
    cut_watch(run, after=None)
    assert not (run / "watch").exists()
    cut_watch(run, after=None)


def test_reading_needs_no_torch():
    script = "import sys; import workbench.training.watched; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=120).returncode == 0
