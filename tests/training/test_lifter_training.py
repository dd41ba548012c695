"""Lifter training: losses against a slow reference, what trains and what stays, interruption and resumption."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from workbench.embedders.config import GEMConfig, LifterConfig, LLM2VecGenConfig
from workbench.embedders.gem import GEM
from workbench.embedders.lifter import Lifter
from workbench.embedders.lifter_artifact import load_lifter
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.errors import UsageError, WorkbenchError
from workbench.training import lifter as training
from workbench.training.corpus import Corpus
from workbench.training.lifter import LifterStep, train
from workbench.training.lifter_config import LifterTraining
from workbench.training.lifter_examples import Step, tokenize_examples

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
QUICK = LifterTraining(lr=1e-2, warmup_steps=2, batch_size=4, epochs=4, logging_steps=2, save_steps=2)
SMALL = LifterConfig(width=16)


@pytest.fixture(scope="module")
def corpus(fake_teacher):
    queries, responses = QUERIES * 4, RESPONSES * 4
    return Corpus(queries, responses, fake_teacher.embed(responses), {})


def llm2vec_gen(backbone, **shape):
    config = LLM2VecGenConfig(**{"n_compression": 3, "dimension": 24, "teacher": "fake-teacher", **shape})
    embedder = LLM2VecGen.untrained(backbone, config, seed=4)
    with torch.no_grad():  # untrained, it lies near 0: all vectors would be nearly the same
        embedder.module.alignment.weight.mul_(100)
    return embedder


def step_of(embedder, corpus, config=QUICK):
    shape = LifterConfig(width=16, n_prompts=3, dimension=embedder.dimension, size=32)
    examples = tokenize_examples(embedder, corpus, config, shape)
    lifter = Lifter(shape, seed=2)
    training.start(lifter, examples, config)
    return lifter, LifterStep(lifter, examples, config), examples


def slow_losses(lifter, embedder, examples, corpus, rows, taught):
    """One example at a time, no padding, nothing shared: every response token, every number of the soft prompts."""
    backbone, tokens, squares = embedder.backbone, [], []
    for row in rows:
        source = embedder.represent(corpus.queries[row])
        vector = torch.tensor(corpus.targets[row]) if taught else source.embedding[0]
        lifted = lifter((7 * vector)[None])  # a length tells nothing
        response = torch.tensor(examples.responses[row])
        inputs = torch.cat([lifted, backbone.embed(response[None])], dim=1)
        logits = backbone.model(inputs_embeds=inputs).logits[0]
        tokens.append(F.cross_entropy(logits[lifted.shape[1] - 1 : -1], response, reduction="none"))
        if source.soft_prompts is not None:
            squares.append((lifted - source.soft_prompts).square().flatten())
    return torch.cat(tokens).mean(), torch.cat(squares).mean() if squares else None


@pytest.mark.parametrize("taught", [False, True], ids=["the embedder's vectors", "the teacher's vectors"])
@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2"])
def test_losses_and_gradients_equal_the_slow_reference(make_tiny, corpus, family, taught):
    embedder = llm2vec_gen(make_tiny(family))
    config = replace(QUICK, w_recon=0.5, w_prompts=3.0)
    lifter, step, examples = step_of(embedder, corpus, config)
    rows = [0, 2, 3, 4]
    losses = step(**examples.make(Step(rows, taught)))
    losses.total.backward()
    ours = {name: parameter.grad for name, parameter in lifter.named_parameters()}
    lifter.zero_grad()
    recon, prompts = slow_losses(lifter, embedder, examples, corpus, rows, taught)
    (0.5 * recon + 3 * prompts).backward()
    read, other = (losses.recon_teacher, losses.recon) if taught else (losses.recon, losses.recon_teacher)
    assert other is None
    assert read.item() == pytest.approx(recon.item(), rel=1e-4)
    assert losses.prompts.item() == pytest.approx(prompts.item(), rel=1e-4)
    assert losses.total.item() == pytest.approx(0.5 * recon.item() + 3 * prompts.item(), rel=1e-4)
    for name, parameter in lifter.named_parameters():
        scale = parameter.grad.abs().max()
        torch.testing.assert_close(ours[name] / scale, parameter.grad / scale, atol=1e-4, rtol=0)


def test_the_two_losses_by_hand(tiny_backbone, corpus):
    """A lifter that gives 0.5 for every number: its squared distance to soft prompts of 2 is 2.25, to 0.5 it is 0."""
    embedder = llm2vec_gen(tiny_backbone)
    lifter, step, examples = step_of(embedder, corpus)
    with torch.no_grad():
        lifter.outer.weight.zero_()
        lifter.outer.bias.fill_(0.5)
        embedder.module.reconstruction.weight.zero_()
        for value, distance in ((2.0, 2.25), (0.5, 0.0)):
            embedder.module.reconstruction.bias.fill_(value)
            losses = step(**examples.make(Step([0, 1], False)))
            assert losses.prompts.item() == pytest.approx(distance, abs=1e-6)
            assert losses.total.item() == pytest.approx(losses.recon.item() + distance, rel=1e-6)


def test_only_the_lifter_is_trained(make_tiny, corpus):
    embedder = llm2vec_gen(make_tiny("llama"), lora_rank=2)
    _, step, examples = step_of(embedder, corpus)
    assert {name.split(".")[0] for name in step.state_dict()} == {"lifter"}
    step(**examples.make(Step([0, 1], False))).total.backward()
    assert all(part.grad is not None for part in step.parameters())
    assert all(part.grad is None for part in embedder.module.parameters())
    assert all(part.grad is None for part in embedder.backbone.model.parameters())


@pytest.mark.parametrize(("every", "taught"), [(0, []), (1, [0, 1, 2, 3, 4, 5]), (2, [1, 3, 5]), (3, [2, 5])])
def test_teacher_steps_alternate(tiny_backbone, corpus, tmp_path, every, taught):
    config = replace(QUICK, teacher_every=every)
    assert [step for step in range(6) if config.reads_teacher(step)] == taught
    lifter, _, examples = step_of(llm2vec_gen(tiny_backbone), corpus, config)
    trainer = training.build_trainer(lifter, examples, config, training.Run(tmp_path))
    read = [trainer.train_dataset[step]["targets"].shape[1] for step in range(6)]
    assert read == [24 if step in taught else 0 for step in range(6)]
    rows = trainer.train_dataset[1]["rows"].tolist()
    if 1 in taught:
        np.testing.assert_array_equal(trainer.train_dataset[1]["targets"], corpus.targets[rows])


def log_of(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_training_learns_and_leaves_embedder_and_backbone_alone(make_tiny, corpus, tmp_path):
    embedder = llm2vec_gen(make_tiny("llama"))
    before = embedder.fingerprint()
    weights = {name: tensor.clone() for name, tensor in embedder.backbone.model.state_dict().items()}
    lifter = train(embedder, corpus, QUICK, SMALL, output=tmp_path)
    assert embedder.fingerprint() == before
    after = embedder.backbone.model.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in weights.items())
    log = log_of(tmp_path)
    assert [line["step"] for line in log] == list(range(2, 21, 2))
    assert log[-1]["loss_recon"] < log[0]["loss_recon"]
    assert log[-1]["loss_recon_teacher"] < log[0]["loss_recon_teacher"]
    assert not (tmp_path / "checkpoints").exists()
    vectors = embedder.encode(QUERIES)
    assert torch.equal(load_lifter(embedder, tmp_path).lift(vectors), lifter.lift(vectors))
    assert lifter.config == LifterConfig(width=16, n_prompts=3, dimension=24, size=32)
    manifest = json.loads((tmp_path / "config.json").read_text())
    assert manifest["training"]["teacher"] == "fake-teacher"
    assert manifest["training"]["steps"] == 20
    assert manifest["data_hash"] == corpus.hash()
    assert not list(tmp_path.rglob("*.bin")), "no pickled arguments"


def test_soft_prompts_are_learnt_where_they_weigh_most(make_tiny, corpus, tmp_path):
    config = replace(QUICK, w_recon=1e-3, teacher_every=0)
    train(llm2vec_gen(make_tiny("llama")), corpus, config, SMALL, output=tmp_path)
    log = log_of(tmp_path)
    assert log[-1]["loss_prompts"] < 0.5 * log[0]["loss_prompts"]


def files_of(folder):
    names = ("config.json", "model.safetensors", "README.md", "log.jsonl", "run.json")
    return {name: (folder / name).read_bytes() for name in names}


@pytest.mark.parametrize("stop_at", [1, 7, 8])
def test_interrupted_training_equals_uninterrupted(make_tiny, corpus, tmp_path, monkeypatch, stop_at):
    def run(name):
        train(llm2vec_gen(make_tiny("llama")), corpus, QUICK, SMALL, output=tmp_path / name)

    run("whole")
    calls, forward = [], LifterStep.forward

    def interrupted(self, **inputs):
        calls.append(1)
        if len(calls) == stop_at:
            raise KeyboardInterrupt
        return forward(self, **inputs)

    monkeypatch.setattr(LifterStep, "forward", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run("parts")
    assert not (tmp_path / "parts/config.json").exists()
    torch.manual_seed(stop_at)  # whatever else happened in the process
    run("parts")
    left = 20 - (stop_at - 1) // 2 * 2
    assert len(calls) == stop_at + left, "finished steps are not done again"
    assert files_of(tmp_path / "parts") == files_of(tmp_path / "whole")


def test_a_finished_run_is_loaded_and_another_one_is_refused(make_tiny, corpus, tmp_path, monkeypatch):
    embedder = llm2vec_gen(make_tiny("llama"))
    first = train(embedder, corpus, QUICK, SMALL, output=tmp_path)
    monkeypatch.setattr(training, "build_trainer", lambda *_: pytest.fail("trained again"))
    again = train(embedder, corpus, QUICK, SMALL, output=tmp_path)
    assert all(
        torch.equal(a, b)
        for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True)
    )
    with pytest.raises(UsageError, match=r"lr 0.01 there, 0.02 here"):
        train(embedder, corpus, replace(QUICK, lr=2e-2), SMALL, output=tmp_path)
    other = LLM2VecGen.untrained(embedder.backbone, embedder.config, seed=8)
    with pytest.raises(UsageError, match=r"embedder '.* there, '.* here"):
        train(other, corpus, QUICK, SMALL, output=tmp_path)


def test_gem_learns_from_the_reconstruction_alone_for_the_plain_backbone(make_tiny, corpus, tmp_path):
    embedder = GEM.untrained(make_tiny("llama"), GEMConfig(n_special=2, lora_rank=2), seed=1)
    with torch.no_grad():
        for up in embedder.module.update.up.values():
            up.normal_(0, 0.5, generator=torch.Generator().manual_seed(0))  # the fine-tuned LM is another LM
    _, step, examples = step_of(embedder, corpus, replace(QUICK, teacher_every=0))
    losses = step(**examples.make(Step([0, 2, 3], False)))
    recon, nothing = slow_losses(step.lifter, embedder, examples, corpus, [0, 2, 3], False)
    assert (losses.prompts, losses.recon_teacher, nothing) == (None, None, None)
    assert losses.total.item() == pytest.approx(recon.item(), rel=1e-4)
    lifter = train(embedder, Corpus(corpus.queries, corpus.responses), QUICK, SMALL, output=tmp_path)
    assert lifter.config == LifterConfig(width=16, n_prompts=10, dimension=32, size=32)
    log = log_of(tmp_path)
    assert log[-1]["loss_recon"] < log[0]["loss_recon"]
    assert "teacher" not in json.loads((tmp_path / "config.json").read_text())["training"]


def test_without_targets_or_with_those_of_another_teacher_the_teacher_is_left_out(
    make_tiny, corpus, tmp_path
):
    embedder = llm2vec_gen(make_tiny("llama"))
    without = Corpus(corpus.queries, corpus.responses)
    with pytest.raises(UsageError, match="no teacher targets: compute them, or set teacher_every to 0"):
        train(embedder, without, QUICK, SMALL, output=tmp_path / "no")
    other = replace(without, targets=corpus.targets[:, :7])
    with pytest.raises(UsageError, match="7 dimensions, the embedder's 24"):
        train(embedder, other, QUICK, SMALL, output=tmp_path / "no")
    assert not (tmp_path / "no").exists()
    config = replace(QUICK, epochs=1, teacher_every=0)
    train(embedder, without, config, SMALL, output=tmp_path / "yes")
    assert "loss_recon_teacher" not in log_of(tmp_path / "yes")[-1]


def test_other_numbers_of_soft_prompts_need_the_reconstruction_alone(make_tiny, corpus, tmp_path):
    embedder = llm2vec_gen(make_tiny("llama"))
    five = LifterConfig(width=16, n_prompts=5)
    with pytest.raises(UsageError, match="n_prompts must be 3, as many as the embedder has, not 5"):
        train(embedder, corpus, QUICK, five, output=tmp_path)
    lifter = train(embedder, corpus, replace(QUICK, epochs=1, w_prompts=0.0), five, output=tmp_path)
    assert lifter.lift(embedder.encode(QUERIES)).shape == (5, 5, 32)


def test_what_cannot_be_trained_is_refused(tiny_backbone, corpus, tmp_path):
    embedder = llm2vec_gen(tiny_backbone)
    nothing = Corpus([], [], corpus.targets[:0])
    with pytest.raises(WorkbenchError, match="the corpus is empty"):
        train(embedder, nothing, QUICK, SMALL, output=tmp_path / "no")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        train(embedder, corpus, QUICK, SMALL, output=tmp_path / "file")
    for changes, words in (
        ({"lr": 0.0}, "lr must be above 0"),
        ({"w_recon": 0.0}, "w_recon must be above 0"),
        ({"teacher_every": -1}, "teacher_every must be at least 0"),
        ({"save_steps": 3}, "must be a multiple of logging_steps"),
    ):
        with pytest.raises(UsageError, match=words):
            replace(QUICK, **changes)
    broken = replace(corpus, targets=np.full_like(corpus.targets, np.nan))
    with pytest.raises(WorkbenchError, match="not finite"):
        train(embedder, broken, QUICK, SMALL, output=tmp_path / "broken")
    assert not (tmp_path / "broken/config.json").exists()
