"""An embedder as `mteb.evaluate` takes it, with an instruction for every task (arXiv 2603.10913v2, section 4.2).

    mteb.evaluate(MtebEmbedder(load_embedder()), mteb.get_benchmark("MTEB(eng, v2)").tasks)

Needs the `mteb` extra. Of mteb 2 it keeps to the encoder protocol and inherits nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from workbench.embedders.base import Embedder
from workbench.embedders.instructions import BRIGHT, PROMPTS, bright_task
from workbench.errors import UsageError
from workbench.evaluation.readers import instruction
from workbench.files import hash_bytes

if TYPE_CHECKING:
    from mteb.abstasks.task_metadata import TaskMetadata
    from mteb.models import ModelMeta
    from mteb.types import PromptType

BRIGHT_IN_ONE = ("BrightRetrieval", "BrightLongRetrieval")
"""mteb's tasks that hold BRIGHT's splits as subsets; its newer ones are a task each."""


class MtebEmbedder:
    """The encoder that mteb evaluates; its results are filed under the embedder's fingerprint and its instructions."""

    def __init__(self, embedder: Embedder, name: str | None = None) -> None:
        """`name` is "organization/model", under which mteb files results.

        The embedder's own prompts hold before those of `instructions.PROMPTS`. Raises UsageError where mteb is missing
        or the name is none.
        """
        self.embedder = embedder
        self.prompts = {**PROMPTS, **embedder.prompts}
        self.mteb_model_meta = _meta(embedder, self.prompts, name)

    def instruction(
        self, task: TaskMetadata, hf_subset: str = "default", prompt_type: PromptType | None = None
    ) -> str:
        """What is put before each text of this side (query, document or neither) of a task.

        The task's own instruction goes before that of its type, and that of one side before that of both. Raises
        UsageError where there is none.
        """
        names: list[str] = [task.name, task.type]
        if task.name in BRIGHT_IN_ONE and hf_subset in BRIGHT:
            names.insert(0, bright_task(hf_subset))
        found = instruction(self.prompts, names, None if prompt_type is None else prompt_type.value)
        if found is None:
            raise UsageError(
                f"no instruction for {task.name}, a task of type {task.type}: put one under {task.name!r} into the"
                " embedder's prompts"
            )
        return found

    def encode(
        self,
        inputs: Iterable[dict[str, Any]],
        *,
        task_metadata: TaskMetadata,
        hf_split: str,
        hf_subset: str,
        prompt_type: PromptType | None = None,
        **options: Any,
    ) -> np.ndarray:
        """Embeddings `[b, d_e]` of all texts in mteb's batches; `options` are those of `Embedder.encode`."""
        prompt = self.instruction(task_metadata, hf_subset, prompt_type)
        texts = [text for batch in inputs for text in batch["text"]]
        return np.asarray(self.embedder.encode(texts, prompt=prompt, **options))

    def similarity(self, embeddings1: np.ndarray | Tensor, embeddings2: np.ndarray | Tensor) -> Tensor:
        """Cosine similarity `[n, m]` of every row with every row."""
        return self.embedder.similarity(embeddings1, embeddings2)

    def similarity_pairwise(
        self, embeddings1: np.ndarray | Tensor, embeddings2: np.ndarray | Tensor
    ) -> Float[Tensor, " n"]:
        """Cosine similarity of every row `[n, d_e]` with the row beside it."""
        left, right = (torch.as_tensor(rows).float() for rows in (embeddings1, embeddings2))
        return torch.nn.functional.cosine_similarity(left, right, dim=-1)


def _meta(embedder: Embedder, prompts: dict[str, str], name: str | None) -> ModelMeta:
    try:
        from mteb.models import ModelMeta
    except ImportError as error:
        raise UsageError("mteb is not installed: pip install 'workbench[mteb]'") from error
    backbone = embedder.backbone
    name = name or f"workbench/{embedder.method}-{Path(backbone.id).name}"
    if name.count("/") != 1:
        raise UsageError(f"mteb files results under organization/model, not under {name!r}")
    known = {
        "name": name,
        "revision": hash_bytes(embedder.fingerprint(), json.dumps(prompts, sort_keys=True))[:40],
        "embed_dim": embedder.dimension,
        "n_parameters": sum(weight.numel() for weight in backbone.model.parameters())
        + sum(tensor.numel() for tensor in embedder.tensors().values()),
        "max_tokens": getattr(embedder.config, "max_length", backbone.max_length),
        "similarity_fn_name": "cosine",
        "use_instructions": True,
        "framework": ["PyTorch"],
        "modalities": ["text"],
    }
    unknown = (
        "loader", "release_date", "languages", "memory_usage_mb", "license", "open_weights", "public_training_code",
        "public_training_data", "training_datasets",
    )  # fmt: skip
    return ModelMeta(**dict.fromkeys(unknown), **known)
