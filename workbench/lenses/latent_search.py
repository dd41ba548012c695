"""The nearest of very many states on the disk: exact, chunk by chunk through a memory map, all queries in one pass."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from workbench.errors import UsageError, WorkbenchError
from workbench.lenses.latent_index import unit_rows

CHUNK = 1 << 20
"""Numbers of a chunk: 4 MB as float32, which stay in a core's cache until they are multiplied."""
NONE = np.zeros(0, dtype=np.int64)


class Nearest(NamedTuple):
    """Of every query the most similar states, the most similar first."""

    rows: Int[np.ndarray, "m k"]
    cosines: Float[np.ndarray, "m k"]


class Barred(NamedTuple):
    """Pairs of a state and a query that must not find it; sorted by state."""

    rows: Int[np.ndarray, " pairs"]
    queries: Int[np.ndarray, " pairs"]


def nearest(
    states: np.memmap, queries: Float[np.ndarray, "m d"], k: int, barred: Barred | None = None
) -> Nearest:
    """The `k` rows of `states` `[rows, d]`, unit vectors in float16, with the highest cosine to each query.

    Every chunk is mapped, made float32 and let go again. Raises UsageError for k below 1, WorkbenchError for a query
    without a direction or with fewer than `k` rows that it may find.
    """
    if k < 1:
        raise UsageError(f"at least one neighbour must be asked for, not {k}")
    total, size = states.shape
    barred = barred or Barred(NONE, NONE)
    most = int(np.bincount(barred.queries, minlength=1).max())
    if total - most < k:
        raise WorkbenchError(
            f"{k} neighbours are asked for, but the index has {total - most} that are not excluded"
        )
    units = torch.from_numpy(unit_rows(queries.astype(np.float32)))
    best = torch.full((len(units), k), -torch.inf)
    rows = torch.zeros(len(units), k, dtype=torch.long)
    height = min(total, max(k, CHUNK // size))
    room = torch.empty(height, size)
    with _one_thread():
        for start in range(0, total, height):
            count = min(height, total - start)
            found = units @ room[:count].copy_(_mapped(states, start, count)).T
            first, behind = np.searchsorted(barred.rows, [start, start + count])
            if first < behind:
                pairs = barred.queries[first:behind], barred.rows[first:behind] - start
                found[torch.from_numpy(pairs[0]), torch.from_numpy(pairs[1])] = -torch.inf
            _merge(best, rows, found, start)
    return Nearest(rows.numpy(), best.clamp(-1, 1).numpy())


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread inside: chunks are so small that the threads of torch would mostly wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _mapped(states: np.memmap, start: int, count: int) -> Tensor:
    """Rows of a file, mapped for as long as the tensor lives: a map of all of it would stay in memory once read."""
    assert states.filename is not None  # `LatentIndex.states` maps files only
    at = states.offset + start * states.shape[1] * states.itemsize
    shape = (count, states.shape[1])
    # Copy-on-write, because torch warns of what cannot be written; nothing is.
    return torch.from_numpy(np.memmap(states.filename, dtype=states.dtype, mode="c", offset=at, shape=shape))


def _merge(
    best: Float[Tensor, "m k"], rows: Int[Tensor, "m k"], found: Float[Tensor, "m c"], start: int
) -> None:
    """Takes what beats the best so far into them; most chunks have nothing, and one pass over them shows it."""
    k = best.shape[1]
    better = (found.amax(dim=1) > best[:, -1]).nonzero()[:, 0]
    if len(better) == 0:
        return
    values, places = found[better].topk(min(k, found.shape[1]), dim=1)
    values = torch.cat([best[better], values], dim=1)
    numbers = torch.cat([rows[better], places + start], dim=1)
    values, order = values.sort(dim=1, descending=True, stable=True)
    best[better] = values[:, :k]
    rows[better] = numbers.gather(1, order)[:, :k]
