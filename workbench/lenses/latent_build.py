"""Builds an index of states in context: chunk by chunk, so that a killed build goes on and ends with the same bytes."""

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int

from workbench.backbone import Backbone
from workbench.backbone.batching import by_length
from workbench.backbone.generation import Progress
from workbench.disk import atomic_path, disk_errors
from workbench.embedders.artifact import check_fingerprint
from workbench.errors import UsageError
from workbench.files import hash_bytes, write_json
from workbench.lenses.contexts import Contexts, contexts_of
from workbench.lenses.latent_index import (
    CONFIG,
    TEXTS,
    TOKENS,
    IndexFacts,
    LatentIndex,
    states_name,
    unit_rows,
)
from workbench.lenses.states import checked_layers, residual_stream

CHUNK = 512
"""Texts whose states are written at once; what an interruption costs at most."""
TOKENS_AT_ONCE = 4096
"""Tokens of a batch, padding included: their states in every layer are in memory."""
PROGRESS = "progress.json"


class Plan(NamedTuple):
    """What decides an index before any text is read."""

    backbone: dict[str, str]
    layers: list[int]
    max_length: int
    source_hash: str


def build_index(
    folder: str | Path,
    backbone: Backbone,
    texts: Sequence[str],
    *,
    source: str = "",
    layers: Sequence[int] | None = None,
    max_length: int = 512,
    batch_size: int = 32,
    progress: Progress | None = None,
) -> LatentIndex:
    """Read `texts` with the plain backbone and keep the unit vectors of its states behind the blocks `layers` (all).

    The folder appears once it is whole; until then the work lies beside it, and the same call goes on where it was
    interrupted. An index of the same is opened as it is. `progress(done, total)` counts texts. Raises UsageError where
    the folder holds something else or a layer is none, FingerprintMismatch where another backbone's index is there.
    """
    folder = Path(folder)
    numbers = (
        sorted(checked_layers(layers, len(backbone.layers))) if layers else range(1, len(backbone.layers) + 1)
    )
    if 0 in numbers:
        raise UsageError("layer 0 is the input rows, which have no context; the first layer is 1")
    plan = Plan(backbone.fingerprint(), list(numbers), max_length, hash_bytes(*texts))
    if (folder / CONFIG).is_file():
        return _same(folder, plan)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there and is no index; name another folder")
    contexts = contexts_of(backbone, texts, max_length)
    facts = IndexFacts(
        **plan._asdict(),
        dimension=backbone.hidden_size,
        texts=len(contexts.texts),
        contexts=len(contexts.token),
        truncated=contexts.truncated,
        source=source,
    )
    partial = folder.with_name(f".{folder.name}.partial")
    done = _resumed(partial, facts)
    for start in range(done, len(contexts.texts), CHUNK):
        _write_chunk(
            partial, backbone, contexts, range(len(contexts.texts))[start : start + CHUNK], facts, batch_size
        )
        write_json(partial / PROGRESS, {"facts": facts.to_dict(), "done": start + CHUNK})
        if progress is not None:
            progress(min(start + CHUNK, facts.texts), facts.texts)
    _finish(partial, folder, contexts, facts)
    return LatentIndex.open(folder)


def _same(folder: Path, plan: Plan) -> LatentIndex:
    """The index that is there already, if it is of the same; refuses one of something else, and says what differs."""
    index = LatentIndex.open(folder)
    check_fingerprint(index.facts.backbone, plan.backbone, f"the index {folder}")
    names = {"source_hash": "texts", "layers": "layers", "max_length": "maximal length"}
    for part, name in names.items():
        there, asked = getattr(index.facts, part), getattr(plan, part)
        if there != asked:
            sides = "" if part == "source_hash" else f" ({there}, not {asked})"
            raise UsageError(f"the index {folder} has other {name}{sides}; name another folder")
    return index


def _resumed(partial: Path, facts: IndexFacts) -> int:
    """How many texts an interrupted build of the same has done; whatever else lies there gives way to empty files."""
    try:
        state = json.loads((partial / PROGRESS).read_text(encoding="utf-8"))
        if state["facts"] == facts.to_dict():
            return state["done"]
    except (FileNotFoundError, ValueError, KeyError, TypeError, RecursionError):
        pass
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        for layer in facts.layers:
            _allocate(partial / states_name(layer), (facts.contexts, facts.dimension))
    except OSError:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return 0


def _allocate(path: Path, shape: tuple[int, int]) -> None:
    """A file of zeros whose room is taken now: a memory map that meets a full disk later kills the process."""
    with disk_errors(path):
        np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
        if hasattr(os, "posix_fallocate"):
            with open(path, "r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def _write_chunk(
    partial: Path, backbone: Backbone, contexts: Contexts, texts: range, facts: IndexFacts, batch_size: int
) -> None:
    """The states of the contexts that belong to the chunk's texts, in every layer, onto the disk."""
    begin, end = np.searchsorted(contexts.first, [texts.start, texts.stop])
    if begin == end:
        return
    files = {
        layer: np.lib.format.open_memmap(partial / states_name(layer), mode="r+") for layer in facts.layers
    }
    # A text's own contexts are its last tokens; the others it shares with the text before it.
    starts = np.searchsorted(contexts.first, np.arange(texts.start, texts.stop + 1))
    own = {text: (starts[at], starts[at + 1]) for at, text in enumerate(texts) if starts[at] < starts[at + 1]}
    texts_here = list(own)
    lengths = [len(contexts.ids[text]) for text in texts_here]
    for chosen in by_length(lengths, batch_size, TOKENS_AT_ONCE):
        batch = [texts_here[place] for place in chosen]
        rows = np.concatenate([np.arange(*own[text]) for text in batch])
        counts = [int(own[text][1] - own[text][0]) for text in batch]
        for layer, states in _read(backbone, [contexts.ids[text] for text in batch], counts, facts.layers):
            files[layer][rows] = unit_rows(states)
    for file in files.values():
        file.flush()


@torch.no_grad()
def _read(
    backbone: Backbone, ids: list[list[int]], counts: list[int], layers: Sequence[int]
) -> list[tuple[int, Float[np.ndarray, "rows d"]]]:
    """Of each text the states at its last `counts` tokens, in every one of the layers, text after text."""
    batch = backbone.pad(ids, side="right")
    with residual_stream(backbone) as stream:
        backbone.hidden(backbone.embed(batch.ids), mask=batch.mask, positions=batch.positions)
    lengths = batch.mask.sum(dim=1, keepdim=True)
    column = torch.arange(batch.ids.shape[1], device=batch.ids.device)[None]
    kept = (column < lengths) & (column >= lengths - torch.tensor(counts, device=lengths.device)[:, None])
    return [(layer, stream[layer][kept].float().cpu().numpy()) for layer in layers]


def _finish(partial: Path, folder: Path, contexts: Contexts, facts: IndexFacts) -> None:
    """Writes what is not states, and puts the whole in its place."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = pa.table({"text": contexts.texts, "row": np.array(contexts.rows, np.int64)})
    columns: dict[str, Int[np.ndarray, " rows"]] = {
        name: getattr(contexts, name) for name in ("first", "last", "token", "token_id")
    }
    for name, table in ((TEXTS, texts), (TOKENS, pa.table(columns))):
        with atomic_path(partial / name) as temporary:
            pq.write_table(table, temporary)
    write_json(partial / CONFIG, facts.to_dict())
    (partial / PROGRESS).unlink()
    partial.replace(folder)
