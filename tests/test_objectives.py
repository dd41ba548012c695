"""Losses against arithmetic done by hand."""

import math

import pytest
import torch

from workbench.objectives import alignment_loss, reconstruction_loss


def test_alignment_mean_and_sum_by_hand():
    embedding = torch.tensor([[1.0, 2.0], [0.0, 0.0]])
    target = torch.tensor([[0.0, 0.0], [3.0, 0.0]])
    # squared differences: 1, 4 and 9, 0; mean of four 14/4, mean over the batch of the sums (5 + 9) / 2
    assert alignment_loss(embedding, target).item() == pytest.approx(3.5)
    assert alignment_loss(embedding, target, "sum").item() == pytest.approx(7.0)


def test_alignment_gradient_by_hand():
    embedding = torch.tensor([[1.0, 2.0]], requires_grad=True)
    alignment_loss(embedding, torch.zeros(1, 2)).backward()
    assert embedding.grad is not None
    assert embedding.grad.tolist() == [[1.0, 2.0]]  # 2 x / 2 dimensions


def test_reconstruction_by_hand():
    hidden = torch.tensor([[[0.0, math.log(3)], [math.log(3), 0.0], [5.0, 5.0]]])
    labels = torch.tensor([[1, 1, -100]])
    # softmax is (1/4, 3/4) then (3/4, 1/4); both want token 1: (ln 4/3 + ln 4) / 2; the third position is padding
    expected = (math.log(4 / 3) + math.log(4)) / 2
    assert reconstruction_loss(hidden, labels, lambda h: h).item() == pytest.approx(expected)


def test_every_token_counts_once_whatever_its_row():
    torch.manual_seed(0)
    hidden, labels = torch.randn(2, 3, 5), torch.tensor([[1, 2, 3], [4, -100, -100]])
    flat = torch.cat([hidden[0], hidden[1, :1]])[None]
    together = reconstruction_loss(flat, torch.tensor([[1, 2, 3, 4]]), lambda h: h)
    assert reconstruction_loss(hidden, labels, lambda h: h).item() == pytest.approx(together.item())


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize("chunk", [1, 3, 4, 100])
def test_chunks_change_neither_loss_nor_gradient(chunk, frozen):
    torch.manual_seed(0)
    head = torch.nn.Linear(6, 11).requires_grad_(not frozen)
    labels = torch.randint(0, 11, (2, 5))
    labels[1, 3:] = -100
    start = torch.randn(2, 5, 6)
    results = []
    for size in (0, None, chunk):
        hidden = start.clone().requires_grad_()
        if size == 0:  # the reference: torch's own loss, and autograd's gradient of it
            loss = torch.nn.functional.cross_entropy(head(hidden).flatten(0, 1), labels.flatten())
        else:
            loss = reconstruction_loss(hidden, labels, head, chunk=size)
        (3 * loss).backward()
        results.append((loss.item(), hidden.grad, head.weight.grad))
        head.zero_grad()
    for found in results[1:]:
        assert results[0][0] == pytest.approx(found[0], abs=1e-6)
        torch.testing.assert_close(results[0][1], found[1], atol=1e-6, rtol=0)
        if frozen:
            assert found[2] is None
        else:
            torch.testing.assert_close(results[0][2], found[2], atol=1e-6, rtol=0)


def test_a_frozen_head_sees_every_position_once():
    seen = []

    def head(hidden):
        seen.append(len(hidden))
        return hidden

    hidden = torch.randn(2, 5, 6, requires_grad=True)
    reconstruction_loss(hidden, torch.ones(2, 5, dtype=torch.long), head, chunk=4).backward()
    assert seen == [1, 4, 4, 2]  # one to find out that it is frozen, then the ten, and none of them again


def test_chunks_never_hold_the_logits_of_all_positions():
    seen = []

    def head(hidden):
        seen.append(len(hidden))
        return hidden

    hidden = torch.randn(2, 5, 6, requires_grad=True)
    reconstruction_loss(hidden, torch.ones(2, 5, dtype=torch.long), head, chunk=4).backward()
    assert max(seen) == 4


def test_positions_without_a_label_get_no_logits():
    seen = []
    reconstruction_loss(
        torch.randn(1, 4, 3), torch.tensor([[0, -100, 2, -100]]), lambda h: (seen.append(len(h)), h)[1]
    )
    assert seen == [2]


def test_nothing_to_predict_is_an_error():
    with pytest.raises(ValueError, match="nothing to predict"):
        reconstruction_loss(torch.randn(1, 2, 3), torch.full((1, 2), -100), lambda h: h)
