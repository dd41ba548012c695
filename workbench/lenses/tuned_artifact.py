"""A saved tuned lens: `config.json` and `model.safetensors`; it fits the embedder that it was trained for alone."""

from pathlib import Path

from workbench.embedders.base import Embedder
from workbench.embedders.companion import Companion
from workbench.embedders.manifest import settings_of
from workbench.lenses.tuned import Trained, Translators
from workbench.lenses.tuned_config import TunedTraining

TUNED_LENS = Companion("tuned-lens", "tuned lens", "workbench lens train-tuned")


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
    metrics = {
        f"held_out_kl_{name}_layer_{layer}": value
        for name, values in (("logit", trained.logit), ("tuned", trained.tuned))
        for layer, value in enumerate(values)
    }
    layers, size = trained.probes.bias.shape
    return TUNED_LENS.save(
        trained.probes,
        embedder,
        path,
        config={"layers": layers, "size": size},
        data_hash=data_hash,
        seeds={"seed": training.seed},
        metrics=metrics,
        training={**training.to_dict(), "states": trained.states},
    )


def load_tuned_lens(embedder: Embedder, path: str | Path) -> Translators:
    """The translators in a folder, on the device of their embedder.

    Raises FingerprintMismatch where `embedder` or its backbone is not the one that they were trained for, UsageError
    where there is no tuned lens at `path`, WorkbenchError where it is damaged.
    """
    folder = TUNED_LENS.folder_at(path)
    manifest, tensors = TUNED_LENS.read(embedder, folder)
    shape = manifest.config
    with settings_of(folder):
        probes = Translators(shape["layers"], shape["size"])
        probes.load_state_dict(tensors)
    return probes.to(embedder.backbone.device).eval()
