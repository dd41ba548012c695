"""Artifacts that fit one embedder alone, such as lifters: `config.json`, `model.safetensors`, perhaps a card."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from workbench.embedders.artifact import check_fingerprint
from workbench.embedders.base import Embedder
from workbench.embedders.manifest import (
    CONFIG,
    LIBRARIES,
    WEIGHTS,
    Manifest,
    check_weights,
    read_tensors,
    write_folder,
)
from workbench.errors import FingerprintMismatch, UsageError
from workbench.libraries import versions


class Opened(NamedTuple):
    """What a folder holds, not yet made into a module."""

    manifest: Manifest
    tensors: dict[str, Tensor]


@dataclass(frozen=True)
class Companion:
    """One kind of them."""

    method: str
    """What `config.json` calls it."""
    name: str
    """What messages call it."""
    command: str
    """What makes one."""

    def save(
        self,
        module: nn.Module,
        embedder: Embedder,
        path: str | Path,
        beside: Callable[[Manifest], dict[str, str]] = lambda manifest: {},
        **about: Any,
    ) -> Path:
        """Write the module of `embedder` into the folder `path` with `write_folder`; `about` is the manifest's.

        The same module gives the same bytes. Raises UsageError where `path` is a file.
        """
        folder = Path(path)
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"{folder} is a file; a {self.name} is saved into a folder")
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}

        def manifest(weights: str) -> Manifest:
            return Manifest(
                method=self.method,
                backbone=embedder.backbone.id,
                fingerprint=_fits(embedder),
                prompts={},
                weights=weights,
                libraries=versions(LIBRARIES),
                **about,
            )

        return write_folder(folder, tensors, manifest, beside)

    def folder_at(self, path: str | Path) -> Path:
        """The folder at `path`; UsageError where there is none."""
        folder = Path(path).expanduser()
        if not (folder / CONFIG).is_file():
            raise UsageError(f"no {self.name} at {folder}: it is a folder that `{self.command}` wrote")
        return folder

    def manifest_in(self, folder: Path) -> Manifest:
        """What a folder says of itself; UsageError where it holds something else."""
        manifest = Manifest.read(folder)
        if manifest.method != self.method:
            raise UsageError(f"{folder} holds a {manifest.method}, which is no {self.name}")
        return manifest

    def read(self, embedder: Embedder, folder: Path) -> Opened:
        """What a folder says of itself, and its tensors.

        Raises FingerprintMismatch where `embedder` or its backbone is not the one it was trained for, UsageError where
        the folder holds something else, WorkbenchError where it is damaged.
        """
        manifest = self.manifest_in(folder)
        check_weights(folder, manifest)
        where = f"the {self.name} {folder}"
        saved, loaded = dict(manifest.fingerprint), _fits(embedder)
        ours, theirs = saved.pop("embedder", ""), loaded.pop("embedder")
        check_fingerprint(saved, loaded, where)
        if ours != theirs:
            raise FingerprintMismatch(
                where, "embedder", ours, theirs, f"`{self.command}` makes one for this embedder"
            )
        return Opened(manifest, read_tensors(folder / WEIGHTS))


def _fits(embedder: Embedder) -> dict[str, str]:
    return {**embedder.backbone.fingerprint(), "embedder": embedder.fingerprint()}
