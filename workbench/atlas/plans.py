"""How a store is mapped and clustered (no heavy imports: the command line reads its flags from here)."""

from dataclasses import dataclass
from typing import Literal

from workbench.config import Config
from workbench.errors import UsageError

ROWS = 20_000
"""Rows that are worked on unless told otherwise: what UMAP and HDBSCAN do in minutes."""


@dataclass(frozen=True)
class MapPlan(Config):
    """How a store is mapped; a map that was made otherwise is made again."""

    method: Literal["umap", "pca"] = "umap"
    """umap takes a minute or more and is kept in the store; pca is two straight axes, at once."""
    rows: int = ROWS
    """A figure shows at most so many rows, and UMAP is fitted on as many; their neighbours place the others."""
    by: str | None = None
    """A metadata column: each of its values keeps its share where rows are sampled, and has a colour."""
    seed: int = 0
    """Decides the sample, and UMAP."""

    def __post_init__(self) -> None:
        if self.method not in ("umap", "pca"):
            raise UsageError(f"maps are made by umap or pca, not {self.method!r}")
        if self.rows < 3:
            raise UsageError(f"rows must be at least 3, not {self.rows}")
        _check_seed(self.seed)


@dataclass(frozen=True)
class ClusterPlan(Config):
    """How the rows of a store are clustered."""

    method: Literal["hdbscan", "kmeans"] = "hdbscan"
    """hdbscan finds how many clusters there are and leaves rows outside of them; kmeans puts every row in one."""
    size: int | None = None
    """The smallest cluster for hdbscan (else 5); how many clusters for kmeans (else the root of half the rows)."""
    rows: int = ROWS
    """At most so many rows are clustered; of a larger store, a sample."""
    by: str | None = None
    """A metadata column: each of its values keeps its share where rows are sampled."""
    seed: int = 0
    """Decides the sample, and where kmeans starts."""

    def __post_init__(self) -> None:
        if self.method not in ("hdbscan", "kmeans"):
            raise UsageError(f"clusters are found by hdbscan or kmeans, not {self.method!r}")
        if self.rows < 2:
            raise UsageError(f"rows must be at least 2, not {self.rows}")
        _check_seed(self.seed)


def _check_seed(seed: int) -> None:
    if not 0 <= seed < 2**32:  # what numpy, scikit-learn and UMAP all take
        raise UsageError(f"a seed must be from 0 to {2**32 - 1}, not {seed}")
