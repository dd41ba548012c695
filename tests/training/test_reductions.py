"""Losses that several processes share, by hand: what one of two processes computes, the other's numbers given."""

import math
from contextlib import contextmanager

import pytest
import torch
import torch.distributed as dist

from workbench.objectives import IGNORED, contrastive_loss
from workbench.processes import Processes
from workbench.training import reductions
from workbench.training.reductions import mean_over_all, rows_of_all, token_loss_over_all


@contextmanager
def process(index, *, sums=None, rows=None):
    """Inside, this is process `index` of two; `sums` are what the other adds, in turn, `rows` are the rows of both."""

    def all_reduce(whole):
        whole += torch.tensor(sums.pop(0), dtype=whole.dtype)

    def all_gather(parts, own):
        if own.dtype == torch.long:
            assert int(own) == len(rows[index])
            given = [torch.tensor([len(part)]) for part in rows]
        else:
            given = [torch.zeros_like(own) for _ in rows]
            for padded, part in zip(given, rows, strict=True):
                padded[: len(part)] = part.detach()
            assert torch.equal(given[index], own)
        for part, value in zip(parts, given, strict=True):
            part.copy_(value)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reductions, "here", lambda: Processes(index, 2, index))
        patch.setattr(dist, "all_reduce", all_reduce)
        patch.setattr(dist, "all_gather", all_gather)
        yield


def test_a_mean_counts_every_term_once_wherever_it_is():
    """Three tokens of mean 2 here, one token of loss 5 there: (6 + 5) / 4 = 2.75, not (2 + 5) / 2.

    What each sends through its own mean is twice its share of the tokens, and the average of both its share: 3/4, 1/4.
    """
    here, there = torch.tensor(2.0, requires_grad=True), torch.tensor(5.0, requires_grad=True)
    with process(0, sums=[[1], 5 / 4]):
        whole = mean_over_all(here, torch.tensor(3))
        whole.backward()
    with process(1, sums=[[3], 6 / 4]):
        same = mean_over_all(there, torch.tensor(1))
        same.backward()
    assert whole.item() == same.item() == 2.75
    assert here.grad is not None
    assert there.grad is not None
    assert (here.grad / 2).item() == 0.75
    assert (there.grad / 2).item() == 0.25


def test_one_process_gets_back_what_it_gave():
    mean, rows = torch.tensor(1.0) / 3, torch.rand(3, 2)
    assert mean_over_all(mean, torch.tensor(7)) is mean
    assert rows_of_all(rows) is rows


def test_a_process_without_a_labelled_token_counts_nothing_and_still_has_a_gradient(tiny_backbone):
    states = torch.rand(1, 3, 32, requires_grad=True)
    labels = torch.full((1, 3), IGNORED)
    with process(1, sums=[[4], 1.5]):
        loss = token_loss_over_all(tiny_backbone, states, labels)
        loss.backward()
    assert loss.item() == 1.5
    assert states.grad is not None
    assert not states.grad.any()
    with process(0, sums=[[0]]), pytest.raises(ValueError, match="no mean loss"):
        mean_over_all(torch.tensor(0.0), torch.tensor(0))


def test_token_losses_are_weighted_by_tokens(tiny_backbone):
    """Two rows with one and three labelled tokens, split over two processes, against both in one."""
    torch.manual_seed(0)
    states = torch.randn(2, 3, 32)
    labels = torch.tensor([[5, IGNORED, IGNORED], [7, 8, 9]])
    whole = states.clone().requires_grad_()
    expected = token_loss_over_all(tiny_backbone, whole, labels)
    expected.backward()
    assert whole.grad is not None
    own = [states[row : row + 1].clone().requires_grad_() for row in range(2)]
    shares = [
        (
            count,
            count / 4 * float(token_loss_over_all(tiny_backbone, own[row].detach(), labels[row : row + 1])),
        )
        for row, count in ((0, 1), (1, 3))
    ]
    for row in range(2):
        count, share = shares[1 - row]
        with process(row, sums=[[count], share]):
            loss = token_loss_over_all(tiny_backbone, own[row], labels[row : row + 1])
            loss.backward()
        assert loss.item() == pytest.approx(expected.item(), abs=1e-6)
        assert own[row].grad is not None
        torch.testing.assert_close(own[row].grad / 2, whole.grad[row : row + 1], atol=1e-6, rtol=1e-5)


def test_rows_of_unequal_parts_and_their_gradients():
    """One row here, two there, none of a third kind of padding: sum of 1x, 2x and 3x the rows."""
    here = torch.tensor([[1.0, 2.0]], requires_grad=True)
    there = torch.tensor([[3.0, 4.0], [5.0, 6.0]], requires_grad=True)
    weights = torch.tensor([[1.0], [2.0], [3.0]])
    for index, own in enumerate((here, there)):
        with process(index, rows=[here, there]):
            rows = rows_of_all(own)
            (weights * rows).sum().backward()
        assert rows.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert here.grad is not None
    assert there.grad is not None
    assert (here.grad / 2).tolist() == [[1, 1]]
    assert (there.grad / 2).tolist() == [[2, 2], [3, 3]]
    nothing = torch.zeros(0, 2, requires_grad=True)
    with process(1, rows=[here, nothing]):
        rows = rows_of_all(nothing)
        rows.sum().backward()
    assert rows.tolist() == [[1, 2]]
    assert nothing.grad is not None
    assert nothing.grad.shape == (0, 2)


def test_negatives_come_from_all_processes():
    """Anchors (1,0) here and (0,1) there, positives (1,0) and (1,0), scale 2, as in the loss by hand of GEM's tests."""
    anchors, positives = torch.eye(2), torch.tensor([[3.0, 0.0], [1.0, 0.0]])
    scale = torch.tensor(2.0, requires_grad=True)
    wanted = (-math.log(math.exp(2) / (math.exp(2) + 1)) + math.log(2)) / 2
    whole = positives.clone().requires_grad_()
    contrastive_loss(anchors, whole, torch.tensor(2.0)).backward()
    assert whole.grad is not None
    for index in range(2):
        own = positives[index : index + 1].clone().requires_grad_()
        with process(index, rows=[anchors[:1], anchors[1:]]):
            left = rows_of_all(anchors[index : index + 1])
        with process(index, rows=[positives[:1], positives[1:]]):
            right = rows_of_all(own)
            loss = contrastive_loss(left, right, scale)
            loss.backward()
        assert loss.item() == pytest.approx(wanted, abs=1e-6)
        assert own.grad is not None
        torch.testing.assert_close(own.grad / 2, whole.grad[index : index + 1])
