"""A batch in parts trains as the whole batch does, and holds no more than one part at a time."""

import pytest
import torch

from workbench import objectives
from workbench.backbone import kernels, model
from workbench.backbone.portions import StepPlan, Widths
from workbench.embedders import llm2vec_gen
from workbench.embedders.config import LLM2VecGenConfig
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.masks import causal_rows
from workbench.training import llm2vec_gen_step, parts
from workbench.training.batches import Batch, Examples
from workbench.training.config import LLM2VecGenTraining
from workbench.training.llm2vec_gen_step import TrainingStep

QUERIES = [[5, 6, 7, 8, 9, 10], [11], [12, 13], [14, 15, 16], [], [17, 18]]
RESPONSES = [[20, 3], [21, 22, 23, 24, 25, 3], [26, 3], [3], [27, 28, 3], [29, 30, 31, 3]]


def subject(backbone, **recipe):
    config = LLM2VecGenTraining(**recipe)
    shape = LLM2VecGenConfig(n_compression=2, n_thought=1, dimension=7, lora_rank=config.lora_rank)
    embedder = LLM2VecGen.untrained(backbone, shape)
    with torch.no_grad():
        for weight in embedder.module.parameters():
            weight += 0.05 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))
    targets = torch.randn(len(QUERIES), 7, generator=torch.Generator().manual_seed(2))
    examples = Examples(backbone, QUERIES, RESPONSES, targets, 0, 0)
    return TrainingStep(embedder, config), examples.batch(list(range(len(QUERIES))))


def trained(step, batch, scale=1.0):
    losses = step(**batch)
    (scale * losses.total).backward()
    gradients = [weight.grad.clone() for weight in step.parameters()]
    step.zero_grad()
    return torch.stack([part.detach() for part in losses]), gradients


def in_parts(monkeypatch, *plan):
    monkeypatch.setattr(llm2vec_gen_step, "plan_step", lambda backbone, widths, labelled: StepPlan(*plan))


@pytest.mark.parametrize("plan", [(1, 1), (2, 2), (3, 2), (6, 2), (6, 1, 1), (6, 6, 2), (4, 4, 1)])
@pytest.mark.parametrize(
    "recipe", [{}, {"align_reduction": "sum", "w_align": 0.3}, {"w_recon": 0.0}, {"lora_rank": 2}]
)
def test_parts_give_the_losses_and_gradients_of_the_whole(make_tiny, monkeypatch, recipe, plan):
    step, batch = subject(make_tiny("qwen3"), **recipe)
    whole, wanted = trained(step, batch, scale=0.5)
    monkeypatch.setattr(kernels, "SHORT", 0)  # a block that is read again meets the kernel of a GPU
    in_parts(monkeypatch, *plan)
    losses, gradients = trained(step, batch, scale=0.5)
    torch.testing.assert_close(losses, whole, atol=1e-6, rtol=1e-6)
    for gradient, expected in zip(gradients, wanted, strict=True):
        scale = expected.abs().max().clamp(min=1e-12)
        torch.testing.assert_close(gradient / scale, expected / scale, atol=1e-5, rtol=0)


@pytest.mark.parametrize("plan", [(6, 2), (3, 3, 1)])
def test_a_step_as_a_gpu_takes_it_is_the_same_step(make_tiny, monkeypatch, plan):
    """One kernel a norm, masks of our own, blocks read again, parts of parts: everything together."""
    backbone = make_tiny("qwen3")
    step, batch = subject(backbone)
    whole, wanted = trained(step, batch)
    assert kernels.fuse_norms(backbone.model) == 9
    monkeypatch.setattr(kernels, "SHORT", 0)
    monkeypatch.setattr(model, "needs_mask", lambda backbone: True)
    monkeypatch.setattr(llm2vec_gen, "unasked_mask", lambda backbone, mask, length: causal_rows(mask, length))
    in_parts(monkeypatch, *plan)
    losses, gradients = trained(step, batch)
    torch.testing.assert_close(losses, whole, atol=1e-5, rtol=1e-5)
    for gradient, expected in zip(gradients, wanted, strict=True):
        scale = expected.abs().max().clamp(min=1e-12)
        torch.testing.assert_close(gradient / scale, expected / scale, atol=1e-4, rtol=0)


def test_a_step_lets_go_of_its_cache_asks_for_masks_and_reads_again(make_tiny, monkeypatch):
    """What a GPU gains by, and no result shows: each way is taken, as often as there are parts."""
    step, batch = subject(make_tiny("llama"))
    called = []

    def watch(module, name):
        known = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *given: called.append((name, given)) or known(*given))

    for name in ("let_go", "unasked_mask"):
        watch(llm2vec_gen, name)
    watch(llm2vec_gen_step, "read_again")
    monkeypatch.setattr(objectives, "labelled", lambda _: pytest.fail("asked once more where labels are"))
    in_parts(monkeypatch, 3, 3, 1)
    step(**batch).total.backward()
    names = [name for name, _ in called]
    assert {name: names.count(name) for name in names} == {"unasked_mask": 4, "let_go": 2, "read_again": 2}
    assert [given[1] for name, given in called if name == "read_again"] == [1, 1]


@pytest.mark.parametrize(("rank", "query"), [(0, 0.15 * 6), (2, 6.0)])
def test_queries_cost_their_keys_and_values_or_with_a_lora_all(make_tiny, monkeypatch, rank, query):
    step, batch = subject(make_tiny("llama"), lora_rank=rank)
    seen = []
    monkeypatch.setattr(
        llm2vec_gen_step,
        "plan_step",
        lambda _, widths, labelled: seen.append((widths, labelled)) or StepPlan(6, 6),
    )
    step(**batch)
    assert seen == [(Widths(6, 3, pytest.approx(query), 2 + 6), 36)]
    seen.clear()
    step._backbone[0].sharded = True
    step(**batch)
    assert not seen, "spread blocks run as often in every process: no plan, one part"


def test_no_gradients_are_taken_where_none_are_recorded(make_tiny, monkeypatch):
    step, batch = subject(make_tiny("llama"))
    with torch.no_grad():
        whole = step(**batch)
        in_parts(monkeypatch, 1, 1)
        losses = step(**batch)
    torch.testing.assert_close(torch.stack(losses), torch.stack(whole), atol=1e-6, rtol=1e-6)
    assert not losses.total.requires_grad


def test_parts_lose_their_common_padding_and_keep_every_token(make_tiny):
    _, batch = subject(make_tiny("llama"))
    found = parts.split(Batch(**batch), 2)
    assert [len(part.targets) for part in found] == [2, 2, 2]
    assert [part.query_ids.shape[1] for part in found] == [6, 3, 2]
    assert [part.response_ids.shape[1] for part in found] == [6, 2, 4]
    for column, mask in (("query_ids", "query_mask"), ("response_ids", "labels")):
        kept = [getattr(part, column)[_real(getattr(part, mask))] for part in found]
        assert torch.equal(torch.cat(kept), batch[column][_real(batch[mask])])


def _real(mask):
    return mask if mask.dtype == torch.bool else mask != -100


def test_a_batch_that_fits_is_one_part_and_others_are_even(make_tiny):
    _, batch = subject(make_tiny("llama"))
    (whole,) = parts.split(Batch(**batch), 6)
    assert torch.equal(whole.query_ids, batch["query_ids"])
    assert [len(part.targets) for part in parts.split(Batch(**batch), 5)] == [3, 3]


def test_the_graph_of_a_part_is_gone_before_the_next_one(make_tiny, monkeypatch):
    """Cubes keep their base for the backward pass: with parts of one row, never more than one row is kept."""
    alive, most = set(), []

    class Watched(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            alive.add(id(ctx))
            most.append(len(alive))
            return x**3

        @staticmethod
        def backward(ctx, gradient):
            alive.discard(id(ctx))
            return gradient

    weight = torch.ones(2, requires_grad=True)
    (total,) = parts.summed(lambda part: [Watched.apply(weight * part).sum()], [1.0, 2.0, 3.0], [weight])
    assert (total.item(), max(most), alive) == (2 * (1 + 8 + 27), 1, set())
    total.backward()
    assert weight.grad.tolist() == [6.0, 6.0]  # 1 + 2 + 3, by Watched's own backward pass
