"""Training: losses against slow references, what trains and what stays, interruption and resumption."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from workbench.embedders import llm2vec_gen
from workbench.embedders.artifact import load_embedder
from workbench.embedders.config import LLM2VecGenConfig
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.errors import UsageError, WorkbenchError
from workbench.training import checkpoints
from workbench.training import llm2vec_gen as training
from workbench.training.batches import Batch, tokenize_examples
from workbench.training.config import LLM2VecGenTraining
from workbench.training.corpus import Corpus
from workbench.training.llm2vec_gen import train
from workbench.training.llm2vec_gen_step import TrainingStep

QUERIES = [
    f"What is the capital of {place}?" for place in ("France", "Japan", "gold", "the river", "the city")
]
RESPONSES = [
    "Paris.",
    "The capital of Japan is Tokyo.",
    "Gold is a metal with the symbol Au.",
    "The river flows.",
    "No.",
]
SHAPE = LLM2VecGenConfig(n_compression=3, teacher="fake-teacher")
QUICK = LLM2VecGenTraining(
    lr=1e-2, warmup_steps=2, batch_size=4, epochs=4, logging_steps=2, save_steps=2, keep_checkpoints=False
)


@pytest.fixture(scope="module")
def corpus(fake_teacher):
    queries, responses = QUERIES * 4, RESPONSES * 4
    return Corpus(queries, responses, fake_teacher.embed(responses), {})


def step_of(backbone, corpus, config=QUICK, **shape):
    settings = LLM2VecGenConfig(**{"n_compression": 3, "dimension": 24, **shape})
    embedder = LLM2VecGen.untrained(backbone, settings)
    examples = tokenize_examples(backbone, corpus, config, settings)
    return embedder, TrainingStep(embedder, config), examples


def slow_losses(embedder, examples, rows):
    """One example at a time, no padding, no cache: the alignment of each, the loss of every response token."""
    backbone, module = embedder.backbone, embedder.module
    aligns, tokens = [], []
    for row in rows:
        inputs = torch.cat(
            [backbone.embed(torch.tensor([examples.queries[row]])), module.tokens[None]], dim=1
        )
        hidden = backbone.model.base_model(inputs_embeds=inputs).last_hidden_state[:, -module.n_compression :]
        prompts = module.reconstruction(hidden)
        embedding = module.alignment(prompts).mean(dim=1)[0]
        aligns.append((embedding - examples.targets[row]).square().mean())
        response = torch.tensor(examples.responses[row])
        inputs = torch.cat([prompts, backbone.embed(response[None])], dim=1)
        logits = backbone.model(inputs_embeds=inputs).logits[0]
        predicting = logits[module.n_compression - 1 : -1]
        tokens.append(F.cross_entropy(predicting, response, reduction="none"))
    return torch.stack(aligns).mean(), torch.cat(tokens).mean()


@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma2", "gpt2"])
def test_losses_and_gradients_equal_the_slow_reference(make_tiny, corpus, family):
    embedder, step, examples = step_of(make_tiny(family), corpus)
    rows = [0, 2, 3, 4]
    losses = step(**examples.batch(rows))
    losses.total.backward()
    ours = {name: parameter.grad for name, parameter in embedder.module.named_parameters()}
    embedder.module.zero_grad()
    align, recon = slow_losses(embedder, examples, rows)
    (align + recon).backward()
    assert losses.align.item() == pytest.approx(align.item(), rel=1e-5)
    assert losses.recon.item() == pytest.approx(recon.item(), rel=1e-5)
    for name, parameter in embedder.module.named_parameters():
        scale = parameter.grad.abs().max()
        torch.testing.assert_close(ours[name] / scale, parameter.grad / scale, atol=1e-5, rtol=0)


def test_chunked_logits_change_nothing(tiny_backbone, corpus, monkeypatch):
    _, step, examples = step_of(tiny_backbone, corpus)
    whole = step(**examples.batch([0, 1, 2]))
    monkeypatch.setattr("workbench.backbone.likelihood.LOGITS_AT_ONCE", 3 * tiny_backbone.vocab_size)
    chunked = step(**examples.batch([0, 1, 2]))
    assert chunked.recon.item() == pytest.approx(whole.recon.item(), rel=1e-6)


def test_gradients_reach_only_what_trains(make_tiny, corpus):
    backbone = make_tiny("llama")
    _, step, examples = step_of(backbone, corpus)
    step(**examples.batch([0, 1])).total.backward()
    assert {name for name, part in step.named_parameters() if part.grad is not None} == {
        "special.tokens",
        "special.reconstruction.weight",
        "special.reconstruction.bias",
        "special.alignment.weight",
        "special.alignment.bias",
    }
    assert all(part.grad is None and not part.requires_grad for part in backbone.model.parameters())


def test_the_query_leaves_no_graph(tiny_backbone, corpus, monkeypatch):
    seen = []
    original = llm2vec_gen.cached_prefix

    def watched(*args, **kwargs):
        prefix = original(*args, **kwargs)
        seen.extend(layer.keys.requires_grad or layer.values.requires_grad for layer in prefix.cache.layers)
        return prefix

    monkeypatch.setattr(llm2vec_gen, "cached_prefix", watched)
    _, step, examples = step_of(tiny_backbone, corpus)
    step(**examples.batch([0, 1]))
    assert seen == [False, False]


def test_weights_of_the_losses(tiny_backbone, corpus):
    from dataclasses import replace

    _, step, examples = step_of(tiny_backbone, corpus)
    both = step(**examples.batch([0, 1]))
    for w_align, w_recon in ((0.0, 2.0), (3.0, 0.0), (0.5, 0.25)):
        _, other, _ = step_of(tiny_backbone, corpus, replace(QUICK, w_align=w_align, w_recon=w_recon))
        total = other(**examples.batch([0, 1])).total.item()
        assert total == pytest.approx(w_align * both.align.item() + w_recon * both.recon.item(), rel=1e-5)


def test_training_learns_and_leaves_the_backbone_alone(make_tiny, corpus, tmp_path):
    backbone = make_tiny("llama")
    before = {name: tensor.numpy().tobytes() for name, tensor in backbone.model.state_dict().items()}
    embedder = train(backbone, corpus, QUICK, SHAPE, output=tmp_path / "run")
    after = {name: tensor.numpy().tobytes() for name, tensor in backbone.model.state_dict().items()}
    assert after == before
    log = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == list(range(2, 21, 2))
    assert log[-1]["loss_align"] < log[0]["loss_align"]
    assert log[-1]["loss_recon"] < log[0]["loss_recon"]
    assert log[-1]["loss"] == pytest.approx(log[-1]["loss_align"] + log[-1]["loss_recon"], abs=1e-4)
    assert not (tmp_path / "run/checkpoints").exists()
    again = load_embedder(tmp_path / "run", backbone=backbone)
    np.testing.assert_array_equal(again.encode(QUERIES), embedder.encode(QUERIES))
    assert again.dimension == 24
    assert not list(tmp_path.rglob("*.bin")), "no pickled arguments"


def files_of(folder: Path) -> dict[str, bytes]:
    names = ("config.json", "model.safetensors", "README.md", "log.jsonl", "run.json")
    return {name: (folder / name).read_bytes() for name in names}


@pytest.mark.parametrize("stop_at", [1, 7, 8, 13])
def test_interrupted_training_equals_uninterrupted(make_tiny, corpus, tmp_path, monkeypatch, stop_at):
    train(make_tiny("llama"), corpus, QUICK, SHAPE, output=tmp_path / "whole")
    calls, forward = [], TrainingStep.forward

    def interrupted(self, **inputs):
        calls.append(1)
        if len(calls) == stop_at:
            raise KeyboardInterrupt
        return forward(self, **inputs)

    monkeypatch.setattr(TrainingStep, "forward", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(make_tiny("llama"), corpus, QUICK, SHAPE, output=tmp_path / "parts")
    assert not (tmp_path / "parts/config.json").exists()
    torch.manual_seed(stop_at)  # whatever else happened in the process
    train(make_tiny("llama"), corpus, QUICK, SHAPE, output=tmp_path / "parts")
    left = 20 - (stop_at - 1) // 2 * 2
    assert len(calls) == stop_at + left, "finished steps are not done again"
    assert files_of(tmp_path / "parts") == files_of(tmp_path / "whole")


def test_a_half_written_checkpoint_is_not_resumed_from(make_tiny, corpus, tmp_path, monkeypatch):
    train(make_tiny("llama"), corpus, QUICK, SHAPE, output=tmp_path / "whole")

    def killed(checkpoint):
        if checkpoint.name == "checkpoint-6":
            raise KeyboardInterrupt
        original(checkpoint)

    original = checkpoints.mark_complete
    monkeypatch.setattr(checkpoints, "mark_complete", killed)
    with pytest.raises(KeyboardInterrupt):
        train(make_tiny("llama"), corpus, QUICK, SHAPE, output=tmp_path / "parts")
    (tmp_path / "parts/checkpoints/checkpoint-6/model.safetensors").write_bytes(b"half")
    monkeypatch.setattr(checkpoints, "mark_complete", original)
    train(make_tiny("llama"), corpus, QUICK, SHAPE, output=tmp_path / "parts")
    assert files_of(tmp_path / "parts") == files_of(tmp_path / "whole")


def test_a_finished_run_is_loaded_and_another_one_is_refused(make_tiny, corpus, tmp_path, monkeypatch):
    from dataclasses import replace

    backbone = make_tiny("llama")
    first = train(backbone, corpus, QUICK, SHAPE, output=tmp_path)
    monkeypatch.setattr(training, "build_trainer", lambda *_: pytest.fail("trained again"))
    again = train(backbone, corpus, QUICK, SHAPE, output=tmp_path)
    assert again.fingerprint() == first.fingerprint()
    with pytest.raises(UsageError, match=r"lr 0.01 there, 0.02 here"):
        train(backbone, corpus, replace(QUICK, lr=2e-2), SHAPE, output=tmp_path)
    monkeypatch.undo()
    fresh = train(backbone, corpus, replace(QUICK, lr=2e-2), SHAPE, output=tmp_path, resume=False)
    assert fresh.fingerprint() != first.fingerprint()


@pytest.mark.parametrize(
    "changes",
    [
        {"w_align": 0.0},
        {"w_recon": 0.0},
        {"lora_rank": 2},
        {"align_reduction": "sum"},
        {"schedule": "cosine"},
    ],
)
def test_every_option_trains_and_reloads(make_tiny, corpus, tmp_path, changes):
    from dataclasses import replace

    backbone = make_tiny("llama")
    before = backbone.model.state_dict()["model.layers.0.mlp.up_proj.weight"].clone()
    shape = replace(SHAPE, n_thought=2)
    embedder = train(backbone, corpus, replace(QUICK, epochs=1, **changes), shape, output=tmp_path)
    assert torch.equal(backbone.model.state_dict()["model.layers.0.mlp.up_proj.weight"], before)
    again = load_embedder(tmp_path, backbone=backbone)
    np.testing.assert_array_equal(again.encode(QUERIES), embedder.encode(QUERIES))
    if "lora_rank" in changes:
        assert any(up.abs().max() > 0 for up in embedder.module.lora.up.values())


def test_a_backbone_in_bfloat16_trains_an_artifact_for_float32(tiny_backbone_dir, corpus, tmp_path):
    from workbench.backbone import Backbone

    low, full = (
        Backbone.load(str(tiny_backbone_dir), device="cpu", dtype=dtype) for dtype in ("bfloat16", "float32")
    )
    losses = []
    for backbone in (low, full):
        _, step, examples = step_of(backbone, corpus)
        losses.append(step(**examples.batch([0, 1, 2])).total.item())
    assert losses[0] == pytest.approx(losses[1], rel=0.02)
    trained = train(low, corpus, QUICK, SHAPE, output=tmp_path)
    assert {part.dtype for part in trained.module.parameters()} == {torch.float32}
    again = load_embedder(tmp_path, backbone=full)
    cosine = again.similarity(again.encode(QUERIES), trained.encode(QUERIES)).diagonal()
    assert cosine.min() > 0.99


def test_without_alignment_no_targets_are_needed(make_tiny, tmp_path):
    from dataclasses import replace

    corpus = Corpus(QUERIES, RESPONSES, None, {})
    embedder = train(make_tiny("llama"), corpus, replace(QUICK, w_align=0.0), SHAPE, output=tmp_path)
    assert embedder.dimension == 32


def test_a_loss_that_is_not_finite_stops_the_run(make_tiny, corpus, tmp_path):
    targets = np.full((len(corpus.queries), 24), np.nan, np.float32)
    broken = Corpus(corpus.queries, corpus.responses, targets, {})
    with pytest.raises(WorkbenchError, match="not finite"):
        train(make_tiny("llama"), broken, QUICK, SHAPE, output=tmp_path)
    assert not (tmp_path / "config.json").exists()


def test_output_that_is_a_file_is_refused(tiny_backbone, corpus, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        train(tiny_backbone, corpus, QUICK, SHAPE, output=tmp_path / "file")


def test_batch_fields_are_what_the_step_reads(tiny_backbone, corpus):
    _, _, examples = step_of(tiny_backbone, corpus)
    assert set(examples.batch([0])) == set(Batch._fields)


def test_killed_in_another_process_and_resumed_here(tiny_backbone_dir, corpus, tmp_path):
    """SIGKILL in the middle of the run, as a power cut would do."""
    from workbench.backbone import Backbone

    script = f"""
import os, signal, sys, json
sys.path[:0] = [{str(Path(__file__).parents[2])!r}, {str(Path(__file__).parents[1])!r}]
import numpy as np, torch
torch.set_num_threads(1)
import test_llm2vec_gen_training as here
from conftest import FakeTeacher
from workbench.backbone import Backbone
from workbench.training.llm2vec_gen import train
from workbench.training.llm2vec_gen_step import TrainingStep
from workbench.training.corpus import Corpus
calls, forward = [], TrainingStep.forward
def killed(self, **inputs):
    calls.append(1)
    if len(calls) == 12:
        os.kill(os.getpid(), signal.SIGKILL)
    return forward(self, **inputs)
TrainingStep.forward = killed
queries, responses = here.QUERIES * 4, here.RESPONSES * 4
corpus = Corpus(queries, responses, FakeTeacher().embed(responses), {{}})
train(Backbone.load({str(tiny_backbone_dir)!r}, device="cpu"), corpus, here.QUICK, here.SHAPE, output=sys.argv[1])
"""
    folder = Path(__file__).parent
    command = [sys.executable, "-c", script, str(tmp_path / "parts")]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=600, check=False)
    assert done.returncode == -9, done.stderr.decode()[-2000:]
    backbone = Backbone.load(str(tiny_backbone_dir), device="cpu")
    train(backbone, corpus, QUICK, SHAPE, output=tmp_path / "whole")
    train(backbone, corpus, QUICK, SHAPE, output=tmp_path / "parts")
    assert files_of(tmp_path / "parts") == files_of(tmp_path / "whole")


@pytest.mark.parametrize("align_each", [False, True])
def test_a_ridge_start_is_scikit_learns_ridge_on_the_soft_prompts(tiny_backbone, corpus, align_each):
    from sklearn.linear_model import Ridge

    embedder, _, examples = step_of(tiny_backbone, corpus, align_each=align_each)
    each = [embedder.represent([query]).soft_prompts[0].numpy() for query in corpus.queries]
    prompts = [row.ravel() / len(row) if align_each else row.mean(0) for row in each]
    training.fit_alignment(embedder, examples, QUICK)
    x = np.stack(prompts).astype(np.float64)
    variance = ((x - x.mean(0)) ** 2).sum(0).mean()
    reference = Ridge(alpha=training.RIDGE * variance).fit(x, np.asarray(corpus.targets, dtype=np.float64))
    ours = embedder.encode(corpus.queries)
    np.testing.assert_allclose(ours, reference.predict(x), atol=2e-3)


def test_the_first_step_moves_tokens_by_lr_and_projections_by_their_share_of_it(
    tiny_backbone, corpus, tmp_path
):
    """Adam's first step is lr times the sign of the gradient."""
    config = LLM2VecGenTraining(
        lr=1e-2, projection_lr_scale=0.1, schedule="constant", warmup_steps=0, batch_size=20, logging_steps=1,
        save_steps=1, max_grad_norm=0.0,
    )  # fmt: skip
    start = LLM2VecGen.untrained(
        tiny_backbone, LLM2VecGenConfig(n_compression=3, dimension=24, teacher="fake-teacher")
    ).tensors()
    end = train(tiny_backbone, corpus, config, SHAPE, output=tmp_path / "out").tensors()
    moved = {name: float((end[name] - start[name]).abs().median()) for name in start}
    assert moved["tokens"] == pytest.approx(1e-2, rel=0.02)
    assert moved["reconstruction.weight"] == pytest.approx(1e-3, rel=0.02)
    assert moved["alignment.weight"] == pytest.approx(1e-3, rel=0.02)


def test_the_special_tokens_start_as_the_opening_of_an_answer(make_tiny):
    backbone = make_tiny("llama")
    tokens = LLM2VecGen.untrained(backbone, LLM2VecGenConfig(dimension=4)).module.tokens
    opening = backbone.answer_opening
    assert opening == [backbone.tokenizer.convert_tokens_to_ids("<|assistant|>")]
    assert torch.equal(tokens[:1], backbone.embed(torch.tensor([opening]))[0])
    behind = LLM2VecGen.untrained(backbone, LLM2VecGenConfig(dimension=4, template="chat")).module.tokens
    assert not torch.equal(behind[:1], tokens[:1]), "the chat template has said it already"
    plain = make_tiny("gpt2")
    assert plain.answer_opening == []
    assert LLM2VecGen.untrained(plain, LLM2VecGenConfig(dimension=4)).module.tokens.shape == (10, 32)
