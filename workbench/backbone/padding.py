"""Token ids of texts of different lengths as one batch."""

from itertools import chain
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from workbench.backbone.kernels import on_gpu


class PaddedBatch(NamedTuple):
    """A batch of token ids; `mask` is True at real tokens, `positions` count the real tokens of a row from 0."""

    ids: Int[Tensor, "b t"]
    mask: Bool[Tensor, "b t"]
    positions: Int[Tensor, "b t"]


def pad(
    ids: list[list[int]], side: Literal["left", "right"], filler: int, device: torch.device
) -> PaddedBatch:
    """One batch on `device`, padded with `filler` on one side; positions of padding are 0."""
    lengths = torch.tensor([len(row) for row in ids])
    width = int(lengths.max()) if ids else 0
    column = torch.arange(width)
    mask = column >= width - lengths[:, None] if side == "left" else column < lengths[:, None]
    padded = torch.full(mask.shape, filler, dtype=torch.long)
    padded[mask] = torch.tensor(list(chain.from_iterable(ids)), dtype=torch.long)
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    sent = on_gpu(device)  # what comes from ordinary memory is read before the call returns
    return PaddedBatch(*(part.to(device, non_blocking=sent) for part in (padded, mask, positions)))
