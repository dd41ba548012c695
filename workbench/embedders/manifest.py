"""What a saved folder says of itself in `config.json`, read with suspicion: what stands in a file is anybody's."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from workbench.disk import atomic_path
from workbench.embedders.official import is_checkpoint
from workbench.errors import UsageError, WorkbenchError
from workbench.files import hash_file, json_text, named_if_damaged, read_settings

SCHEMA = 1
CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
MODULES, SENTENCE_CONFIG = "modules.json", "config_sentence_transformers.json"
LAYOUT = (CONFIG, WEIGHTS, CARD, MODULES, SENTENCE_CONFIG)
"""Every file of an artifact."""
LIBRARIES = ("workbench", "torch", "transformers", "tokenizers", "safetensors", "numpy")


@dataclass(frozen=True)
class Manifest:
    """All that `config.json` says."""

    method: str
    backbone: str
    """A shipped name, a hub id, or a path relative to the artifact's folder."""
    fingerprint: dict[str, str]
    config: dict[str, Any]
    prompts: dict[str, str]
    weights: str
    """SHA-256 of the safetensors file."""
    data_hash: str | None = None
    seeds: dict[str, int] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    libraries: dict[str, str] = field(default_factory=dict)
    dimension: int | None = None
    """Size of an embedding."""
    schema: int = SCHEMA

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """The manifest of an artifact; UsageError where there is none, WorkbenchError where it cannot be read."""
        path = folder / CONFIG
        if not path.is_file() and is_checkpoint(folder):
            raise UsageError(
                f"{folder} is an official checkpoint; this needs what `workbench convert` makes of it"
            )
        if not path.is_file():
            raise UsageError(f"{folder} is no embedder: it has no {CONFIG}")
        values = read_settings(path, "is no embedder configuration", SCHEMA)
        with named_if_damaged(path):
            return cls(**values)

    def __post_init__(self) -> None:
        """TypeError for a value of another kind: what stands in a file is anybody's."""
        texts, tables = (self.method, self.backbone, self.weights), (self.config, self.metrics, self.training)
        by_name = (self.fingerprint, self.prompts, self.libraries, self.seeds)
        if not all(isinstance(text, str) for text in texts) or not isinstance(self.data_hash, str | None):
            raise TypeError("method, backbone, weights and data_hash must be texts")
        if not all(isinstance(table, dict) for table in (*tables, *by_name)):
            raise TypeError(
                "fingerprint, config, prompts, seeds, metrics, training and libraries must have names"
            )
        if not all(isinstance(text, str) for table in by_name[:3] for text in table.values()):
            raise TypeError("the values of fingerprint, prompts and libraries must be texts")
        if self.dimension is not None and (type(self.dimension) is not int or self.dimension < 1):
            raise TypeError(f"dimension must be a whole number above 0, not {self.dimension!r:.80}")


def check_weights(folder: Path, manifest: Manifest) -> None:
    """Raises WorkbenchError where the tensors are not, byte for byte, those that config.json was written for."""
    if not (folder / WEIGHTS).is_file() or hash_file(folder / WEIGHTS) != manifest.weights:
        raise WorkbenchError(f"{folder / WEIGHTS} is missing or not the file that {CONFIG} was written for")


def write_folder(
    folder: Path,
    tensors: dict[str, Tensor],
    about: Callable[[str], Manifest],
    beside: Callable[[Manifest], dict[str, str]] = lambda manifest: {},
) -> Path:
    """Tensors, `about(their hash)` as config.json, and the texts `beside` (by file name) into a folder; returns it.

    All is written before anything is replaced: where the disk is full, what was there stays. config.json goes first
    and comes back last: a save that is killed leaves a folder that loading refuses, never one that it misreads.
    Raises UsageError where `folder` is a file, WorkbenchError where the tensors cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; what is saved is a folder")
    with ExitStack() as stack:  # which closes, and so replaces, in reverse order
        config = stack.enter_context(atomic_path(folder / CONFIG))
        weights = stack.enter_context(atomic_path(folder / WEIGHTS))
        try:
            save_file(tensors, weights, metadata={"format": "pt"})
        except SafetensorError as error:  # a full disk, in safetensors' own words
            raise WorkbenchError(f"{folder / WEIGHTS} cannot be written: {error}") from error
        manifest = about(hash_file(weights))
        for name, text in beside(manifest).items():
            stack.enter_context(atomic_path(folder / name)).write_text(text, encoding="utf-8")
        config.write_text(json_text(vars(manifest)), encoding="utf-8")
        (folder / CONFIG).unlink(missing_ok=True)
    return folder


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file. Raises WorkbenchError that names it for one that is damaged."""
    try:
        return load_file(path)
    except Exception as error:  # safetensors' own, and what a torn header leads to
        raise WorkbenchError(f"{path} cannot be read: {' '.join(str(error).split())[:160]}") from error


@contextmanager
def settings_of(folder: Path) -> Iterator[None]:
    """While open, settings that nothing can be made of are a damage of the folder, not of the command line.

    For what is made of its config.json and its tensors right there: nothing else may be done in the block.
    """
    try:
        with named_if_damaged(folder / CONFIG):
            yield
    except UsageError as error:
        raise WorkbenchError(f"{folder / CONFIG} is damaged: {error}") from error
    except (
        RuntimeError
    ) as error:  # torch's, for tensors of other names or shapes, and for sizes beyond all memory
        reason = " ".join(str(error).split())[:300]
        raise WorkbenchError(
            f"{folder}: the saved tensors do not fit their configuration: {reason}"
        ) from error
