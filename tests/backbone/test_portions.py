"""How much is held at once: by hand, for the sizes of real models; what is read again gives what is kept."""

from types import SimpleNamespace

import pytest
import torch
from devices import elsewhere

from workbench.backbone import kernels, portions
from workbench.backbone.portions import StepPlan, Widths

LARGE = {"num_hidden_layers": 28, "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128}
LARGE |= {"intermediate_size": 3072}
BLOCK = 15_730_944
"""Parameters of a block of Qwen3-0.6B: 5 matrices of 1024 x 2048, 3 of 1024 x 3072, norms of 2 x 1024 and 2 x 128."""


def large(monkeypatch, dtype, memory=80 * 2**30, **changes):
    """Qwen3-0.6B on a GPU, by its numbers."""
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(total_memory=memory))
    config = SimpleNamespace(**LARGE | changes)
    weights = SimpleNamespace(numel=lambda: BLOCK)
    return SimpleNamespace(
        device=torch.device("cuda"),
        dtype=dtype,
        sharded=False,
        hidden_size=1024,
        vocab_size=151_936,
        layers=[SimpleNamespace(parameters=lambda: [weights])] * 28,
        model=SimpleNamespace(config=SimpleNamespace(get_text_config=lambda: config)),
    )


def widths(query, response, rows=32):
    return Widths(rows, 10, portions.QUERY_SHARE * query, 10 + response)


def test_a_block_of_the_large_model_has_so_many_weights():
    assert BLOCK == 1024 * 128 * (16 + 8 + 8 + 16) + 3 * 1024 * 3072 + 2 * 1024 + 2 * 128


def test_a_cpu_holds_a_thousand_positions(tiny_backbone, monkeypatch):
    # a row has 10 + 0.15 * 32 + 74 = 88.8 positions: 12 rows begin within 1,024, 93 within 8,192
    assert portions.plan_step(tiny_backbone, widths(32, 64), 2048) == StepPlan(12, 12)
    assert portions.plan_step(tiny_backbone, widths(32, 64, rows=7), 448) == StepPlan(7, 7)
    apple = elsewhere(tiny_backbone, "mps", 0, monkeypatch)
    assert portions.plan_step(apple, widths(32, 64, rows=200), 12_800) == StepPlan(93, 93)


def test_a_gpu_holds_a_part_of_what_the_logits_would_take(monkeypatch):
    backbone = large(monkeypatch, torch.bfloat16)
    graph = 28 * 3 * (1024 + 16 * 128 + 8 * 128 + 3072) * 2
    assert portions.graph_bytes(backbone) == graph
    assert portions.held_at_once(backbone, 2048) == int(0.6 * 3 * 4 * 2048 * 151_936 / graph)  # 1,859
    assert portions.held_at_once(backbone, 10**6) == int(0.25 * 80 * 2**30 / graph)  # a quarter of the card
    assert portions.held_at_once(backbone, 1) == 1024


def test_a_gpu_reads_as_many_blocks_again_as_do_not_fit(monkeypatch):
    backbone = large(monkeypatch, torch.bfloat16)
    # 1,859 positions; specials and queries take 32 * 14.8, responses 32 * 74: (1,859 - 473.6) / 2,368 = 0.585 of them,
    # of which a block's input is 1024 / 21,504 = 0.048; so 0.564 of 28 blocks are kept: 15
    assert portions.plan_step(backbone, widths(32, 64), 2048) == StepPlan(32, 32, 13)
    # queries of 256 take 32 * 48.4 of them, and leave 310 for the responses' 2,368: 2 blocks
    assert portions.plan_step(backbone, widths(256, 64), 2048) == StepPlan(32, 32, 26)
    # 1,024 / (48.4 + 0.048 * 74) are 19 rows: two parts of 16, whose responses have 250 of 1,184: 4 blocks
    single = large(monkeypatch, torch.float32)
    assert portions.plan_step(single, widths(256, 64), 2048) == StepPlan(16, 16, 24)
    few = large(monkeypatch, torch.bfloat16)
    assert portions.plan_step(few, widths(32, 64, rows=2), 128) == StepPlan(2, 2, 0)


def test_responses_that_keep_a_gpu_busy_follow_each_other(monkeypatch):
    backbone = large(monkeypatch, torch.float32)
    # 3,720 positions times two operations of each of a block's weights are 1.2e11: more than 5e10. Queries take
    # 32 * 19.6, and 11 responses of 266 the rest: three parts of 11, 11 and 10
    assert portions.held_at_once(backbone, 8192) == 3720
    assert portions.plan_step(backbone, widths(64, 256), 8192) == StepPlan(32, 11)
    # where queries would take more than half, they are read in parts too: 1,860 / (10 + 0.15 * 2500) = 4 rows
    assert portions.plan_step(backbone, widths(2500, 256), 8192) == StepPlan(4, 4)
    backbone.sharded, backbone.dtype = True, torch.bfloat16
    assert portions.plan_step(backbone, widths(32, 64), 2048).again == 0


@pytest.mark.parametrize(
    ("rows", "fitting", "expected"), [(32, 22.9, 16), (32, 40.0, 32), (32, 0.3, 1), (7, 3.0, 3)]
)
def test_parts_are_few_and_even(rows, fitting, expected):
    assert portions.evenly(rows, fitting) == expected


def test_a_gpu_reads_many_positions_at_once(tiny_backbone, monkeypatch):
    assert portions.read_at_once(tiny_backbone) is None
    assert portions.read_at_once(elsewhere(tiny_backbone, "cuda", 10**12, monkeypatch)) == 8192
    one = portions.graph_bytes(tiny_backbone) / 2 + 2 * 2 * 32 * 4  # a block's work; keys and values of two
    card = int(one * 32 * 3_000)
    assert portions.read_at_once(elsewhere(tiny_backbone, "cuda", card, monkeypatch)) in (2_999, 3_000)


def kept_bytes(backbone, work):
    """What `work` keeps for its backward pass, weights left out."""
    kept, weights = {}, {weight.untyped_storage().data_ptr() for weight in backbone.model.parameters()}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        found = work()
    return found, sum(size for place, size in kept.items() if place not in weights)


@pytest.mark.parametrize("cast", [False, True])
@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma2", "gpt2", "gpt_neox", "phi3"])
def test_blocks_that_are_read_again_keep_less_and_give_the_same(make_tiny, monkeypatch, family, cast):
    monkeypatch.setattr(kernels, "SHORT", 0)  # or attention has another kernel the second time
    backbone = make_tiny(family)
    ids = torch.arange(3, 43).reshape(2, 20)
    found = []
    for again in (False, True):
        inputs = backbone.embed(ids).detach().requires_grad_()
        with portions.read_again(backbone, 2 if again else 0), torch.autocast("cpu", enabled=cast):
            last, kept = kept_bytes(backbone, lambda: backbone.hidden(inputs).last)  # noqa: B023
        (last * torch.linspace(-1, 1, last.numel()).reshape(last.shape).cos()).sum().backward()
        found.append((last.detach(), inputs.grad, kept))
    (last, gradient, kept), (other, same, less) = found
    torch.testing.assert_close(other, last, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(same, gradient, atol=1e-5, rtol=1e-5)
    assert less < kept / 3


@pytest.mark.parametrize("shared", [False, True])
def test_a_block_that_is_given_more_with_gradients_keeps_its_graph(tiny_backbone, shared):
    weight, store = torch.ones(2, requires_grad=True), {}

    def own(states, other, store=None):
        if store is not None:
            store["kept"] = states * 3
        return states * other

    states = torch.tensor([2.0, 5.0], requires_grad=True)
    plain = portions._run_again(own, states * 1, weight.detach())
    assert "Again" in type(plain.grad_fn).__name__
    given = {"store": store} if shared else {}
    out = portions._run_again(own, states * 1, weight.detach() if shared else weight, **given)
    assert "Again" not in type(out.grad_fn).__name__
    (store["kept"] if shared else out).sum().backward()
    assert (states.grad.tolist(), weight.grad is None) == ([3.0, 3.0] if shared else [1.0, 1.0], shared)
    if not shared:
        assert weight.grad.tolist() == [2.0, 5.0]


class PerLayer:
    """A configuration of which every layer has its own sizes, as newer families have."""

    num_hidden_layers, num_attention_heads, num_key_value_heads = 2, 4, 2
    intermediate_size = [64, 128]  # noqa: RUF012
    rope_theta = 1e4

    @property
    def head_dim(self):
        raise RuntimeError("ambiguous: ask a layer")

    sliding_window = head_dim


def test_sizes_that_a_configuration_does_not_name_for_all_layers_stop_nothing(tiny_backbone, monkeypatch):
    def size(config):
        model = SimpleNamespace(config=SimpleNamespace(get_text_config=lambda: config))
        gpu = elsewhere(tiny_backbone, "cuda", 10**9, monkeypatch, model=model)
        assert portions.read_at_once(gpu) >= 1024
        assert not kernels.needs_mask(gpu)
        return portions.graph_bytes(gpu)

    assert (
        size(PerLayer()) == 2 * 3 * (32 + 32 + 16 + 128) * 4
    )  # heads of 32 / 4 numbers, the largest feed-forward
    assert size(SimpleNamespace(num_hidden_layers=2)) == 2 * 3 * (32 + 32 + 32 + 128) * 4  # a state space's


def test_only_the_first_blocks_are_read_again_and_those_keep_their_own_forward(make_tiny):
    backbone = make_tiny("llama")
    first, second = backbone.layers
    own = first.forward
    first.forward = own
    with portions.read_again(backbone, 1):
        assert vars(first)["forward"] is not own
        assert "forward" not in vars(second)
    with pytest.raises(KeyError, match="lost"), portions.read_again(backbone, 2):
        raise KeyError("lost")
    assert vars(first)["forward"] is own
    assert "forward" not in vars(second)


@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_the_graph_of_a_position_is_about_as_large_as_estimated(make_tiny, family):
    backbone, kept = make_tiny(family), {}

    def keep(tensor):
        if tensor.numel() and not isinstance(tensor, torch.nn.Parameter):
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    weights = {weight.untyped_storage().data_ptr() for weight in backbone.model.parameters()}
    rows, length = 8, 40
    inputs = torch.randn(rows, length, backbone.hidden_size, requires_grad=True)
    mask = torch.ones(rows, length, dtype=torch.bool)
    positions = torch.arange(length).expand(rows, -1)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        last = backbone.hidden(inputs, mask=mask, positions=positions).last
    used = sum(size for place, size in kept.items() if place not in weights) / (rows * length)
    assert last.requires_grad
    assert 0.5 < portions.graph_bytes(backbone) / used < 2
