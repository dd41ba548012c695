"""GEM training: what is predicted from where by hand, the contrastive loss by hand, resume, the backbone untouched."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from workbench.embedders.config import GEMConfig
from workbench.embedders.gem import GEM
from workbench.errors import UsageError, WorkbenchError
from workbench.objectives import IGNORED, contrastive_loss
from workbench.training.corpus import Corpus
from workbench.training.gem import GEMStep, train
from workbench.training.gem_config import GEMTraining
from workbench.training.marked import MarkedBatch, Step, next_tokens, tokenize_texts
from workbench.training.run import Run

QUERIES = [
    "What is the capital of France?",
    "Tell me about gold.",
    "A lion eats",
    "Who painted the picture?",
] * 4
RESPONSES = ["Paris.", "Gold is a metal.", "It eats meat.", "I can't help."] * 4
CORPUS = Corpus(QUERIES, RESPONSES)
TINY = GEMTraining(
    p=0.3, share_soft_prompt=0.5, batch_size=4, epochs=2, lr=1e-2, contrastive_lr=5e-3, alpha_start=4,
    alpha=0.5, logging_steps=1, save_steps=2, warmup_steps=1,
)  # fmt: skip
SHAPE = GEMConfig(n_special=2, lora_rank=2)


def texts(backbone, config=TINY, corpus=CORPUS, summaries=()):
    return tokenize_texts(backbone, corpus, config, 2, list(summaries))


def test_what_is_predicted_from_where_on_five_tokens():
    """Prefix a b, one special token s, suffix c d: a predicts b; b would predict s and predicts nothing; s predicts c,
    the first suffix token; c predicts d; d has nothing after it. In the second row, d is padding."""
    ids = torch.tensor([[11, 12, 0, 13, 14], [11, 12, 0, 13, 0]])
    special = torch.tensor([[False, False, True, False, False]] * 2)
    real = torch.tensor([[True] * 5, [True, True, True, True, False]])
    wanted = [[12, IGNORED, 13, 14, IGNORED], [12, IGNORED, 13, IGNORED, IGNORED]]
    assert next_tokens(ids, special, real).tolist() == wanted


def test_positions_run_on_and_the_loss_is_that_of_a_slow_reference(make_tiny, slow_bottleneck):
    """The mixed loss of a batch against one text at a time, masks in three loops, cross-entropy by hand."""
    from workbench.masks import to_additive

    backbone = make_tiny("llama")
    embedder = GEM.untrained(backbone, SHAPE)
    batch = MarkedBatch(**texts(backbone, replace(TINY, alpha=0.0)).make(Step(0, [0, 1, 2, 3, 5])))
    assert 0 < int(batch.special.any(1).sum()) < 5, "the batch should mix both kinds of text"
    total, count = 0.0, 0
    for row in range(5):
        n = int(batch.padding[row].sum())
        special = batch.special[row : row + 1, :n]
        inputs = backbone.embed(batch.ids[row : row + 1, :n]).clone()
        inputs[special] = embedder.module.tokens[: int(special.sum())]
        mask = slow_bottleneck(special, torch.ones_like(special), False)
        with torch.no_grad():
            output = backbone.model(
                inputs_embeds=inputs,
                attention_mask=to_additive(mask, torch.float32),
                position_ids=torch.arange(n)[None],
            )
        chances = output.logits[0].log_softmax(-1)
        for t in range(n - 1):
            if not special[0, t + 1]:
                total -= float(chances[t, batch.ids[row, t + 1]])
                count += 1
    losses = GEMStep(embedder)(**batch._asdict())
    assert losses.contrastive is None
    assert abs(float(losses.ntp.detach()) - total / count) < 1e-4


def test_the_contrastive_loss_by_hand():
    """Anchors (1,0) and (0,1), positives (1,0) and (1,0), scale 2. First: own cosine 1, the other anchor 0:
    -log(e^2 / (e^2 + 1)). Second: own cosine 0, the other anchor 0: -log(1/2)."""
    anchors, positives = torch.eye(2), torch.tensor([[3.0, 0.0], [1.0, 0.0]])
    wanted = (-math.log(math.exp(2) / (math.exp(2) + 1)) + math.log(2)) / 2
    assert abs(float(contrastive_loss(anchors, positives, torch.tensor(2.0))) - wanted) < 1e-6
    with pytest.raises(ValueError, match="at least two"):
        contrastive_loss(anchors[:1], positives[:1], torch.tensor(2.0))


def test_the_scale_starts_at_20_and_stays_below_100(make_tiny):
    module = GEM.untrained(make_tiny("llama"), SHAPE).module
    assert abs(float(module.scale.detach()) - 20) < 1e-4
    module.log_scale.data.fill_(9.0)
    assert abs(float(module.scale.detach()) - 100) < 1e-3
    module.log_scale.data.fill_(-3.0)
    assert float(module.scale.detach()) == 1.0


def test_tasks_put_the_special_tokens_where_they_belong(make_tiny):
    backbone = make_tiny("llama")
    draw = np.random.default_rng(0)
    off = {"p": 0.0, "share_insertion": 0.0, "share_reconstruction": 0.0, "share_soft_prompt": 0.0}
    made = texts(backbone, replace(TINY, **{**off, "share_soft_prompt": 1.0}))
    first, second = made.parts(1, draw)
    assert first == backbone.tokenize(["Tell me about gold."], template="query").ids[0]
    assert second[: len(backbone.answer_opening)] == backbone.answer_opening
    assert second[-1] == backbone.eos_ids[0]
    assert backbone.detokenize([second]) == ["Gold is a metal."]
    whole = first + second
    made = texts(backbone, replace(TINY, **{**off, "share_reconstruction": 1.0}))
    assert made.parts(1, draw) == (whole, whole)
    made = texts(backbone, replace(TINY, **{**off, "share_insertion": 1.0}))
    places = {len(made.parts(1, draw)[0]) for _ in range(400)}
    assert places == set(range(1, len(whole)))
    assert all(first + second == whole for first, second in [made.parts(1, draw) for _ in range(20)])
    made = texts(
        backbone, replace(TINY, **{**off, "share_summary": 1.0}), summaries=[("A long text.", "Short.")]
    )
    assert [backbone.detokenize([part])[0] for part in made.parts(1, draw)] == ["A long text.", "Short."]
    made = texts(backbone, replace(TINY, p=1.0))
    assert made.parts(1, draw) == (whole, [])


def test_the_mix_ratio_is_the_share_of_plain_texts(make_tiny):
    made = texts(make_tiny("llama"), replace(TINY, p=0.8))
    draw = np.random.default_rng(0)
    plain = sum(not made.parts(row % 16, draw)[1] for row in range(3000))
    assert abs(plain / 3000 - 0.8) < 0.03


def test_a_positive_is_its_anchor_with_tokens_left_out(make_tiny):
    backbone = make_tiny("llama")
    batch = MarkedBatch(**texts(backbone).make(Step(5, [0, 1, 2, 3])))
    assert float(batch.alpha) == 0.5
    rows = [
        [int(i) for i, s, r in zip(*columns, strict=True) if r and not s]
        for columns in zip(batch.pair_ids, batch.pair_special, batch.pair_padding, strict=True)
    ]
    assert (batch.pair_special.sum(1) == 2).all()
    for anchor, positive in zip(rows[:4], rows[4:], strict=True):
        assert 0 < len(positive) <= len(anchor)
        left = iter(anchor)
        assert all(token in left for token in positive), "tokens stay in their order"
    early = MarkedBatch(**texts(backbone).make(Step(3, [0, 1, 2, 3])))
    assert float(early.alpha) == 0
    assert early.pair_ids.numel() == 0


@pytest.mark.parametrize("tuning", ["lora", "full"])
def test_training_lowers_the_loss_and_leaves_the_backbone_alone(make_tiny, tmp_path, tuning):
    backbone = make_tiny("llama")
    before = {name: weight.clone() for name, weight in backbone.model.state_dict().items()}
    shape, config = replace(SHAPE, tuning=tuning), replace(TINY, epochs=6, alpha=0.0)
    embedder = train(backbone, CORPUS, config, shape, output=tmp_path / "gem")
    log = [float(line.split('"loss_ntp": ')[1].split(",")[0]) for line in Run(tmp_path / "gem").log.open()]
    assert np.mean(log[-4:]) < 0.8 * np.mean(log[:4])
    assert all(torch.equal(w, before[n]) for n, w in backbone.model.state_dict().items())
    assert all(weight.grad is None for weight in backbone.model.parameters())
    assert (
        train(backbone, CORPUS, config, shape, output=tmp_path / "gem").fingerprint()
        == embedder.fingerprint()
    )


def test_an_interrupted_training_equals_an_uninterrupted_one(make_tiny, tmp_path, monkeypatch):
    from workbench.training import gem

    backbone = make_tiny("llama")
    straight = train(backbone, CORPUS, TINY, SHAPE, output=tmp_path / "a")
    plan = gem.GEMStep.forward
    calls = []

    def dying(self, **inputs):
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return plan(self, **inputs)

    monkeypatch.setattr(gem.GEMStep, "forward", dying)
    with pytest.raises(KeyboardInterrupt):
        train(backbone, CORPUS, TINY, SHAPE, output=tmp_path / "b")
    monkeypatch.setattr(gem.GEMStep, "forward", plan)
    resumed = train(backbone, CORPUS, TINY, SHAPE, output=tmp_path / "b")
    for name, tensor in straight.tensors().items():
        assert torch.equal(tensor, resumed.tensors()[name]), name


def test_the_learning_rate_has_two_peaks(make_tiny, tmp_path):
    import json

    config = replace(TINY, schedule="constant", warmup_steps=0)
    train(make_tiny("llama"), CORPUS, config, SHAPE, output=tmp_path / "gem")
    rates = [json.loads(line)["learning_rate"] for line in Run(tmp_path / "gem").log.open()]
    assert rates[0] == 1e-2
    assert rates[-1] == 5e-3


def test_what_cannot_be_trained_is_refused(make_tiny, tmp_path, monkeypatch):
    backbone = make_tiny("llama")
    plain = Corpus(QUERIES, [""] * len(QUERIES))
    with pytest.raises(UsageError, match="no responses"):
        texts(backbone, corpus=plain)
    with pytest.raises(UsageError, match="no summaries"):
        texts(backbone, replace(TINY, share_summary=1.0))
    with pytest.raises(WorkbenchError, match="empty"):
        texts(backbone, corpus=Corpus([], []))
    with pytest.raises(UsageError, match="all four tasks"):
        GEMTraining(share_insertion=0.0, share_reconstruction=0.0)
    with pytest.raises(UsageError, match="between 0 and 1"):
        GEMTraining(p=1.5)
    from workbench import leakage, masks

    monkeypatch.setattr(leakage, "to_additive", lambda mask, dtype: masks.to_additive(mask | True, dtype))
    with pytest.raises(WorkbenchError, match="does not hold"):
        train(backbone, CORPUS, TINY, SHAPE, output=tmp_path / "gem")
    assert not (tmp_path / "gem").exists()


def test_the_contrastive_loss_of_an_early_layer_leaves_later_blocks_alone(make_tiny):
    backbone = make_tiny("llama")
    embedder = GEM.untrained(backbone, replace(SHAPE, layer=1), seed=1)
    step = GEMStep(embedder)
    batch = texts(backbone, replace(TINY, alpha=1.0, alpha_start=0)).make(Step(0, [0, 1, 2, 3]))
    step(**batch).total.backward()
    moved = {name for name, weight in embedder.module.named_parameters() if weight.grad is not None}
    assert "tokens" in moved
    assert any("layers/0/" in name for name in moved)
    assert not any("layers/1/" in name for name in moved)


def test_a_layer_that_is_not_there_is_refused_before_anything_is_written(make_tiny, tmp_path):
    with pytest.raises(UsageError, match="layer 9 is asked for"):
        train(make_tiny("llama"), CORPUS, TINY, replace(SHAPE, layer=9), output=tmp_path / "gem")
    assert not (tmp_path / "gem").exists()
