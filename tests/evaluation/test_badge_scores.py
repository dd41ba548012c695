"""The protocol of the badges, on fakes whose every figure is known beforehand."""

import json

import pytest
import torch

from workbench.decoding.badge import Badge
from workbench.decoding.medium import Medium
from workbench.errors import WorkbenchError
from workbench.evaluation import trust as protocol
from workbench.fieldguide.exam import write_exam
from workbench.fieldguide.items import Item

QUERIES = ["one", "two", "three", "four"]


def said(blocks):
    """A block is read by its first number, which tells the query whatever its length."""
    return [QUERIES[int(row[0, 1] / row[0, 0]) % 4] if row[0, 0] > 0 else "noise" for row in blocks]


class FakeMedium(Medium):
    """Keeps a query's number in a block of two numbers."""

    name = ships_as = "fake"

    def represent(self, texts, *, batch_size=32):
        return torch.tensor([[[1.0, QUERIES.index(text)]] for text in texts]).reshape(-1, 1, 2)

    def decode(self, kept, *, max_new_tokens=64, batch_size=64):
        return said(kept)

    def vectors(self, kept):
        return kept

    def with_vectors(self, kept, blocks):
        return blocks

    kept_of = given = embedding = likelihood = None


class FakeJudge:
    """Knows its own texts; a block that is not of norm 2 or so is off the manifold."""

    def __init__(self, medium, reference):
        assert reference == "reference"

    def badges(self, blocks, texts, batch_size):
        made = []
        for own, block, text in zip(said(blocks), blocks, texts, strict=True):
            right, far = own == text, not 0.9 < float(block[0, 0]) < 1.1
            level = "off the manifold" if far else "high" if right else "doubtful"
            made.append(Badge(float(right), 0.25, 3.0 * right, 2.0 * right, 0.0, float(far), level))
        return made


@pytest.fixture
def measure(tmp_path, monkeypatch):
    write_exam([Item("smalltalk", query, "r", ("r",)) for query in QUERIES], tmp_path / "eval.jsonl")

    monkeypatch.setattr(protocol, "Judge", FakeJudge)
    return lambda **options: protocol.evaluate(FakeMedium(), "reference", data=tmp_path, **options)


def test_auroc_by_hand():
    """(2, 1) above, (2, 2) a tie, (3, 1) and (3, 2) above: 3.5 of 4."""
    assert protocol.auroc([2.0, 3.0], [1.0, 2.0]) == 0.875
    assert protocol.auroc([1.0], [2.0, 3.0]) == 0.0


def test_true_pairs_stand_against_shuffled_ones(measure):
    report = measure()
    assert report.auroc == {"score": 1.0, "cosine less null": 1.0, "likelihood gap": 1.0}
    true, shuffled = report.badges["true pairs"], report.badges["shuffled pairs"]
    assert (true.readings, true.cosine, true.null, true.gap, true.score) == (4, 1.0, 0.25, 3.0, 2.0)
    assert (true.levels["high"], true.flagged) == (1.0, 0.0)
    assert (shuffled.levels["doubtful"], shuffled.flagged, shuffled.score) == (1.0, 1.0, 0.0)


def test_blocks_of_other_lengths_are_read_and_counted(measure):
    badges = measure(items=3).badges
    for name in ("norm x 0.25", "norm x 4"):
        assert badges[name].readings == 3
        assert badges[name].levels["off the manifold"] == 1.0
        assert badges[name].score == 2.0, "the text is the one decoded from the block itself"


def test_unencoded_blocks_have_what_they_are_named_after():
    blocks = 3 + torch.randn(400, 2, 5, generator=torch.Generator().manual_seed(1)) * torch.arange(1.0, 6)
    made = protocol.unencoded(blocks, seed=0)
    assert torch.equal(made["norm x 0.25"], blocks / 4)
    assert torch.equal(made["norm x 4"], blocks * 4)
    same_norm, matched = list(made.values())[2:]
    torch.testing.assert_close(
        same_norm.square().sum(dim=-1).mean().sqrt(), blocks.norm(dim=-1).mean(), rtol=0.05, atol=0
    )
    assert same_norm.mean().abs() < 0.1 * blocks.mean()
    torch.testing.assert_close(matched.mean(dim=0), blocks.mean(dim=0), atol=0.9, rtol=0)
    torch.testing.assert_close(matched.std(dim=0), blocks.std(dim=0), rtol=0.15, atol=0)
    assert not torch.equal(same_norm, protocol.unencoded(blocks, seed=1)["random, same mean norm"])


def test_the_report_prints_and_goes_to_json(measure):
    report = measure()
    assert "| score | 1.000 |" in report.table()
    assert "| true pairs | 4 | 1.00 (0.25) | +3.00 | +2.0 | 1.000 | 0.000 | 0.000 | 0.000 |" in report.table()
    values = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert values["badges"]["norm x 4"]["levels"]["off the manifold"] == 1.0


def test_an_exam_that_decodes_to_one_text_cannot_be_shuffled(measure, monkeypatch):
    monkeypatch.setattr(FakeMedium, "decode", lambda *_, **__: ["same"] * 4)
    with pytest.raises(WorkbenchError, match="there are no shuffled pairs"):
        measure()
