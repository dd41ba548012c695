"""Patchscopes: a special token's state put into a prompt that asks the same model to repeat it (arXiv 2401.06102).

The state takes the place of a placeholder token, as its input row (target layer 0) or in the residual stream behind a
block, and what the model would say next is the reading.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from workbench.backbone import Backbone
from workbench.embedders.base import Embedder
from workbench.errors import UsageError
from workbench.lenses.logit import as_reading, top_tokens
from workbench.lenses.reading import LensReading
from workbench.lenses.states import SpecialStates, checked_layers, special_states

HERE = "{}"
"""Where the state goes in a prompt."""
ASKED = "Please copy the following words exactly: {}"
"""The prompt for models with a chat template; what is read is the first token of the answer."""
SHOWN = "cat -> cat; 1135 -> 1135; hello -> hello; {} ->"
"""The prompt for models without one."""
ROWS = 64
"""Prompts at once."""


class RepeatPrompt(NamedTuple):
    """A prompt with a placeholder token, and where that stands."""

    ids: list[int]
    place: int


def patchscope(
    embedder: Embedder,
    texts: str | Sequence[str],
    layers: Sequence[int] | None = None,
    k: int = 5,
    *,
    prompt: str | None = None,
    target_layer: int | None = 0,
    batch_size: int = 32,
) -> list[LensReading]:
    """The `k` tokens most likely to follow the repeat prompt when a special token's state stands in its placeholder.

    `layers` are those that states are taken from. They go into layer `target_layer` of the decoder side: 0 is the input
    row; None is the layer that each state comes from (in the last layer that changes nothing: no block reads it).
    `prompt` holds {} once; by default `ASKED` in the chat template, `SHOWN` for a model without one.
    Raises UsageError for a method without special tokens, a layer that is not there, or a prompt without {}.
    """
    found = special_states(embedder, texts, batch_size)
    numbers = tuple(checked_layers(layers, len(embedder.backbone.layers)))
    with embedder.language_model() as backbone:
        asked = repeat_prompt(backbone, prompt)
        targets = numbers if target_layer is None else (target_layer,) * len(numbers)
        targets = [checked_layers([target], len(backbone.layers))[0] for target in targets]
        return [_read(backbone, asked, states, numbers, targets, k) for states in found]


def repeat_prompt(backbone: Backbone, prompt: str | None = None) -> RepeatPrompt:
    """The ids of a prompt whose {} is one placeholder token, in the chat template where the model has one.

    Raises UsageError unless the prompt holds {} exactly once.
    """
    chat = bool(backbone.answer_opening)
    text = prompt if prompt is not None else (ASKED if chat else SHOWN)
    if text.count(HERE) != 1:
        raise UsageError(f"the prompt must hold {HERE} once, where the state goes, not {text!r}")
    before, after = text.split(HERE)
    # A token brings its own space along, so none stands before the placeholder.
    ids = (
        list(backbone.tokenize([before.rstrip()], template="query").ids[0]) if before.strip() or chat else []
    )
    plain = lambda part: backbone.tokenizer(part, add_special_tokens=False)["input_ids"] if part else []  # noqa: E731
    return RepeatPrompt([*ids, plain(" x")[-1], *plain(after), *backbone.answer_opening], len(ids))


def _read(
    backbone: Backbone,
    asked: RepeatPrompt,
    states: SpecialStates,
    numbers: tuple[int, ...],
    targets: Sequence[int],
    k: int,
) -> LensReading:
    rows = states.states[list(numbers)]
    logits = torch.cat(
        [patched_logits(backbone, asked, at, target) for at, target in zip(rows, targets, strict=True)]
    )
    return as_reading("patchscope", backbone, states, numbers, top_tokens(lambda part: part, logits, k))


@torch.no_grad()
def patched_logits(
    backbone: Backbone, asked: RepeatPrompt, rows: Float[Tensor, "m d"], layer: int
) -> Float[Tensor, "m v"]:
    """Next-token logits, float32 on the CPU, of the prompt with each row in turn at its placeholder in `layer`."""
    parts = []
    for part in rows.split(ROWS):
        batch = backbone.pad([asked.ids] * len(part))
        with replaced(backbone, layer, asked.place, part):
            states = backbone.hidden(backbone.embed(batch.ids), mask=batch.mask, positions=batch.positions)
        parts.append(backbone.logits(states.last[:, -1]).float().cpu())
    return torch.cat(parts)


@contextmanager
def replaced(backbone: Backbone, layer: int, place: int, rows: Float[Tensor, "b d"]) -> Iterator[None]:
    """While open, position `place` of the residual stream of row b is `rows[b]`, in what block `layer` leaves.

    Layer 0 is what the first block reads. The hook is gone on leaving.
    """

    def put(states: Tensor) -> Tensor:
        states = states.clone()
        states[:, place] = rows.to(states.device, states.dtype)
        return states

    def into_input(_: Any, args: tuple[Any, ...], options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        if args:
            return (put(args[0]), *args[1:]), options
        return args, {**options, "hidden_states": put(options["hidden_states"])}

    def into_output(_: Any, __: Any, output: Any) -> Any:
        return (put(output[0]), *output[1:]) if isinstance(output, tuple) else put(output)

    handle = (
        backbone.layers[layer - 1].register_forward_hook(into_output)
        if layer
        else backbone.layers[0].register_forward_pre_hook(into_input, with_kwargs=True)
    )
    try:
        yield
    finally:
        handle.remove()
