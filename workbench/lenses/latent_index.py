"""An index of states in context: what a plain backbone makes of every token of a corpus, at chosen layers.

A folder with `config.json`, the texts and their contexts as parquet, and one .npy a layer: unit vectors in float16, a
row for each context, read through a memory map. `latent_build.build_index` makes it.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from workbench.backbone import Backbone
from workbench.config import Config
from workbench.embedders.artifact import check_fingerprint
from workbench.errors import UsageError, WorkbenchError
from workbench.files import named_if_damaged, read_settings
from workbench.lenses.duplicates import NEAR, NearDuplicates

SCHEMA = 1
CONFIG, TEXTS, TOKENS = "config.json", "texts.parquet", "tokens.parquet"
IN_STORE = "latent"
"""The folder of the index inside a store's folder."""


@dataclass(frozen=True)
class IndexFacts(Config):
    """What an index was made of."""

    backbone: dict[str, str]
    """The parts of the backbone's fingerprint."""
    layers: list[int]
    """Blocks behind which the states were read, from 1."""
    dimension: int
    """Size of a state."""
    texts: int
    """Different texts."""
    contexts: int
    """States a layer: every beginning of a text once."""
    truncated: int
    """Texts that lost their tail."""
    max_length: int
    """Most tokens of a text."""
    source: str
    """Where the texts came from."""
    source_hash: str
    """Hash of the texts."""
    schema: int = SCHEMA


class LatentIndex:
    """An open index."""

    def __init__(self, folder: Path, facts: IndexFacts) -> None:
        self.folder, self.facts = folder, facts

    @classmethod
    def open(cls, folder: str | Path, backbone: Backbone | None = None) -> "LatentIndex":
        """The index in `folder`; with `backbone`, only if that one made it.

        Raises UsageError where there is none, WorkbenchError for a damaged one, FingerprintMismatch, naming both
        sides, for another backbone's.
        """
        folder = Path(folder)
        path = folder / CONFIG
        if not path.is_file():
            raise UsageError(f"no index at {folder}: `workbench lens index` makes one")
        values = read_settings(path, "describes no index", SCHEMA)
        try:
            with named_if_damaged(path):
                index = cls(folder, IndexFacts.from_dict(values))
        except UsageError as error:
            raise WorkbenchError(f"{path} describes no index: {error}") from error
        if backbone is not None:
            index.check(backbone)
        for layer in index.facts.layers:
            index.states(layer)
        return index

    def check(self, backbone: Backbone) -> None:
        """Raises FingerprintMismatch, naming both sides, where another backbone made the index."""
        check_fingerprint(self.facts.backbone, backbone.fingerprint(), f"the index {self.folder}")

    def __len__(self) -> int:
        return self.facts.contexts

    def states(self, layer: int) -> np.memmap:
        """The unit vectors `[contexts, d]` of one layer, float16, on the disk.

        Raises UsageError for a layer that the index does not have, WorkbenchError where its file is damaged.
        """
        if layer not in self.facts.layers:
            raise UsageError(
                f"the index {self.folder} has no layer {layer}; it has {', '.join(map(str, self.facts.layers))}"
            )
        path = self.folder / states_name(layer)
        try:
            states = np.lib.format.open_memmap(path, mode="r")
        except (OSError, ValueError) as error:
            raise WorkbenchError(f"{path} is missing or damaged: {' '.join(str(error).split())}") from error
        if states.shape != (len(self), self.facts.dimension) or states.dtype != np.float16:
            raise WorkbenchError(f"{path} is not the file that {CONFIG} was written for")
        return states

    @cached_property
    def texts(self) -> list[str]:
        """The different texts, in the order of their tokens."""
        return self._table(TEXTS)["text"].to_pylist()

    @cached_property
    def rows(self) -> Int[np.ndarray, " texts"]:
        """Where each text stood in the corpus, from 0."""
        return self._table(TEXTS)["row"].to_numpy()

    @cached_property
    def contexts(self) -> dict[str, Int[np.ndarray, " contexts"]]:
        """Of every context the `first` and the `last` text that begin so, the `token`'s number in them and its id."""
        table = self._table(TOKENS)
        return {name: table[name].to_numpy() for name in ("first", "last", "token", "token_id")}

    @cached_property
    def _duplicates(self) -> NearDuplicates:
        return NearDuplicates(self.texts)

    def duplicates_of(self, leaks: list[str], threshold: float = NEAR) -> Bool[np.ndarray, " texts"]:
        """True at every text that is a near duplicate of one of `leaks`, as `NearDuplicates` says."""
        found = np.zeros(len(self.texts), dtype=bool)
        for leak in leaks:
            found |= self._duplicates.of(leak, threshold)
        return found

    def left(
        self, excluded: Bool[np.ndarray, " texts"]
    ) -> tuple[Bool[np.ndarray, " contexts"], Int[np.ndarray, " texts"]]:
        """True at the contexts that a text which is not excluded has, and from each text on the first such text."""
        first, last = self.contexts["first"], self.contexts["last"]
        places = np.where(excluded, len(excluded), np.arange(len(excluded)))
        following = np.minimum.accumulate(places[::-1])[::-1]
        return following[first] <= last, following

    def _table(self, name: str) -> Any:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            return pq.read_table(self.folder / name)
        except (pa.ArrowException, OSError) as error:
            raise WorkbenchError(f"{self.folder / name} is missing or damaged: {error}") from error


def states_name(layer: int) -> str:
    """The file of a layer's states."""
    return f"layer_{layer}.npy"


def unit_rows(rows: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "m d"]:
    """The rows with length 1; WorkbenchError for one that is not finite or has no direction."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or not lengths.all():
        raise WorkbenchError(
            "a state is not finite, or zero, and has no direction; check the backbone's dtype"
        )
    return rows / lengths
