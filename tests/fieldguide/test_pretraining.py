"""Pretraining: token batches and the weighted loss by hand, and an interrupted run against an uninterrupted one."""

import pytest
import torch
import torch.nn.functional as F
from transformers import TrainingArguments

from workbench.fieldguide.pretraining import (
    PretrainingConfig,
    PretrainingTrainer,
    TokenBatches,
    make_model,
    pretrain,
)
from workbench.fieldguide.tokenizer import ASSISTANT, END, chat_text, train_tokenizer

TEXTS = [chat_text(f"What is {a}?", f"It is {b}.") for a in "abcdefgh" for b in ("red", "blue", "green")] + [
    "Red is a color." + END
]
TINY = PretrainingConfig(
    hidden_size=16,
    layers=1,
    intermediate_size=16,
    heads=2,
    vocabulary=300,
    steps=6,
    batch_size=4,
    warmup_steps=1,
    exam_every=100,
)
TOKENIZER = train_tokenizer(TEXTS, 300)


def test_the_tokenizer_round_trips_any_text_and_knows_its_markers():
    ids = TOKENIZER(chat_text("Ça va? 日本  x", "It is.")).input_ids
    assert TOKENIZER.decode(ids) == chat_text("Ça va? 日本  x", "It is.")
    assert ids[-1] == TOKENIZER.eos_token_id
    asked = TOKENIZER.apply_chat_template(
        [{"role": "user", "content": "Hi"}], add_generation_prompt=True, tokenize=False
    )
    assert asked + "Hello" + END == chat_text("Hi", "Hello")


def test_weights_are_one_on_the_response_and_small_on_the_query():
    batches = TokenBatches(
        [TEXTS[0], TEXTS[-1]], TOKENIZER, PretrainingConfig(batch_size=2, query_weight=0.25)
    )
    batch = batches[0]
    assistant = TOKENIZER.convert_tokens_to_ids(ASSISTANT)
    for ids, weight in zip(batch["input_ids"].tolist(), batch["weight"].tolist(), strict=True):
        real = [i for i, token in enumerate(ids) if token != TOKENIZER.pad_token_id]
        start = ids.index(assistant) if assistant in ids else -1
        expected = [0.0 if i not in real else (0.25 if i <= start else 1.0) for i in range(len(ids))]
        assert weight == expected


def test_the_loss_is_the_weighted_mean_of_the_cross_entropies(tmp_path):
    model = make_model(TOKENIZER, TINY)
    batch = TokenBatches(TEXTS, TOKENIZER, TINY)[0]
    trainer = PretrainingTrainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(tmp_path), report_to=[], use_cpu=not torch.accelerator.is_available()
        ),
    )
    total = count = 0.0
    for row, weight in zip(batch["input_ids"], batch["weight"], strict=True):
        length = int((weight > 0).sum())
        logits = model(input_ids=row[None, :length]).logits[0].detach()
        for t in range(length - 1):
            total += float(F.cross_entropy(logits[t], row[t + 1])) * float(weight[t + 1])
            count += float(weight[t + 1])
    assert abs(float(trainer.compute_loss(model, batch).detach()) - total / count) < 1e-5


def test_an_interrupted_pretraining_equals_an_uninterrupted_one(tmp_path, monkeypatch):
    from workbench.fieldguide import pretraining

    monkeypatch.setattr(pretraining, "SAVE_STEPS", 2)
    texts = TEXTS[:24]
    batches = TokenBatches(texts, TOKENIZER, TINY)
    straight = pretrain(batches, TOKENIZER, TINY, tmp_path / "a", lambda model: 0.0)

    class Killed(Exception):
        pass

    def killer(model):
        raise Killed

    killed = PretrainingConfig(**{**TINY.__dict__, "exam_every": 4})
    try:
        pretrain(batches, TOKENIZER, killed, tmp_path / "b", killer)
        raise AssertionError("the run was not interrupted")
    except Killed:
        pass
    resumed = pretrain(batches, TOKENIZER, TINY, tmp_path / "b", lambda model: 0.0)
    for (name, a), b in zip(straight.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_early_stopping_ends_the_run_when_the_exam_is_passed(tmp_path):
    config = PretrainingConfig(**{**TINY.__dict__, "exam_every": 2, "target": 0.5})
    sittings = []
    pretrain(
        TokenBatches(TEXTS, TOKENIZER, config),
        TOKENIZER,
        config,
        tmp_path,
        lambda model: sittings.append(1) or 0.6,
    )
    assert len(sittings) == 1


def test_the_exam_is_sat_by_the_weights_in_training_and_leaves_them_alone(tmp_path):
    from workbench.backbone import Backbone

    config = PretrainingConfig(**{**TINY.__dict__, "exam_every": 3})
    seen = []

    def sit(model):
        backbone = Backbone.wrap(model, TOKENIZER)
        ids = torch.tensor([TOKENIZER(TEXTS[0]).input_ids])
        batch = backbone.pad(ids.tolist())
        own = backbone.logits(
            backbone.hidden(backbone.embed(batch.ids), mask=batch.mask, positions=batch.positions).last
        )
        seen.append(float((own - model(input_ids=ids).logits).abs().max()))
        return 0.0

    trained = pretrain(TokenBatches(TEXTS, TOKENIZER, config), TOKENIZER, config, tmp_path / "a", sit)
    plain = pretrain(TokenBatches(TEXTS, TOKENIZER, TINY), TOKENIZER, TINY, tmp_path / "b", lambda model: 0.0)
    assert seen
    assert max(seen) < 1e-5
    assert all(
        torch.equal(a, b)
        for a, b in zip(trained.state_dict().values(), plain.state_dict().values(), strict=True)
    )


def test_a_build_does_not_go_on_from_one_of_another_size(tmp_path, monkeypatch):
    from workbench.errors import WorkbenchError
    from workbench.fieldguide import build

    class BegunError(Exception):
        pass

    def begin(tables, config, work, progress):
        raise BegunError(config.hidden_size, config.steps)

    monkeypatch.setattr(build, "_train", begin)
    small = PretrainingConfig(hidden_size=64, heads=1, layers=2, steps=7)
    with pytest.raises(BegunError, match=r"\(64, 7\)"):
        build.build(tmp_path, config=small, progress=False)
    with pytest.raises(WorkbenchError, match="unfinished build of another configuration"):
        build.build(tmp_path, steps=7, progress=False)
    (tmp_path / ".build" / "config.json").write_text('{"steps": 7')
    with pytest.raises(WorkbenchError, match=r"\.build/config\.json: not valid JSON"):
        build.build(tmp_path, config=small, progress=False)
