"""A saved tuned lens: `config.json` and `model.safetensors`; it fits the embedder that it was trained for alone."""

from pathlib import Path

from workbench.embedders.artifact import check_fingerprint
from workbench.embedders.base import Embedder
from workbench.embedders.manifest import (
    CONFIG,
    WEIGHTS,
    Manifest,
    check_weights,
    read_tensors,
    settings_of,
    versions,
    write_folder,
)
from workbench.errors import FingerprintMismatch, UsageError
from workbench.lenses.tuned import Trained, Translators
from workbench.lenses.tuned_config import TunedTraining

METHOD = "tuned-lens"


def save_tuned_lens(
    trained: Trained,
    embedder: Embedder,
    path: str | Path,
    training: TunedTraining,
    *,
    data_hash: str | None = None,
) -> Path:
    """Write the translators into the folder `path`, weights first, `config.json` last; returns the folder.

    The config holds the divergences on held-out states before and after. The same translators give the same bytes.
    Raises UsageError where `path` is a file.
    """
    folder = Path(path)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; a tuned lens is saved into a folder")
    tensors = {
        name: tensor.detach().cpu().contiguous() for name, tensor in trained.probes.state_dict().items()
    }
    metrics = {
        f"held_out_kl_{name}_layer_{layer}": value
        for name, values in (("logit", trained.logit), ("tuned", trained.tuned))
        for layer, value in enumerate(values)
    }
    layers, size = trained.probes.bias.shape

    def about(weights: str) -> Manifest:
        return Manifest(
            method=METHOD,
            backbone=embedder.backbone.id,
            fingerprint=_fits(embedder),
            config={"layers": layers, "size": size},
            prompts={},
            weights=weights,
            data_hash=data_hash,
            seeds={"seed": training.seed},
            metrics=metrics,
            training={**training.to_dict(), "states": trained.states},
            libraries=versions(),
        )

    return write_folder(folder, tensors, about)


def load_tuned_lens(embedder: Embedder, path: str | Path) -> Translators:
    """The translators in a folder, on the device of their embedder.

    Raises FingerprintMismatch where `embedder` or its backbone is not the one that they were trained for, UsageError
    where there is no tuned lens at `path`, WorkbenchError where it is damaged.
    """
    folder = Path(path).expanduser()
    if not (folder / CONFIG).is_file():
        raise UsageError(f"no tuned lens at {folder}: it is a folder that `workbench lens train-tuned` wrote")
    manifest = Manifest.read(folder)
    if manifest.method != METHOD:
        raise UsageError(f"{folder} holds a {manifest.method}, which is no tuned lens")
    check_weights(folder, manifest)
    where = f"the tuned lens {folder} (`workbench lens train-tuned` makes one that does)"
    saved, loaded = dict(manifest.fingerprint), _fits(embedder)
    ours, theirs = saved.pop("embedder", ""), loaded.pop("embedder")
    check_fingerprint(saved, loaded, where)
    if ours != theirs:
        raise FingerprintMismatch(where, "embedder", ours, theirs)
    shape, tensors = manifest.config, read_tensors(folder / WEIGHTS)
    with settings_of(folder):
        probes = Translators(shape["layers"], shape["size"])
        probes.load_state_dict(tensors)
    return probes.to(embedder.backbone.device).eval()


def _fits(embedder: Embedder) -> dict[str, str]:
    return {**embedder.backbone.fingerprint(), "embedder": embedder.fingerprint()}
