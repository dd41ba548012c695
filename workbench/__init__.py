"""Text goes in, a frozen language model turns it into a few vectors, and every vector can be read again."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.backbone import Backbone
    from workbench.decoding.decode import decode
    from workbench.embedders.artifact import load_embedder
    from workbench.embedders.auto import AutoEmbedder
    from workbench.embedders.encoding import Encoding

__version__ = "0.1.0"
__all__ = ["AutoEmbedder", "Backbone", "Encoding", "__version__", "decode", "load_embedder"]

_HOMES = {
    "AutoEmbedder": "workbench.embedders.auto",
    "Backbone": "workbench.backbone",
    "Encoding": "workbench.embedders.encoding",
    "decode": "workbench.decoding.decode",
    "load_embedder": "workbench.embedders.artifact",
}


def __getattr__(name: str) -> Any:
    """Imports the public names when they are first asked for, so that `import workbench` stays instant."""
    if name not in _HOMES:
        raise AttributeError(f"module 'workbench' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
