"""`AutoEmbedder`: loading and pushing under the names that users of transformers know."""

from pathlib import Path
from typing import Any

from workbench.embedders.artifact import load_embedder
from workbench.embedders.base import Embedder
from workbench.embedders.publish import push_to_hub


class AutoEmbedder:
    """Never made itself: `from_pretrained` gives an embedder of whatever method the artifact holds."""

    def __init__(self) -> None:
        raise TypeError(
            "AutoEmbedder is not made by hand: call AutoEmbedder.from_pretrained(folder or hub id)"
        )

    @staticmethod
    def from_pretrained(id_or_path: str | Path | None = None, **options: Any) -> Embedder:
        """`load_embedder`, with its options (`revision`, `token`, `cache_dir`, `local_files_only` among them)."""
        return load_embedder(id_or_path, **options)

    push_to_hub = staticmethod(push_to_hub)
