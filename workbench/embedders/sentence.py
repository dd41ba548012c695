"""An artifact as a module of sentence-transformers: `SentenceTransformer(path, trust_remote_code=True)` makes it.

`modules.json` of an artifact names `WorkbenchEmbedder`; sentence-transformers imports no class but its own without
`trust_remote_code`, however harmless.
"""

import warnings
from dataclasses import replace
from typing import Any

from sentence_transformers.base.modules import InputModule
from torch import Tensor

from workbench.embedders.artifact import Manifest, folder_of, load_embedder, save
from workbench.embedders.base import truncation
from workbench.embedders.trained import TrainedEmbedder
from workbench.errors import UsageError


class WorkbenchEmbedder(InputModule):
    """A whole embedder as the first and only module: texts in, `sentence_embedding` `[b, d_e]` out.

    The backbone and all that is trained are submodules, so `to`, `half` and a trainer's gradients reach them; the
    backbone stays frozen and in eval mode.
    """

    save_in_root = True

    def __init__(self, embedder: TrainedEmbedder, record: dict[str, Any] | None = None) -> None:
        """`record` is what the artifact says of its making, kept for `save`."""
        super().__init__()
        self.embedder, self.record = embedder, record or {}
        self.backbone, self.trained = embedder.backbone.model, embedder.module

    @classmethod
    def load(  # type: ignore[override]
        cls,
        model_name_or_path: str,
        subfolder: str = "",
        *,
        token: bool | str | None = None,
        cache_folder: str | None = None,
        revision: str | None = None,
        local_files_only: bool = False,
        trust_remote_code: bool = False,
        model_kwargs: dict[str, Any] | None = None,
        backend: str = "torch",
        **_: Any,
    ) -> "WorkbenchEmbedder":
        """The artifact in a folder or on the hub, on the device and in the type that `load_embedder` would take.

        `model_kwargs` may give the backbone's `dtype`. `trust_remote_code` holds for the backbone too. Raises what
        `load_embedder` raises, and UsageError for another backend or another setting.
        """
        settings = dict(model_kwargs or {})
        dtype = settings.pop("dtype", settings.pop("torch_dtype", None)) or "auto"
        if settings or backend != "torch":
            asked = [*settings, *([backend] if backend != "torch" else [])]
            raise UsageError(
                f"a workbench embedder runs on torch and takes dtype only, not {', '.join(asked)}"
            )
        where = {"token": token, "cache_folder": cache_folder, "revision": revision}
        found = cls.load_dir_path(model_name_or_path, subfolder, local_files_only=local_files_only, **where)
        folder = folder_of(found or model_name_or_path)
        embedder = load_embedder(
            folder,
            dtype=str(dtype).removeprefix("torch."),
            token=token,
            cache_dir=cache_folder,
            local_files_only=local_files_only,
            trust_remote_code=trust_remote_code,
        )
        if not isinstance(embedder, TrainedEmbedder):
            raise UsageError(
                f"{folder}: sentence-transformers reads trained embedders, not {embedder.method}"
            )
        manifest = vars(Manifest.read(folder))
        record = {name: manifest[name] for name in ("metrics", "seeds", "data_hash", "training")}
        return cls(embedder, record)

    def preprocess(  # type: ignore[override]
        self,
        inputs: list[str],
        prompt: str | None = None,
        *,
        processing_kwargs: dict[str, Any] | None = None,
        **_: Any,
    ) -> dict[str, Tensor]:
        """Token ids and mask `[b, t]` behind the instruction, padded on the left; warns where texts lost their tail."""
        if processing_kwargs:
            raise UsageError(
                "a workbench embedder has no processing_kwargs; max_seq_length sets how much it reads"
            )
        tokens = self.embedder.tokenize(list(inputs), instruction=prompt)
        if tokens.truncated:
            warnings.warn(truncation(tokens.truncated, len(tokens.ids)), stacklevel=2)
        batch = self.embedder.backbone.pad(tokens.ids, side="left")
        return {"input_ids": batch.ids, "attention_mask": batch.mask.long()}

    def forward(self, features: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Adds the embeddings `[b, d_e]` of the tokens in `features`, in float32."""
        rows = zip(features["input_ids"], features["attention_mask"].bool(), strict=True)
        vectors = self.embedder.encode_batch([ids[real].tolist() for ids, real in rows])
        return {**features, "sentence_embedding": vectors.embedding.float()}

    def get_embedding_dimension(self) -> int:
        """The size of an embedding."""
        return self.embedder.dimension

    @property
    def tokenizer(self) -> Any:
        """The backbone's tokenizer."""
        return self.embedder.backbone.tokenizer

    @property
    def max_seq_length(self) -> int:
        """Most tokens of a text, template and instruction included."""
        return self.embedder.config.max_length

    @max_seq_length.setter
    def max_seq_length(self, length: int) -> None:
        self.embedder.config = replace(self.embedder.config, max_length=length)

    def train(self, mode: bool = True) -> "WorkbenchEmbedder":
        """As every module, but the frozen backbone stays in eval mode."""
        super().train(mode)
        self.backbone.eval()
        return self

    def save(self, output_path: str, *_: Any, **__: Any) -> None:
        """The artifact; sentence-transformers writes its own two files beside it."""
        save(self.embedder, output_path, for_sentence_transformers=False, **self.record)

    def get_config_dict(self) -> dict[str, Any]:
        """What the module shows of itself."""
        return {"method": self.embedder.method, **self.embedder.config.to_dict()}
