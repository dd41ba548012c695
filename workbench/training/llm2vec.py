"""An LLM2Vec-style teacher: the backbone read in both directions with a LoRA, mean-pooled (arXiv 2404.05961).

The backbone is left as it is: what trains lies beside it and is switched on where the teacher reads.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from workbench import files
from workbench.backbone import Backbone, PaddedBatch
from workbench.embedders.artifact import check_fingerprint
from workbench.embedders.config import LLM2VecConfig
from workbench.embedders.lora import Lora
from workbench.embedders.manifest import CONFIG, WEIGHTS, Manifest, check_weights, read_tensors, settings_of
from workbench.embedders.pooled import MeanPool
from workbench.errors import UsageError, WorkbenchError
from workbench.masks import bidirectional_mask


class LLM2VecTeacher(MeanPool):
    """The mean of the last hidden states of a text whose tokens all see each other. It is a teacher and an embedder.

    Its vectors have the length that the states have; SimCSE trains their direction alone.
    """

    method = "llm2vec"
    config_type = LLM2VecConfig
    config: LLM2VecConfig

    def __init__(
        self,
        backbone: Backbone,
        config: LLM2VecConfig | None = None,
        prompts: dict[str, str] | None = None,
        *,
        id: str = method,
        seed: int = 0,
    ) -> None:
        super().__init__(backbone, config, prompts)
        draw = torch.Generator().manual_seed(seed)
        self.id = id
        self.lora = Lora(backbone.model, self.config.lora_rank, self.config.lora_alpha, draw).to(
            backbone.device
        )

    @classmethod
    def restore(
        cls, backbone: Backbone, config: dict[str, Any], tensors: dict[str, Tensor], prompts: dict[str, str]
    ) -> "LLM2VecTeacher":
        teacher = cls(backbone, LLM2VecConfig.from_dict(config), prompts)
        try:
            teacher.lora.load_state_dict(tensors)
        except RuntimeError as error:
            raise WorkbenchError(f"the saved tensors do not fit their configuration: {error}") from error
        return teacher

    def tensors(self) -> dict[str, Tensor]:
        return {name: tensor.detach().cpu().contiguous() for name, tensor in self.lora.state_dict().items()}

    def fingerprint(self) -> str:
        """Hash of the backbone's weights and tokenizer, its dtype, and this teacher's configuration and tensors.

        Names play no part: a teacher that moved, on a backbone that moved, keeps the targets in their cache.
        """
        parts = self.backbone.fingerprint()
        kept = [parts[key] for key in ("config", "weights", "tokenizer", "template")]
        trained = [
            part
            for name, tensor in sorted(self.tensors().items())
            for part in (name, tensor.float().numpy().tobytes())
        ]
        settings = json.dumps([self.method, self.config.to_dict(), str(self.backbone.dtype)], sort_keys=True)
        return files.hash_bytes(settings, *kept, *trained)

    def read(
        self, inputs: Float[Tensor, "b t d"], real: Bool[Tensor, "b t"], positions: Int[Tensor, "b t"]
    ) -> Float[Tensor, "b t d"]:
        """Last hidden states (after the final norm) with the causal mask removed and the LoRA on (section 2.1).

        Training and inference both come through it; gradients reach the LoRA and `inputs`.
        """
        with self.lora.active(self.backbone.model):
            return self.backbone.hidden(inputs, mask=bidirectional_mask(real), positions=positions).last

    def states(self, batch: PaddedBatch) -> Float[Tensor, "b t d"]:
        return self.read(self.backbone.embed(batch.ids), batch.mask, batch.positions)

    def embed(self, texts: list[str], batch_size: int = 64) -> Float[np.ndarray, "b d_e"]:
        """One float32 vector a text, as a teacher gives them; longer texts lose their tail."""
        return self.represent(texts, batch_size=batch_size).embedding.numpy()


def is_saved(folder: Path) -> bool:
    """Whether the folder holds something that this package saved: its configuration names a method."""
    try:
        values = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(values, dict) and "method" in values


def load(path: str | Path, backbone: Backbone) -> LLM2VecTeacher:
    """The teacher that `workbench train teacher` wrote to the folder, on the backbone it was trained on.

    Raises FingerprintMismatch for another backbone, UsageError where the folder holds no teacher, WorkbenchError
    where it is damaged.
    """
    folder = Path(path).expanduser()
    manifest = Manifest.read(folder)
    if manifest.method != LLM2VecTeacher.method:
        raise UsageError(f"{folder} holds an embedder of the method {manifest.method}, which is no teacher")
    check_weights(folder, manifest)
    check_fingerprint(manifest.fingerprint, backbone.fingerprint(), f"teacher {folder}")
    tensors = read_tensors(folder / WEIGHTS)
    with settings_of(folder):
        teacher = LLM2VecTeacher.restore(backbone, manifest.config, tensors, manifest.prompts)
    teacher.id = str(path)
    return teacher
