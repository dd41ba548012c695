"""The tuned lens: an affine translator a layer, before the model's own norm and head (arXiv 2303.08112).

Translators are trained to give the last layer's distribution from an earlier layer's state: `x -> x + A x + b`, A and b
starting at 0, so that an untrained tuned lens is the logit lens. They learn from the special tokens of a corpus and, as
many again, from ordinary tokens of the same texts, drawn at random: special tokens alone would teach a layer little
beyond what each special token says on average.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from workbench.backbone.generation import Progress
from workbench.embedders.base import Embedder
from workbench.errors import UsageError
from workbench.lenses.logit import ROWS, as_reading, norm_and_head, top_tokens
from workbench.lenses.reading import LensReading
from workbench.lenses.states import (
    checked_layers,
    residual_stream,
    special_count,
    special_states,
    with_special_tokens,
)
from workbench.lenses.tuned_config import TunedTraining


class Translators(nn.Module):
    """`x -> x + A x + b` for each layer but the last."""

    def __init__(self, layers: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(layers, size, size))
        self.bias = nn.Parameter(torch.zeros(layers, size))

    def forward(self, rows: Float[Tensor, "m d"], layer: int) -> Float[Tensor, "m d"]:
        """States of one layer as the last layer's; the last layer's own (layer = number of translators) stay."""
        if layer == len(self.weight):
            return rows
        return rows + rows @ self.weight[layer].T + self.bias[layer]


class Trained(NamedTuple):
    """Translators, and the mean divergence KL(last layer || lens) of every layer on held-out states, in nats."""

    probes: Translators
    logit: list[float]
    tuned: list[float]
    states: int
    """States that were trained on."""


def tuned_lens(
    embedder: Embedder,
    texts: str | Sequence[str],
    probes: Translators,
    layers: Sequence[int] | None = None,
    k: int = 5,
    *,
    batch_size: int = 32,
) -> list[LensReading]:
    """The `k` most likely tokens of every compression token's translated state in every layer (or in `layers`).

    Raises UsageError as `logit_lens` does, and where the translators are not as many or as wide as the layers.
    """
    numbers = tuple(checked_layers(layers, len(embedder.backbone.layers)))
    shape = (len(embedder.backbone.layers), embedder.backbone.hidden_size)
    if tuple(probes.bias.shape) != shape:
        raise UsageError(
            f"translators for {tuple(probes.bias.shape)} layers and sizes, but the model has {shape}"
        )
    found = special_states(embedder, texts, batch_size)
    with embedder.language_model() as backbone, torch.no_grad():
        head = norm_and_head(backbone)
        return [
            as_reading(
                "tuned", backbone, states, numbers,
                top_tokens(head, torch.cat([probes(states.at(layer).to(probes.bias), layer) for layer in numbers]), k),
            )
            for states in found
        ]  # fmt: skip


def train_tuned_lens(
    embedder: Embedder,
    texts: Sequence[str],
    config: TunedTraining | None = None,
    *,
    progress: Progress | None = None,
) -> Trained:
    """Train translators for an embedder on the states of texts (arXiv 2303.08112, section 2).

    All states are held in memory: 2 n of each text in every layer, float32. `progress(done, total)` counts steps.
    The same seed gives the same translators. Raises UsageError for fewer than two texts.
    """
    config = config or TunedTraining()
    if len(texts) < 2:
        raise UsageError("a tuned lens needs at least 2 texts: one to train on, one to measure on")
    draw = torch.Generator().manual_seed(config.seed)
    order: list[int] = torch.randperm(len(texts), generator=draw).tolist()
    cut = min(max(1, round(config.held_out * len(texts))), len(texts) - 1)
    held_out = collect_states(embedder, [texts[row] for row in order[:cut]], draw)
    rows = collect_states(embedder, [texts[row] for row in order[cut:]], draw)
    with embedder.language_model() as backbone:
        probes = Translators(rows.shape[0] - 1, rows.shape[2]).to(backbone.device)
        head = norm_and_head(backbone)
        plain = divergences(head, probes, held_out)
        _train(probes, head, rows, config, draw, progress)
        return Trained(probes.eval(), plain, divergences(head, probes, held_out), rows.shape[1])


def _train(
    probes: Translators,
    head: Callable[[Tensor], Tensor],
    rows: Float[Tensor, "layers m d"],
    config: TunedTraining,
    draw: torch.Generator,
    progress: Progress | None,
) -> None:
    """Steps over the states in random order, all layers at once: their losses share no parameter."""
    parameters = list(probes.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=config.lr, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / config.steps)
    waiting = torch.empty(0, dtype=torch.long)
    for step in range(config.steps):
        while len(waiting) < config.batch_size:
            waiting = torch.cat([waiting, torch.randperm(rows.shape[1], generator=draw)])
        chosen, waiting = waiting[: config.batch_size], waiting[config.batch_size :]
        batch = rows[:, chosen].to(probes.bias)
        with torch.no_grad():
            target = head(batch[-1]).log_softmax(-1)
        losses = [
            _divergence(head(probes(batch[layer], layer)), target).mean() for layer in range(len(batch) - 1)
        ]
        # Not backward(): a GEM's fine-tuned weights take gradients too, and must not keep any.
        gradients = torch.autograd.grad(torch.stack(losses).sum(), parameters)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        optimizer.step()
        schedule.step()
        if progress is not None:
            progress(step + 1, config.steps)


@torch.no_grad()
def divergences(
    head: Callable[[Tensor], Tensor], probes: Translators, rows: Float[Tensor, "layers m d"]
) -> list[float]:
    """The mean of KL(last layer || translated layer) over states, in nats, for every layer; 0 in the last."""
    sums = torch.zeros(len(rows), dtype=torch.float64)
    for part in rows.split(ROWS, dim=1):
        part = part.to(probes.bias)
        target = head(part[-1]).log_softmax(-1)
        for layer in range(len(rows)):
            sums[layer] += _divergence(head(probes(part[layer], layer)), target).double().sum().cpu()
    return (sums / rows.shape[1]).tolist()


def _divergence(logits: Float[Tensor, "m v"], target: Float[Tensor, "m v"]) -> Float[Tensor, " m"]:
    """KL(target || softmax of logits) of each row; `target` holds log-probabilities."""
    return F.kl_div(logits.log_softmax(-1), target, reduction="none", log_target=True).sum(-1)


@torch.no_grad()
def collect_states(
    embedder: Embedder, texts: Sequence[str], draw: torch.Generator, batch_size: int = 32
) -> Float[Tensor, "layers m d"]:
    """States of texts in every layer, float32 on the CPU: all n special tokens of a text, and n of its own tokens at
    random (all of them, where it has fewer)."""
    reads = with_special_tokens(embedder)
    count, behind = special_count(reads), len(reads.module.tokens)
    ids = reads.tokenize(list(texts)).ids
    parts = []
    for start in range(0, len(ids), batch_size):
        rows = ids[start : start + batch_size]
        with residual_stream(reads.backbone) as stream:
            reads.encode_batch(rows)
        width = stream[0].shape[1]
        chosen = [
            (row, place)
            for row, tokens in enumerate(rows)
            for place in [
                *range(width - count, width),
                *(width - behind - 1 - torch.randperm(len(tokens), generator=draw)[:count]).tolist(),
            ]
        ]
        row, place = (torch.tensor(part) for part in zip(*chosen, strict=True))
        parts.append(torch.stack([states[row, place].float().cpu() for states in stream]))
    return torch.cat(parts, dim=1)
