"""The forms in which `encode` gives embeddings away: shorter, of length 1, in fewer bits.

They and their order are those of sentence-transformers: cut first, then normalize, then quantize.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor

from workbench.errors import UsageError

PRECISIONS = ("float32", "int8", "uint8", "binary", "ubinary")


def check_output(texts: int, dimension: int, truncate_dim: int | None, precision: str) -> None:
    """Raises UsageError where `texts` embeddings `[texts, dimension]` cannot be given in this form."""
    if precision not in PRECISIONS:
        raise UsageError(f"precision must be one of {', '.join(PRECISIONS)}, not {precision!r}")
    if truncate_dim is not None and not 1 <= truncate_dim <= dimension:
        raise UsageError(f"truncate_dim must be from 1 to {dimension}, not {truncate_dim}")
    if precision in ("int8", "uint8") and texts == 1:
        raise UsageError(
            f"{precision} takes its ranges from the texts, and one text has none: give more, or another precision"
        )


def in_form(
    vectors: Float[Tensor, "b d_e"],
    *,
    truncate_dim: int | None = None,
    normalize: bool = False,
    precision: str = "float32",
) -> Shaped[Tensor, "b size"]:
    """The first `truncate_dim` numbers of every embedding, with length 1 if asked for, in `precision`.

    int8 and uint8 divide the range that each dimension has in these very texts into 256 steps; binary and ubinary
    keep the signs, eight of them in a byte.
    """
    vectors = vectors[:, :truncate_dim]
    if normalize:
        vectors = F.normalize(vectors, dim=-1)
    if precision == "float32":
        return vectors
    from sentence_transformers import quantize_embeddings

    return torch.as_tensor(quantize_embeddings(vectors, precision=precision))  # type: ignore[arg-type]
