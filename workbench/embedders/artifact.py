"""A saved embedder: `config.json`, `model.safetensors` and the model card `README.md`; never a pickle.

Beside them, `modules.json` and `config_sentence_transformers.json` let sentence-transformers load the folder; they say
nothing that `config.json` does not say.
"""

import os
from pathlib import Path
from typing import Any

from workbench.backbone import Backbone
from workbench.embedders.base import Embedder
from workbench.embedders.card import model_card
from workbench.embedders.gem import GEM
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.embedders.manifest import (
    CARD,
    CONFIG,
    LIBRARIES,
    MODULES,
    SENTENCE_CONFIG,
    WEIGHTS,
    Manifest,
    check_weights,
    read_tensors,
    settings_of,
    write_folder,
)
from workbench.embedders.official import FILES, is_checkpoint, load_checkpoint
from workbench.errors import FingerprintMismatch, UsageError, WorkbenchError
from workbench.files import json_text, shipped
from workbench.hub import HubAccess, fetch_command
from workbench.libraries import versions

SENTENCE_MODULE = "workbench.embedders.sentence.WorkbenchEmbedder"
"""The class with which sentence-transformers loads an artifact."""
METHODS: dict[str, type[Embedder]] = {LLM2VecGen.method: LLM2VecGen, GEM.method: GEM}


def save(
    embedder: Embedder,
    path: str | Path,
    *,
    metrics: dict[str, float] | None = None,
    seeds: dict[str, int] | None = None,
    data_hash: str | None = None,
    training: dict[str, Any] | None = None,
    for_sentence_transformers: bool = True,
) -> Path:
    """Write the artifact into the folder `path`; other files there stay.

    A save that fails leaves what was there, one that is killed a folder that is whole or that loading refuses
    (`write_folder`). The same embedder gives the same bytes.
    Without `for_sentence_transformers`, its two files are left to sentence-transformers, which is saving.
    """
    folder = Path(path)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; an embedder is saved into a folder")

    def about(weights: str) -> Manifest:
        return Manifest(
            method=embedder.method,
            backbone=_name_of(embedder.backbone, folder),
            fingerprint=embedder.backbone.fingerprint(),
            config=embedder.config.to_dict(),
            prompts=embedder.prompts,
            weights=weights,
            dimension=embedder.dimension,
            data_hash=data_hash,
            seeds=seeds or {},
            metrics=metrics or {},
            training=training or {},
            libraries=versions(LIBRARIES),
        )

    def beside(manifest: Manifest) -> dict[str, str]:
        modules = [{"idx": 0, "name": "0", "path": "", "type": SENTENCE_MODULE}]
        own = {MODULES: json_text(modules), SENTENCE_CONFIG: json_text(_sentence_config(embedder))}
        return {CARD: model_card(manifest), **(own if for_sentence_transformers else {})}

    return write_folder(folder, embedder.tensors(), about, beside)


def load_embedder(
    path: str | Path | None = None,
    *,
    backbone: Backbone | str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
    trust_remote_code: bool = False,
) -> Embedder:
    """An embedder from a folder or a hub id (at `revision`); the shipped default without a path.

    `token`, `cache_dir` and `local_files_only` are `from_pretrained`'s, for the embedder and for its backbone.
    Besides artifacts it reads checkpoints of the official LLM2Vec-Gen release (`official.py`).
    Its backbone is loaded as the artifact names it, unless one is given (loaded, or by id or path). Raises
    FingerprintMismatch where the backbone is not the one it was trained on, UsageError where there is no artifact
    at `path`, WorkbenchError where it is damaged.
    """
    hub = HubAccess(token, cache_dir, local_files_only)
    folder = folder_of(path, revision, hub)
    if is_checkpoint(folder):
        return load_checkpoint(
            folder,
            backbone=backbone,
            device=device,
            dtype=dtype,
            trust_remote_code=trust_remote_code,
            hub=hub,
        )
    manifest = Manifest.read(folder)
    if manifest.method not in METHODS:
        raise WorkbenchError(f"{folder}: unknown method {manifest.method!r}; known: {', '.join(METHODS)}")
    check_weights(folder, manifest)
    if not isinstance(backbone, Backbone):
        backbone = Backbone.load(
            backbone or backbone_at(manifest.backbone, folder),
            device=device,
            dtype=dtype,
            revision=None if backbone else manifest.fingerprint.get("revision") or None,
            trust_remote_code=trust_remote_code,
            **hub._asdict(),
        )
    check_fingerprint(manifest.fingerprint, backbone.fingerprint(), str(folder))
    tensors = read_tensors(folder / WEIGHTS)
    with settings_of(folder):
        return METHODS[manifest.method].restore(backbone, manifest.config, tensors, manifest.prompts)


def check_fingerprint(saved: dict[str, str], loaded: dict[str, str], where: str) -> None:
    """Refuse a backbone that differs in any part from the one that `where` was trained on.

    Config, weights, tokenizer and template decide. The revision counts where both sides know theirs, the backbone's
    name only where a weight hash is missing: a moved or renamed copy with the same bytes is the same backbone.
    """
    for part in sorted(set(saved) | set(loaded)):
        ours, theirs = saved.get(part), loaded.get(part)
        if part == "backbone" and saved.get("weights") and loaded.get("weights"):
            continue
        if part == "revision" and not (ours and theirs):
            continue
        if ours != theirs:
            raise FingerprintMismatch(where, part, str(ours), str(theirs))


def _sentence_config(embedder: Embedder) -> dict[str, Any]:
    """What sentence-transformers reads: the prompts, and that similarity is the cosine, as in `similarity`."""
    return {
        "default_prompt_name": None,
        "model_type": "SentenceTransformer",
        "prompts": embedder.prompts,
        "similarity_fn_name": "cosine",
    }


def _name_of(backbone: Backbone, folder: Path) -> str:
    """The backbone as an artifact names it: a path becomes relative to the artifact's folder."""
    if Path(backbone.id).is_dir() and backbone.id != "fieldguide":
        return os.path.relpath(Path(backbone.id).resolve(), folder.resolve())
    return backbone.id


def backbone_at(name: str, folder: Path) -> str:
    """The backbone that an artifact in `folder` calls `name`: a shipped name, a hub id, or the path of a folder."""
    inside = folder / name
    return str(inside.resolve()) if name != "fieldguide" and inside.is_dir() else name


def folder_of(path: str | Path | None, revision: str | None = None, hub: HubAccess | None = None) -> Path:
    """The folder of an artifact: the shipped default's, a folder, or a hub id's download. UsageError for none."""
    if path is None:
        return shipped("embedders", "llm2vec-gen")
    if Path(path).exists():
        if not Path(path).is_dir():
            raise UsageError(f"{path} is a file; an embedder is a folder with {CONFIG} and {WEIGHTS}")
        return Path(path)
    name = str(path)
    if name.count("/") != 1 or name.startswith((".", "/", "~")) or name.endswith("/"):
        raise UsageError(f"no embedder at {path}: the folder does not exist")
    from huggingface_hub import snapshot_download

    hub = hub or HubAccess()
    options = hub.options()
    try:
        wanted = [CONFIG, WEIGHTS, CARD, *FILES]
        return Path(snapshot_download(name, revision=revision, allow_patterns=wanted, **options))
    except Exception as error:  # every way in which a hub can fail means the same to the caller
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        fetch = fetch_command(name, revision, hub.cache_dir)
        hint = f"; where the hub is in reach: {fetch}" if options["local_files_only"] else ""
        raise UsageError(
            f"no embedder at {name}: no such folder, and the hub did not give it ({reason}){hint}"
        ) from error
