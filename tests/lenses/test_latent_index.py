"""The index of states in context: every beginning once, the model's own states, the same bytes after a kill."""

import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch

from workbench.backbone import Backbone
from workbench.errors import FingerprintMismatch, UsageError, WorkbenchError
from workbench.lenses import latent_build
from workbench.lenses.contexts import contexts_of, places
from workbench.lenses.latent_build import build_index
from workbench.lenses.latent_index import LatentIndex

TEXTS = [
    "The capital of France is Paris.",
    "The capital of Japan is Tokyo.",
    "The capital of France is old.",
    "Gold is a metal.",
    "The capital",
    "Gold is a metal.",
    "A lion eats meat, and the guitar has six strings.",
    "I am happy because my best friend came to visit me.",
]


def bytes_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_every_beginning_stands_once_with_the_texts_that_have_it(tiny_backbone):
    """The reference: every beginning of two or more tokens, and the texts that begin so, by looking at all pairs."""
    found = contexts_of(tiny_backbone, TEXTS, 512)
    ids = tiny_backbone.tokenize(found.texts, template="raw").ids
    assert found.ids == ids
    assert ids == sorted(ids)
    assert [TEXTS[row] for row in found.rows] == found.texts
    assert len(found.texts) == len(set(TEXTS))
    assert 5 not in found.rows  # the second "Gold is a metal." is the first one's
    slow = {}
    for row in ids:
        for end in range(2, len(row) + 1):
            beginning = tuple(row[:end])
            slow[beginning] = [at for at, other in enumerate(ids) if tuple(other[:end]) == beginning]
    columns = zip(found.first, found.last, found.token, found.token_id, strict=True)
    got = {tuple(ids[first][: token + 1]): (first, last, name) for first, last, token, name in columns}
    assert len(got) == len(found.token)
    assert got == {beginning: (at[0], at[-1], beginning[-1]) for beginning, at in slow.items()}


def test_a_bos_is_read_and_is_no_context(make_tiny):
    from tokenizers.processors import TemplateProcessing

    backbone = make_tiny("llama")
    plain = contexts_of(backbone, TEXTS, 512)
    bos = backbone.tokenizer.convert_tokens_to_ids("<|user|>")
    backbone.tokenizer.bos_token = "<|user|>"
    backbone.tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|user|> $A", special_tokens=[("<|user|>", bos)]
    )
    found = contexts_of(Backbone.wrap(backbone.model, backbone.tokenizer), TEXTS, 512)
    assert found.ids == [[bos, *row] for row in plain.ids]
    # Behind a BOS a text's first token has a context too: one more for each of the four first tokens.
    assert len(found.token) == len(plain.token) + len({row[0] for row in plain.ids})
    assert sorted(set(found.token.tolist())) == [0, *sorted(set(plain.token.tolist()))]


def test_long_texts_lose_their_tail_and_are_counted(tiny_backbone):
    found = contexts_of(tiny_backbone, TEXTS, 6)
    assert max(map(len, found.ids)) == 6
    assert found.truncated == sum(len(row) > 6 for row in contexts_of(tiny_backbone, TEXTS, 512).ids) > 0
    with pytest.raises(WorkbenchError, match="no text has a second token"):
        contexts_of(tiny_backbone, ["a", "b"], 512)


def test_places_are_those_of_the_tokens_that_were_read(tiny_backbone):
    text = "What is <|end|> of Zürich 🎉?"
    ids = tiny_backbone.tokenize([text], template="raw").ids[0]
    found = places(tiny_backbone.tokenizer, text)
    assert len(found) == len(ids)
    assert "".join(dict.fromkeys(text[start:end] for start, end in found)).startswith("What is <|")


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2", "qwen3"])
def test_the_states_are_the_models_own_with_length_one(family, make_tiny, tmp_path):
    backbone = make_tiny(family)
    index = build_index(tmp_path / "index", backbone, TEXTS, batch_size=3)
    assert index.facts.layers == [1, 2]
    for row in range(len(index)):
        place = {name: int(column[row]) for name, column in index.contexts.items()}
        ids = backbone.tokenize([index.texts[place["last"]]], template="raw").ids
        with torch.no_grad():
            output = backbone.model(torch.tensor(ids), output_hidden_states=True)
        own = output.hidden_states[1][0, place["token"]].numpy()
        kept = index.states(1)[row].astype(np.float32)
        np.testing.assert_allclose(kept, own / np.linalg.norm(own), atol=2e-3)
        if family in (
            "llama",
            "qwen3",
        ):  # the last layer's state is what the final norm, blind to length, reads
            read = backbone.model.model.norm(torch.from_numpy(index.states(2)[row].astype(np.float32)) * 100)
            np.testing.assert_allclose(
                read.numpy(), output.hidden_states[-1][0, place["token"]].numpy(), atol=2e-2
            )


def test_batches_play_no_part(make_tiny, tmp_path):
    backbone = make_tiny("llama")
    one = build_index(tmp_path / "one", backbone, TEXTS, batch_size=1)
    many = build_index(tmp_path / "many", backbone, TEXTS)
    for layer in (1, 2):
        np.testing.assert_allclose(one.states(layer), many.states(layer), atol=1e-3)
    norms = np.linalg.norm(np.array(one.states(2), np.float32), axis=1)
    np.testing.assert_allclose(norms, 1, atol=1e-3)


class Killed(BaseException):
    pass


@pytest.mark.parametrize("after", [1, 2, 3])
def test_interrupted_equals_uninterrupted_to_the_byte(make_tiny, tmp_path, monkeypatch, after):
    backbone = make_tiny("llama")
    monkeypatch.setattr(latent_build, "CHUNK", 2)
    build_index(tmp_path / "whole", backbone, TEXTS)
    real, calls = latent_build._read, []

    def read(*arguments):
        calls.append(arguments)
        if len(calls) > after:
            raise Killed
        return real(*arguments)

    monkeypatch.setattr(latent_build, "_read", read)
    with pytest.raises(Killed):
        build_index(tmp_path / "index", backbone, TEXTS)
    assert not (tmp_path / "index").exists()
    monkeypatch.setattr(latent_build, "_read", lambda *given: calls.append(given) or real(*given))
    before = len(calls)
    build_index(tmp_path / "index", backbone, TEXTS)
    assert len(calls) - before < 4  # what was done is not done again
    assert bytes_of(tmp_path / "index") == bytes_of(tmp_path / "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index", "whole"]


@pytest.mark.slow
def test_kill_9_in_the_middle(tiny_backbone_dir, tmp_path):
    """A real process, killed while it reads the fourth text."""
    script = textwrap.dedent("""
        import os, signal, sys
        from workbench.backbone import Backbone
        from workbench.lenses import latent_build
        latent_build.CHUNK = 2
        calls, real = [], latent_build._read
        def read(*arguments):
            calls.append(1)
            if len(calls) == int(sys.argv[3]):
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments)
        latent_build._read = read
        latent_build.build_index(sys.argv[2], Backbone.load(sys.argv[1]), sys.argv[4:], batch_size=1)
    """)

    def run(folder, die):
        command = [sys.executable, "-c", script, str(tiny_backbone_dir), str(folder), str(die), *TEXTS]
        return subprocess.run(
            command, capture_output=True, env=dict(os.environ, OMP_NUM_THREADS="1")
        ).returncode

    assert run(tmp_path / "index", 4) == -signal.SIGKILL
    assert not (tmp_path / "index").exists()
    assert run(tmp_path / "index", 99) == 0
    assert run(tmp_path / "whole", 99) == 0
    assert bytes_of(tmp_path / "index") == bytes_of(tmp_path / "whole")


def test_an_interrupted_build_of_something_else_gives_way(make_tiny, tmp_path, monkeypatch):
    backbone = make_tiny("llama")
    monkeypatch.setattr(latent_build, "CHUNK", 2)
    real, calls = latent_build._read, []

    def read(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise Killed
        return real(*arguments)

    monkeypatch.setattr(latent_build, "_read", read)
    with pytest.raises(Killed):
        build_index(tmp_path / "index", backbone, TEXTS[3:])
    build_index(tmp_path / "index", backbone, TEXTS)
    build_index(tmp_path / "whole", backbone, TEXTS)
    assert bytes_of(tmp_path / "index") == bytes_of(tmp_path / "whole")


def test_only_the_same_index_is_opened_again(make_tiny, tmp_path, monkeypatch):
    backbone = make_tiny("llama")
    folder = tmp_path / "index"
    build_index(folder, backbone, TEXTS, layers=[2])
    before = bytes_of(folder)
    with monkeypatch.context() as patched:
        patched.setattr(latent_build, "_read", lambda *_: pytest.fail("read again"))
        assert build_index(folder, backbone, TEXTS, layers=[-1]).facts.layers == [2]
    with pytest.raises(UsageError, match="has other texts"):
        build_index(folder, backbone, TEXTS[1:], layers=[2])
    with pytest.raises(UsageError, match=r"has other layers \(\[2\], not \[1, 2\]\)"):
        build_index(folder, backbone, TEXTS)
    with pytest.raises(UsageError, match=r"other maximal length \(512, not 9\)"):
        build_index(folder, backbone, TEXTS, layers=[2], max_length=9)
    with pytest.raises(FingerprintMismatch, match="does not fit: its weights is"):
        build_index(folder, make_tiny("llama", 1), TEXTS, layers=[2])
    with pytest.raises(FingerprintMismatch, match="does not fit: its weights is"):
        LatentIndex.open(folder, make_tiny("llama", 1))
    assert bytes_of(folder) == before


def test_what_is_no_index_or_a_damaged_one_is_refused(make_tiny, tmp_path):
    backbone = make_tiny("llama")
    with pytest.raises(UsageError, match="the first layer is 1"):
        build_index(tmp_path / "index", backbone, TEXTS, layers=[0, 1])
    with pytest.raises(UsageError, match="no layer 3"):
        build_index(tmp_path / "index", backbone, TEXTS, layers=[3])
    with pytest.raises(UsageError, match="no index at"):
        LatentIndex.open(tmp_path / "index")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("dear")
    with pytest.raises(UsageError, match="is there and is no index"):
        build_index(tmp_path / "mine", backbone, TEXTS)
    (tmp_path / "empty").mkdir()
    index = build_index(tmp_path / "empty", backbone, TEXTS)
    with pytest.raises(UsageError, match="has no layer 0; it has 1, 2"):
        index.states(0)
    path = tmp_path / "empty" / "layer_2.npy"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(WorkbenchError, match=r"layer_2.npy is missing or damaged"):
        LatentIndex.open(tmp_path / "empty")
    np.save(path, np.zeros((2, 2), np.float16))
    with pytest.raises(WorkbenchError, match=r"is not the file that config.json was written for"):
        LatentIndex.open(tmp_path / "empty")
    (tmp_path / "empty" / "config.json").write_text('{"schema": 1, "colour": 2}')
    with pytest.raises(WorkbenchError, match="describes no index"):
        LatentIndex.open(tmp_path / "empty")


def test_a_context_is_left_as_long_as_one_of_its_texts_is(make_tiny, tmp_path):
    index = build_index(tmp_path / "index", make_tiny("llama"), TEXTS, layers=[1])
    excluded = np.array(["France is Paris" in text for text in index.texts])
    kept, following = index.left(excluded)
    for row in range(len(index)):
        texts = range(index.contexts["first"][row], index.contexts["last"][row] + 1)
        left = [text for text in texts if not excluded[text]]
        assert kept[row] == bool(left)
        if left:
            assert following[index.contexts["first"][row]] == left[0]
    assert 0 < (~kept).sum() < len(kept)
