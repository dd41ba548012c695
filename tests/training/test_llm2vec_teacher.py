"""The LLM2Vec-style teacher: who predicts a masked token by hand, both directions, both losses by slow references."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from workbench.embedders.artifact import save
from workbench.embedders.config import GEMConfig, LLM2VecConfig
from workbench.embedders.gem import GEM
from workbench.embedders.pooled import MeanPool
from workbench.errors import FingerprintMismatch, UsageError, WorkbenchError
from workbench.masks import to_additive
from workbench.objectives import IGNORED
from workbench.training import mntp_simcse
from workbench.training.corpus import targets
from workbench.training.llm2vec import LLM2VecTeacher
from workbench.training.mntp_simcse import TeacherStep, train
from workbench.training.run import Run
from workbench.training.teacher_config import TeacherTraining
from workbench.training.teacher_texts import Step, TeacherBatch, mask_token, mask_tokens, tokenize_texts
from workbench.training.teachers import Teacher, load_teacher

TEXTS = [
    "The capital of France is Paris.",
    "A lion is an animal that eats meat.",
    "Gold is a metal with the symbol Au.",
    "The guitar has six strings.",
    "The river flows through the city.",
    "Who painted the picture?",
    "I am happy because my best friend came to visit me.",
    "Numbers such as 0 1 2 3.",
]
TINY = TeacherTraining(
    mntp_steps=4, simcse_steps=4, lr=1e-2, simcse_lr=5e-3, batch_size=3, simcse_batch_size=4, warmup_steps=1,
    logging_steps=1, save_steps=2,
)  # fmt: skip
SHAPE = LLM2VecConfig(lora_rank=2)


def stirred(backbone, config=SHAPE):
    """A teacher whose LoRA does something, as after training."""
    teacher = LLM2VecTeacher(backbone, config)
    torch.manual_seed(3)
    for up in teacher.lora.up.values():
        up.data.normal_(0, 0.05)
    return teacher


def examples(backbone, config=TINY, texts=TEXTS):
    return tokenize_texts(backbone, texts, config, SHAPE)


def both_ways(teacher, inputs):
    """Last hidden states of one unpadded text `[1, t, d]`: the model itself, and a mask without a single hole."""
    length = inputs.shape[1]
    everything = to_additive(torch.ones(1, length, length, dtype=torch.bool), torch.float32)
    with teacher.lora.active(teacher.backbone.model):
        return teacher.backbone.model.base_model(
            inputs_embeds=inputs, attention_mask=everything, position_ids=torch.arange(length)[None]
        ).last_hidden_state


class Scores(np.random.Generator):
    """A generator that gives these scores."""

    def __new__(cls, scores):
        made = super().__new__(cls)
        made.scores = scores
        return made

    def __init__(self, scores):
        super().__init__(np.random.PCG64(0))

    def random(self, size=None, *_, **__):
        assert tuple(size) == np.shape(self.scores)
        return np.array(self.scores)


def test_which_position_predicts_a_masked_token_on_five_tokens():
    """Tokens a b c d e; c and e are masked. The state at b predicts c, the state at d predicts e, no other predicts.
    The first token is never masked, whatever its score, and padding neither. In the second row nothing is below the
    share: the token with the lowest score is masked. The third row is a single token and has nothing to mask."""
    ids = torch.tensor([[11, 12, 13, 14, 15], [21, 22, 23, 0, 0], [31, 0, 0, 0, 0]])
    real = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0]], dtype=torch.bool)
    scores = [[0.0, 0.9, 0.1, 0.9, 0.15], [0.0, 0.8, 0.7, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0]]
    masked = mask_tokens(ids, real, 0.2, 9, Scores(scores))
    assert masked.ids.tolist() == [[11, 12, 9, 14, 9], [21, 22, 9, 0, 0], [31, 0, 0, 0, 0]]
    no = IGNORED
    assert masked.labels.tolist() == [[no, 13, no, 15, no], [no, 23, no, no, no], [no] * 5]


def test_the_share_is_the_share_of_tokens_that_are_masked():
    ids = torch.arange(1, 65).repeat(200, 1)
    masked = mask_tokens(ids, torch.ones_like(ids, dtype=torch.bool), 0.2, 0, np.random.default_rng(0))
    assert abs(float((masked.ids == 0)[:, 1:].float().mean()) - 0.2) < 0.01
    assert not (masked.ids == 0)[:, 0].any()
    assert torch.equal((masked.labels != IGNORED)[:, :-1], (masked.ids == 0)[:, 1:])


def test_the_underscore_stands_for_a_mask_unless_the_tokenizer_has_one(make_tiny):
    backbone = make_tiny("llama")
    assert backbone.tokenizer.decode([mask_token(backbone)]) == "_"
    backbone.tokenizer.mask_token = "<|user|>"
    assert backbone.tokenizer.decode([mask_token(backbone)]) == "<|user|>"


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2", "qwen3"])
def test_the_first_token_sees_the_last_and_nobody_sees_padding(make_tiny, family):
    backbone = make_tiny(family)
    teacher = stirred(backbone)
    batch = backbone.pad([[5, 6, 7, 8], [9, 10]], side="left")

    def gradient(read, row, place):
        """Of a combination of the state at (row, place), with respect to every input embedding: `[b, t]`."""
        inputs = backbone.embed(batch.ids).requires_grad_()
        probe = torch.randn(inputs.shape[-1], generator=torch.Generator().manual_seed(0))
        (read(inputs)[row, place] @ probe).backward()
        return inputs.grad.abs().amax(dim=-1)

    both = gradient(lambda inputs: teacher.read(inputs, batch.mask, batch.positions), 0, 0)
    assert (both[0] > 1e-5).all()
    assert (both[1] == 0).all()
    causal = gradient(
        lambda inputs: backbone.hidden(inputs, mask=batch.mask, positions=batch.positions).last, 0, 0
    )
    assert (causal[0, 1:] == 0).all(), "this test cannot fail if causal attention passes it"
    padded = gradient(lambda inputs: teacher.read(inputs, batch.mask, batch.positions), 1, 2)
    assert (padded[1, :2] == 0).all()
    assert (padded[1, 2:] > 1e-5).all()


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_vector_is_the_mean_of_a_single_run_whatever_its_batch(make_tiny, family):
    teacher = stirred(make_tiny(family))
    found = teacher.embed(TEXTS, batch_size=8)
    for row, ids in enumerate(teacher.tokenize(TEXTS).ids):
        with torch.no_grad():
            states = both_ways(teacher, teacher.backbone.embed(torch.tensor([ids])))
        np.testing.assert_allclose(found[row], states[0].mean(0), atol=2e-5)
    for batch_size in (1, 3):
        np.testing.assert_allclose(teacher.embed(TEXTS, batch_size=batch_size), found, atol=2e-5)
    ids = teacher.tokenize(TEXTS).ids
    left, right = (teacher.backbone.pad(ids, side=side) for side in ("left", "right"))
    with torch.no_grad():
        torch.testing.assert_close(
            teacher.states(left)[left.mask], teacher.states(right)[right.mask], atol=2e-5, rtol=1e-5
        )
    assert np.abs(found - MeanPool(teacher.backbone).encode(TEXTS)).max() > 0.1
    assert isinstance(teacher, Teacher)


def test_the_masked_loss_is_that_of_a_slow_reference(make_tiny):
    backbone = make_tiny("llama")
    teacher = stirred(backbone)
    batch = TeacherBatch(**examples(backbone).make(Step(0, [0, 1, 3, 6], False)))
    mask = mask_token(backbone)
    originals = examples(backbone).ids
    total, count = 0.0, 0
    for row, text in enumerate([0, 1, 3, 6]):
        ids = batch.ids[row][batch.real[row]].tolist()
        with torch.no_grad():
            states = both_ways(teacher, backbone.embed(torch.tensor([ids])))
            chances = backbone.model.lm_head(states)[0].log_softmax(-1)
        for place, (seen, token) in enumerate(zip(ids, originals[text], strict=True)):
            if seen == mask:
                total -= float(chances[place - 1, token])
                count += 1
    assert count >= 4
    losses = TeacherStep(teacher, TINY)(**batch._asdict())
    assert losses.simcse is None
    assert losses.total.item() == pytest.approx(total / count, rel=1e-5)


def test_the_simcse_loss_is_that_of_a_slow_reference(make_tiny):
    """-log of exp(cos(h_i, h_i') / t) over itself and the sum of exp(cos(h_i, h_j) / t) of the other texts."""
    backbone = make_tiny("llama")
    teacher = stirred(backbone)
    step = TeacherStep(teacher, replace(TINY, temperature=0.1, dropout=0.3))
    rows = [0, 3, 5]
    batch = TeacherBatch(**examples(backbone).make(Step(7, rows, True)))
    assert (batch.labels == IGNORED).all()
    dropped = step.dropped(backbone.embed(batch.ids).repeat(2, 1, 1), 7)
    vectors = []
    for row in range(6):
        own = dropped[row : row + 1, : int(batch.real[row % 3].sum())]
        with torch.no_grad():
            vectors.append(both_ways(teacher, own)[0].mean(0).double())
    units = [vector / vector.norm() for vector in vectors]
    total = 0.0
    for i in range(3):
        same = math.exp(float(units[i] @ units[i + 3]) / 0.1)
        others = sum(math.exp(float(units[i] @ units[j]) / 0.1) for j in range(3) if j != i)
        total -= math.log(same / (same + others))
    losses = step(**batch._asdict())
    assert losses.mntp is None
    assert losses.total.item() == pytest.approx(total / 3, rel=1e-4)


def test_dropout_is_decided_by_seed_and_step_and_keeps_the_mean(make_tiny):
    step = TeacherStep(stirred(make_tiny("llama")), replace(TINY, dropout=0.3))
    ones = torch.ones(40, 50, 32)
    found = step.dropped(ones, 5)
    assert found.unique().tolist() == pytest.approx([0.0, 1 / 0.7])
    assert float((found == 0).float().mean()) == pytest.approx(0.3, abs=0.01)
    assert torch.equal(found, step.dropped(ones, 5))
    assert not torch.equal(found, step.dropped(ones, 6))
    assert not torch.equal(found[:20], found[20:])


def test_the_plan_has_both_stages_and_every_text_once_an_epoch(make_tiny):
    config = replace(TINY, mntp_steps=5, simcse_steps=3, batch_size=4, simcse_batch_size=7)
    plan = examples(make_tiny("llama"), config).plan()
    assert [step.contrast for step in plan] == [False] * 5 + [True] * 3
    assert [step.number for step in plan] == list(range(8))
    assert sorted(plan[0].rows + plan[1].rows) == list(range(8))
    assert plan[0].rows + plan[1].rows != plan[2].rows + plan[3].rows
    assert [len(step.rows) for step in plan[5:]] == [7, 7, 7], "a single text has no negatives"


def test_copies_and_single_tokens_are_left_out_and_counted(make_tiny):
    backbone = make_tiny("llama")
    made = examples(backbone, texts=["gold is", "a", TEXTS[0], "gold is", TEXTS[0]])
    assert made.left_out == 3
    assert backbone.detokenize(made.ids) == ["gold is", TEXTS[0]]
    for few in ([], ["gold is"], ["gold is", "a", "gold is"]):
        with pytest.raises(WorkbenchError, match="at least two different texts"):
            examples(backbone, texts=few)


def logged(folder, name):
    lines = [json.loads(line) for line in Run(folder).log.open()]
    return [line[name] for line in lines if name in line]


def test_training_lowers_both_losses_and_leaves_the_backbone_alone(make_tiny, tmp_path):
    backbone = make_tiny("llama")
    before = {name: weight.clone() for name, weight in backbone.model.state_dict().items()}
    shape = LLM2VecConfig(lora_rank=8)
    config = replace(TINY, mntp_steps=40, simcse_steps=20, batch_size=8, dropout=0.3, lr=2e-2, save_steps=50)
    teacher = train(backbone, TEXTS, config, shape, output=tmp_path / "t")
    mntp, simcse = logged(tmp_path / "t", "loss_mntp"), logged(tmp_path / "t", "loss_simcse")
    assert (len(mntp), len(simcse)) == (40, 20)
    assert np.mean(mntp[-10:]) < 0.9 * np.mean(mntp[:10])
    assert np.mean(simcse[-5:]) < 0.8 * np.mean(simcse[:5])
    assert all(torch.equal(w, before[n]) for n, w in backbone.model.state_dict().items())
    assert all(weight.grad is None for weight in backbone.model.parameters())
    again = train(backbone, TEXTS, config, shape, output=tmp_path / "t")
    assert again.fingerprint() == teacher.fingerprint()
    with pytest.raises(UsageError, match="other settings"):
        train(backbone, TEXTS, replace(config, dropout=0.2), shape, output=tmp_path / "t")
    manifest = json.loads((tmp_path / "t" / "config.json").read_text())
    assert manifest["metrics"] == {"loss_mntp": mntp[-1], "loss_simcse": simcse[-1]}
    assert "2404.05961" in (tmp_path / "t" / "README.md").read_text()
    assert not (tmp_path / "t" / "checkpoints").exists()


@pytest.mark.parametrize("dies_in", [4, 5, 8])
def test_an_interrupted_training_equals_an_uninterrupted_one(make_tiny, tmp_path, monkeypatch, dies_in):
    """It dies in the first stage, at the very switch (the checkpoint of step 4 is whole), and in the second stage."""
    backbone = make_tiny("llama")
    straight = train(backbone, TEXTS, TINY, SHAPE, output=tmp_path / "a")
    forward, calls = TeacherStep.forward, []

    def dying(self, **inputs):
        calls.append(1)
        if len(calls) == dies_in:
            raise KeyboardInterrupt
        return forward(self, **inputs)

    monkeypatch.setattr(mntp_simcse.TeacherStep, "forward", dying)
    with pytest.raises(KeyboardInterrupt):
        train(backbone, TEXTS, TINY, SHAPE, output=tmp_path / "b")
    monkeypatch.setattr(mntp_simcse.TeacherStep, "forward", forward)
    resumed = train(backbone, TEXTS, TINY, SHAPE, output=tmp_path / "b")
    assert (tmp_path / "a" / "model.safetensors").read_bytes() == (
        tmp_path / "b" / "model.safetensors"
    ).read_bytes()
    assert straight.fingerprint() == resumed.fingerprint()
    for name in ("loss_mntp", "loss_simcse", "learning_rate"):
        assert logged(tmp_path / "a", name) == logged(tmp_path / "b", name)


def test_each_stage_has_its_own_peak_and_optimizer(make_tiny, tmp_path, monkeypatch):
    """Linear, 4 steps, one of warm-up: 0, 1, 2/3, 1/3 of the peak, twice; AdamW forgets in between."""
    known = []
    forward = TeacherStep.forward

    def watched(self, **inputs):
        known.append(len(trainers[0].optimizer.state))
        return forward(self, **inputs)

    trainers, build = [], mntp_simcse.build_trainer

    def kept(*arguments):
        trainers.append(build(*arguments))
        return trainers[0]

    monkeypatch.setattr(mntp_simcse.TeacherStep, "forward", watched)
    monkeypatch.setattr(mntp_simcse, "build_trainer", kept)
    train(make_tiny("llama"), TEXTS, TINY, SHAPE, output=tmp_path / "t")
    rates = logged(tmp_path / "t", "learning_rate")
    wanted = [0, 1e-2, 1e-2 * 2 / 3, 1e-2 / 3, 0, 5e-3, 5e-3 * 2 / 3, 5e-3 / 3]
    assert rates == pytest.approx(wanted)
    assert [count > 0 for count in known] == [False, True, True, True] * 2


def test_a_saved_teacher_is_found_again_by_its_folder(make_tiny, tmp_path, tiny_backbone_dir):
    from workbench.backbone import Backbone

    backbone = Backbone.load(str(tiny_backbone_dir))
    teacher = train(backbone, TEXTS, replace(TINY, simcse_steps=0), SHAPE, output=tmp_path / "t")
    found = load_teacher(str(tmp_path / "t"), backbone)
    assert isinstance(found, LLM2VecTeacher)
    assert (found.id, found.dimension) == (str(tmp_path / "t"), 32)
    np.testing.assert_array_equal(found.embed(TEXTS), teacher.embed(TEXTS))
    assert found.fingerprint() == teacher.fingerprint() != LLM2VecTeacher(backbone, SHAPE).fingerprint()
    (tmp_path / "t").rename(tmp_path / "moved")
    moved = load_teacher(str(tmp_path / "moved"), backbone)
    first = targets(found, TEXTS, cache_dir=tmp_path / "cache")
    np.testing.assert_array_equal(first, targets(moved, TEXTS, cache_dir=tmp_path / "cache"))
    assert len(list((tmp_path / "cache" / "targets").iterdir())) == 1
    targets(LLM2VecTeacher(backbone, SHAPE), TEXTS, cache_dir=tmp_path / "cache")
    assert len(list((tmp_path / "cache" / "targets").iterdir())) == 2


def test_what_is_no_teacher_or_not_this_backbones_is_refused(make_tiny, tmp_path):
    backbone = make_tiny("llama")
    folder = tmp_path / "t"
    train(backbone, TEXTS, replace(TINY, mntp_steps=2, simcse_steps=0), SHAPE, output=folder)
    with pytest.raises(FingerprintMismatch, match=r"teacher .* does not fit: its weights is"):
        load_teacher(str(folder), make_tiny("llama", 1))
    with pytest.raises(UsageError, match="needs the backbone"):
        load_teacher(str(folder))
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[:-1])
    with pytest.raises(WorkbenchError, match=r"model\.safetensors"):
        load_teacher(str(folder), backbone)
    save(GEM.untrained(backbone, GEMConfig(n_special=2)), tmp_path / "gem")
    with pytest.raises(UsageError, match="gem, which is no teacher"):
        load_teacher(str(tmp_path / "gem"), backbone)
    for changes, words in (
        ({"mntp_steps": 0, "simcse_steps": 0}, "nothing would train"),
        ({"mask_share": 1.0}, "mask_share must lie between"),
        ({"dropout": 0.0}, "dropout must lie between"),
        ({"simcse_batch_size": 1}, "at least 2"),
        ({"save_steps": 3, "logging_steps": 2}, "multiple of logging_steps"),
    ):
        with pytest.raises(UsageError, match=words):
            replace(TINY, **changes)
    with pytest.raises(UsageError, match="lora_rank"):
        LLM2VecConfig(lora_rank=0)
