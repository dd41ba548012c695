"""How much of a batch a device holds at once, and what it reads again instead of keeping it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from workbench.backbone.kernels import on_gpu, size_in

if TYPE_CHECKING:
    from workbench.backbone.model import Backbone

LOGITS_SHARE, GPU_SHARE = 0.6, 0.25
"""What the graph of a training step may take on a GPU: a part of what the batch's logits, their likelihoods and
gradients would take in float32 if they were there at once, as in a plain training, and of the card's memory."""
BUSY = {2: 5e11, 4: 5e10}
"""Operations of a block that keep a GPU busy while the next kernels are sent, by the bytes of a number."""
READ_AT_ONCE, READ_SHARE = 8192, 1 / 32
"""Positions that a GPU reads at once without gradients, and what they may take of its memory: more gains nothing."""
QUERY_SHARE = 0.15
"""How much of a position's memory a query's token needs that is read without gradients: its keys and values."""


class Widths(NamedTuple):
    """The positions of a batch's rows."""

    rows: int
    special: float
    """Special tokens behind a query."""
    query: float
    """A query's tokens whose graph is kept; those read without one count QUERY_SHARE."""
    response: float
    """Soft prompts and a response."""


class StepPlan(NamedTuple):
    """How a training step goes through a batch."""

    queries: int
    """Rows whose special tokens' graph is held at once."""
    responses: int
    """Rows of these whose reconstruction is held at once."""
    again: int = 0
    """How many blocks keep what goes into them alone and are read again for its backward pass."""


def plan_step(backbone: Backbone, widths: Widths, labelled: int) -> StepPlan:
    """The plan for a batch of which so many positions get logits.

    On a CPU parts of about a thousand positions, whose whole graph is kept: more would be a little quicker, and cost
    memory in proportion. A GPU waits for the kernels of small parts: there as much is held as LOGITS_SHARE allows, the
    queries if possible all at once, and blocks are read again rather than many small responses one after the other
    (`python -m benchmarks.official --only train memory`).
    """
    rows, query = widths.rows, widths.special + widths.query
    if not on_gpu(backbone.device):
        limit = 1024 if backbone.device.type == "cpu" else 8192
        together = -(-limit // (query + widths.response))
        return StepPlan(*(2 * [min(rows, int(together))]))
    positions, graph = held_at_once(backbone, labelled), graph_bytes(backbone)
    weights = sum(weight.numel() for weight in backbone.layers[0].parameters())
    if backbone.sharded or 2 * weights * positions >= BUSY.get(backbone.dtype.itemsize, BUSY[4]):
        queries = evenly(rows, positions / 2 / query)
        return StepPlan(queries, evenly(queries, (positions - queries * query) / widths.response))
    blocks = len(backbone.layers)
    least = blocks * backbone.hidden_size * backbone.dtype.itemsize / graph
    queries = evenly(rows, positions / (query + least * widths.response))
    room = (positions - queries * query) / (queries * widths.response)
    kept = min(max((room - least) / (1 - least), 0.0), 1.0)
    return StepPlan(queries, queries, blocks - int(kept * blocks))


def evenly(rows: int, fitting: float) -> int:
    """Rows of the largest part where as few parts as possible, all of about one size, have `fitting` rows at most."""
    return -(-rows // -(-rows // min(rows, max(1, int(fitting)))))


def held_at_once(backbone: Backbone, labelled: int) -> int:
    """About how many positions' graph a GPU holds where so many get logits; 1024 at least."""
    logits = 3 * 4 * labelled * backbone.vocab_size
    memory = torch.cuda.get_device_properties(backbone.device).total_memory
    return max(1024, int(min(LOGITS_SHARE * logits, GPU_SHARE * memory) / graph_bytes(backbone)))


@contextmanager
def read_again(backbone: Backbone, count: int) -> Iterator[None]:
    """Inside, a pass without a cache keeps what goes into the first `count` blocks; its backward pass reads them again.

    The backbone is frozen and in eval mode: a block says the same both times, and gradients only go through what goes
    into it. A block that is handed other tensors with gradients, or a store that blocks share, keeps its graph.
    """
    blocks = backbone.layers[:count]
    before = [vars(block).get("forward") for block in blocks]
    for block in blocks:
        block.forward = partial(_run_again, block.forward)
    try:
        yield
    finally:
        for block, own in zip(blocks, before, strict=True):
            del block.forward
            if own is not None:
                block.forward = own


def _run_again(own: Callable[..., Any], hidden_states: Tensor, *others: Any, **options: Any) -> Any:
    def run(states: Tensor) -> Any:
        return own(states, *others, **options)

    lone = hidden_states.requires_grad and not _carries_gradients([*others, *options.values()])
    return _Again.apply(run, hidden_states) if lone else run(hidden_states)


def _carries_gradients(given: Any) -> bool:
    """Whether tensors with gradients are among what a block is given, or may come to be: in a dictionary."""
    if isinstance(given, list | tuple):
        return any(map(_carries_gradients, given))
    return isinstance(given, dict) or (isinstance(given, Tensor) and given.requires_grad)


class _Again(torch.autograd.Function):
    """A block without its graph, which the way back makes once more.

    `torch.utils.checkpoint` watches every tensor that is kept, which costs a small model more than reading does.
    """

    @staticmethod
    def forward(ctx: Any, run: Callable[[Tensor], Any], states: Tensor) -> Any:
        ctx.run, ctx.kind = run, states.device.type
        ctx.cast = torch.is_autocast_enabled(ctx.kind), torch.get_autocast_dtype(ctx.kind)
        ctx.save_for_backward(states)
        return run(states)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> Any:
        states = ctx.saved_tensors[0].detach().requires_grad_()
        enabled, dtype = ctx.cast
        with torch.enable_grad(), torch.autocast(ctx.kind, dtype=dtype, enabled=enabled):
            found = ctx.run(states)
        pairs = zip(found if isinstance(found, tuple) else (found,), gradients, strict=True)
        pairs = [(out, gradient) for out, gradient in pairs if gradient is not None and out.requires_grad]
        return None, *torch.autograd.grad(
            [out for out, _ in pairs], states, [gradient for _, gradient in pairs]
        )


def read_at_once(backbone: Backbone) -> int | None:
    """About how many positions are best read at once without gradients; None where a few texts are enough.

    A GPU waits between the kernels of small batches; what it holds at once is a block's work, and keys and values.
    """
    if not on_gpu(backbone.device):
        return None
    blocks = size_in(backbone.model.config.get_text_config(), "num_hidden_layers", 1)
    keys_values = 2 * blocks * backbone.hidden_size * backbone.dtype.itemsize
    memory = torch.cuda.get_device_properties(backbone.device).total_memory
    fitting = READ_SHARE * memory / (graph_bytes(backbone) / blocks + keys_values)
    return min(READ_AT_ONCE, max(1024, int(fitting)))


def graph_bytes(backbone: Backbone) -> int:
    """About how many bytes of a position's graph a frozen backbone keeps for the backward pass.

    A block keeps about three vectors of the hidden size, of the queries', keys' and feed-forward's each; frozen
    weights keep no inputs.
    """
    config, hidden = backbone.model.config.get_text_config(), backbone.hidden_size
    heads = size_in(config, "num_attention_heads", 1)
    size = size_in(config, "head_dim", max(1, hidden // heads))
    keys = size_in(config, "num_key_value_heads", heads)
    inner = size_in(config, "intermediate_size", 4 * hidden)
    numbers = 3 * (hidden + heads * size + keys * size + inner)
    return size_in(config, "num_hidden_layers", 1) * numbers * backbone.dtype.itemsize
