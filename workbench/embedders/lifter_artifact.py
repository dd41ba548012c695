"""A saved lifter: `config.json`, `model.safetensors` and a card; it fits the embedder that it was trained for alone."""

from pathlib import Path
from typing import Any

from workbench.embedders.base import Embedder
from workbench.embedders.card import table
from workbench.embedders.companion import Companion
from workbench.embedders.config import LifterConfig
from workbench.embedders.lifter import Lifter
from workbench.embedders.manifest import CARD, Manifest, settings_of
from workbench.errors import UsageError
from workbench.files import shipped

LIFTER = Companion("lifter", "lifter", "workbench train lifter")

_CARD = """---
license: mit
library_name: workbench
tags: [text-embeddings, interpretability, lifter]
---
# Lifter for a {method} embedder on `{backbone}`

Vectors of {dimension} dimensions become {n_prompts} soft prompts, which the backbone reads as it reads the
embedder's own: so a pooled vector decodes without its text. That holds for centroids, differences and
interpolations too{teacher}.

## How to load
```python
from workbench import load_embedder
from workbench.decoding.lift import read_vectors
from workbench.embedders.lifter_artifact import load_lifter

embedder = load_embedder("path/to/its/embedder")
lifter = load_lifter(embedder, "path/to/this/folder")
vectors = embedder.encode(["What is the capital of France?", "What is the capital of Italy?"])
print(read_vectors(embedder, lifter, vectors.mean(axis=0, keepdims=True)).decoded)
```
Loading checks the fingerprint below and refuses another embedder or backbone.

## Fits
{fingerprint}

## Training
data hash `{data_hash}`, seeds {seeds}

{training}

## Metrics
{metrics}

## What a reading can and cannot show
- The backbone writes fluently from any vector, noise included: read every decoding beside its trust figures, the
  cosine between the vector and the embedding of the decoded text, and the same for shuffled pairs.
- A vector far from all that was trained on decodes to something near that was.
- Only the direction of a vector is read, never its length.

## Made with
{libraries}

Licence: MIT, for the files of this folder.
"""
_TEACHER = ", and for vectors that the teacher\n`{}` makes of any text"


def save_lifter(
    lifter: Lifter,
    embedder: Embedder,
    path: str | Path,
    *,
    metrics: dict[str, float] | None = None,
    seeds: dict[str, int] | None = None,
    data_hash: str | None = None,
    training: dict[str, Any] | None = None,
) -> Path:
    """Write the lifter of `embedder` into the folder `path`, file by file as `artifact.save` does; returns the folder.

    The same lifter gives the same bytes. Raises UsageError where `path` is a file.
    """
    return LIFTER.save(
        lifter,
        embedder,
        path,
        lambda manifest: {CARD: _card(manifest, embedder)},
        config=lifter.config.to_dict(),
        dimension=lifter.config.dimension,
        data_hash=data_hash,
        seeds=seeds or {},
        metrics=metrics or {},
        training=training or {},
    )


def load_lifter(embedder: Embedder, path: str | Path | None = None) -> Lifter:
    """The lifter in a folder, on the device of its embedder; the shipped one of its method without a path.

    Raises FingerprintMismatch where `embedder` or its backbone is not the one it was trained for, UsageError where
    there is no lifter at `path`, WorkbenchError where it is damaged.
    """
    folder = lifter_folder(embedder.method, path)
    manifest, tensors = LIFTER.read(embedder, folder)
    with settings_of(folder):
        lifter = Lifter(LifterConfig.from_dict(manifest.config))
        lifter.load_state_dict(tensors)
    return lifter.to(embedder.backbone.device).eval()


def lifter_folder(method: str, path: str | Path | None = None) -> Path:
    """Where the lifter is: at `path`, else the one that ships for a method. UsageError where there is none."""
    if path is not None:
        return LIFTER.folder_at(path)
    try:
        return LIFTER.folder_at(shipped("lifters", method))
    except UsageError as error:
        raise UsageError(
            f"{error}; `make lifter` makes the default's, `workbench train lifter` any other"
        ) from error


def read_manifest(folder: Path) -> Manifest:
    """What a lifter's folder says of it; UsageError where it holds something else."""
    return LIFTER.manifest_in(folder)


def _card(manifest: Manifest, embedder: Embedder) -> str:
    """The card as Markdown; the same manifest gives the same bytes."""
    taught = manifest.training.get("teacher")
    return _CARD.format(
        method=embedder.method,
        backbone=manifest.backbone,
        dimension=manifest.dimension,
        n_prompts=manifest.config["n_prompts"],
        teacher=_TEACHER.format(taught) if taught else "",
        fingerprint=table(manifest.fingerprint),
        data_hash=manifest.data_hash or "unknown",
        seeds=", ".join(f"{name} {seed}" for name, seed in sorted(manifest.seeds.items())) or "unknown",
        training=table(manifest.training) if manifest.training else "No training settings were recorded.",
        metrics=table(manifest.metrics) if manifest.metrics else "None were measured when this was saved.",
        libraries=table(manifest.libraries),
    )
