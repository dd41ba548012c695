"""The residual stream at the special tokens, layer by layer: what every lens reads."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from workbench.backbone import Backbone
from workbench.backbone.batching import by_length
from workbench.embedders.base import Embedder
from workbench.embedders.gem import GEM
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.errors import UsageError


@dataclass(frozen=True)
class SpecialStates:
    """The states of one text's compression tokens; tensors are float32, on the CPU."""

    text: str
    layers: tuple[int, ...]
    """0, 1 ... L: 0 is what the first block reads, i what stands in the residual stream behind block i."""
    states: Float[Tensor, "layers n d"]
    """The residual stream, before the final norm."""
    last: Float[Tensor, "n d"]
    """After the final norm: the hidden states that the embedding is made of."""
    labels: list[str]
    """◆1 ... ◆n"""
    token_ids: list[int]
    """The text with its template, without special tokens."""
    truncated: bool = False
    """Whether the text lost its tail."""

    def __post_init__(self) -> None:
        if self.states.shape != (len(self.layers), *self.last.shape) or len(self.labels) != len(self.last):
            raise ValueError(
                f"{len(self.layers)} layers and {len(self.labels)} special tokens, but states of shape "
                f"{tuple(self.states.shape)} and {tuple(self.last.shape)}"
            )

    def at(self, layer: int) -> Float[Tensor, "n d"]:
        """The states of one layer, by its number; -1 is the last. UsageError for a layer that is not there."""
        return self.states[self.layers.index(checked_layers([layer], len(self.layers) - 1)[0])]


@torch.no_grad()
def special_states(
    embedder: Embedder, texts: str | Sequence[str], batch_size: int = 32
) -> list[SpecialStates]:
    """The states of the compression tokens behind every text, in every layer, as the embedder runs.

    LLM2Vec-Gen reads with its LoRA and thought tokens where it has them, GEM with its update and its mask; an official
    checkpoint is an LLM2Vec-Gen embedder. A text's states depend neither on its company nor on padding.
    Raises UsageError for a method without special tokens or a batch size below 1.
    """
    reads = with_special_tokens(embedder)
    rows = [texts] if isinstance(texts, str) else list(texts)
    tokens = reads.tokenize(rows)
    batches = by_length([len(ids) for ids in tokens.ids], batch_size)
    count = special_count(reads)
    labels = [f"◆{number}" for number in range(1, count + 1)]
    found: dict[int, SpecialStates] = {}
    for chosen in batches:
        with residual_stream(reads.backbone, last=count) as stream:
            hidden = reads.encode_batch([tokens.ids[row] for row in chosen]).hidden_states
        assert hidden is not None  # both methods have them
        states, last = torch.stack(stream, dim=1).float().cpu(), hidden.float().cpu()
        layers = tuple(range(len(stream)))
        for place, row in enumerate(chosen):
            found[row] = SpecialStates(
                rows[row], layers, states[place], last[place], labels, tokens.ids[row], tokens.cut[row]
            )
    return [found[row] for row in range(len(rows))]


def with_special_tokens(embedder: Embedder) -> LLM2VecGen | GEM:
    """The embedder, if its method has special tokens; UsageError that names the method otherwise."""
    if not isinstance(embedder, LLM2VecGen | GEM):
        raise UsageError(
            f"a {embedder.method} embedder has no special tokens to look at; take an LLM2Vec-Gen or a GEM embedder"
        )
    return embedder


def special_count(embedder: LLM2VecGen | GEM) -> int:
    """How many special tokens are read out: thought tokens do not count."""
    return embedder.config.n_special if isinstance(embedder, GEM) else embedder.module.n_compression


@contextmanager
def residual_stream(backbone: Backbone, last: int | None = None) -> Iterator[list[Float[Tensor, "b t d"]]]:
    """A list that takes what the first block reads and what every block leaves, when the backbone runs once inside.

    With `last`, only that many positions at the end are kept, copied so that the rest can go. Gradients flow.
    The hooks are gone on leaving.
    """
    found: list[Tensor] = []

    def keep(states: Tensor) -> None:
        found.append(states if last is None else states[:, -last:].clone())

    def keep_input(_: Any, args: tuple[Any, ...], options: dict[str, Any]) -> None:
        keep(args[0] if args else options["hidden_states"])

    def keep_output(_: Any, __: Any, output: Any) -> None:
        keep(output[0] if isinstance(output, tuple) else output)

    handles = [
        backbone.layers[0].register_forward_pre_hook(keep_input, with_kwargs=True),
        *(layer.register_forward_hook(keep_output) for layer in backbone.layers),
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def checked_layers(layers: Sequence[int] | None, count: int) -> list[int]:
    """Layer numbers from 0 to `count`, as asked for, each once; all of them without any. Negative ones count from the
    end, so that -1 is `count`. UsageError for a number that is no layer's."""
    if layers is None:
        return list(range(count + 1))
    for layer in layers:
        if not -count - 1 <= layer <= count:
            raise UsageError(f"no layer {layer}: they are numbered from 0 (the input rows) to {count}")
    if not layers:
        raise UsageError("no layer was asked for")
    return list(dict.fromkeys(layer % (count + 1) for layer in layers))
