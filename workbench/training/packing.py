"""Packing: several texts behind each other in one row, kept apart by mask and position, so that little is padded."""

from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from workbench.backbone import Backbone

SPARE, WIDTHS = 1.15, 32
"""A row is this much wider than the longest text, rounded up to a multiple of WIDTHS: wider rows fill better, their
attention costs more, and every new shape costs a CPU time (`python -m benchmarks.packing` shows what that gives)."""


class PackedRows(NamedTuple):
    """Texts with `n` places for vectors each, in rows."""

    ids: Int[Tensor, "rows t"]
    """Token ids; what stands at the places of vectors and where nothing is, counts nothing."""
    mask: Bool[Tensor, "rows t t"]
    """Causal, and every text sees itself alone."""
    positions: Int[Tensor, "rows t"]
    """Positions, counted from 0 in every text."""
    places: Int[Tensor, "b n"]
    """Where each text's vectors stand, counted through all rows."""


def pack(
    texts: list[list[int]], n: int, *, vectors: Literal["before", "behind"], device: torch.device
) -> PackedRows:
    """Texts with `n` vectors before or behind each, in rows as `fill_rows` finds them."""
    lengths = [len(text) + n for text in texts]
    width = -(-int(SPARE * max(lengths)) // WIDTHS) * WIDTHS
    rows = fill_rows(lengths, width)
    ids, owner, positions = (np.full((len(rows), width), start) for start in (0, -1, 0))
    places = np.empty((len(texts), n), dtype=np.int64)
    for row, members in enumerate(rows):
        start = 0
        for text in members:
            whole = slice(start, start + lengths[text])
            owner[row, whole], positions[row, whole] = text, np.arange(lengths[text])
            shift = n if vectors == "before" else 0
            ids[row, start + shift : start + shift + len(texts[text])] = texts[text]
            first = start if vectors == "before" else start + len(texts[text])
            places[text] = row * width + first + np.arange(n)
            start += lengths[text]
    owners = torch.from_numpy(owner)
    same = owners[:, :, None] == owners[:, None, :]
    mask = same & torch.ones(width, width, dtype=torch.bool).tril()
    parts = torch.from_numpy(ids), mask, torch.from_numpy(positions), torch.from_numpy(places)
    return PackedRows(*(part.to(device) for part in parts))


def fill_rows(lengths: list[int], width: int) -> list[list[int]]:
    """Which texts share a row of `width`: best fit, the longest first."""
    rows: list[list[int]] = []
    room: list[int] = []
    for text in sorted(range(len(lengths)), key=lambda text: -lengths[text]):
        fitting = [row for row, left in enumerate(room) if left >= lengths[text]]
        row = min(fitting, key=lambda row: room[row]) if fitting else len(rows)
        if not fitting:
            rows.append([])
            room.append(width)
        rows[row].append(text)
        room[row] -= lengths[text]
    return rows


def read_packed(
    backbone: Backbone, packed: PackedRows, vectors: Float[Tensor, "b n d"]
) -> Float[Tensor, "rows t d"]:
    """The last hidden states (after the final norm) of all rows; the backbone reads `vectors` at `places`."""
    inputs = backbone.embed(packed.ids)
    flat = inputs.flatten(0, 1)
    flat = flat.index_copy(0, packed.places.flatten(), vectors.to(flat.dtype).flatten(0, 1))
    return backbone.hidden(flat.view_as(inputs), mask=packed.mask, positions=packed.positions).last
