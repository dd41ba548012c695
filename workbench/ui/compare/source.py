"""What the page is given: two sides, and what can be asked of them; nothing is computed before it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    import numpy as np

    from workbench.atlas.compared_texts import ComparedTexts
    from workbench.atlas.comparison import Comparison, LaidMap, Nearness
    from workbench.atlas.corpus import Held
    from workbench.atlas.points import Points
    from workbench.decoding.trust import Readings

Projection = Literal["PCA", "UMAP"]


class Decoded(NamedTuple):
    """What one side decodes a text to."""

    text: str
    answer: str
    """What the language model itself says; empty where that is not known."""
    cosine: float | None
    against: str
    """What the cosine is measured with."""


@dataclass(frozen=True)
class Side:
    """One side of the comparison. Both functions raise WorkbenchError where they cannot answer."""

    name: str
    key: str
    """Tells these vectors from all others."""
    vectors: np.ndarray
    """`[n, d_e]`: a row for each of the compared texts."""
    decoded: Callable[[int], Decoded | None]
    """What one of the texts decodes to; None where that is not known."""
    own: Callable[[str], Readings] | None = None
    """A text of the user's own, read; None where no text can be read any more."""
    says: str = ""
    """What has to be said of these vectors."""


@dataclass(frozen=True)
class Pair:
    """Two sides with their maps of the same texts."""

    texts: ComparedTexts
    left: Side
    right: Side
    left_map: LaidMap
    right_map: LaidMap
    comparison: Comparison
    around: Sequence[LaidMap] | None = None
    """Maps whose part of the plane is shown, where it is not that of these two."""

    @property
    def key(self) -> str:
        """A selection belongs to the texts, whoever is compared on them."""
        return f"compared {self.texts.key}"

    @cached_property
    def points(self) -> tuple[Points, Points]:
        """Both sides as points on their maps."""
        return self._points(self.left, self.left_map), self._points(self.right, self.right_map)

    def _points(self, side: Side, laid: LaidMap) -> Points:
        from workbench.atlas.points import Points

        ids = [str(row) for row in range(len(self.texts))]
        return Points(ids, self.texts.texts, self.texts.metadata, side.vectors, laid.coords, "", len(ids))


@dataclass(frozen=True)
class Watched:
    """A training run that was watched."""

    texts: ComparedTexts
    steps: list[int]
    side: Callable[[int], Side]
    """The embedder as it was at one of the steps."""
    approach: Callable[[], list[Nearness]]
    """How near each step is to the last one."""
    maps: Callable[[], list[LaidMap]]
    """A map of each step, every one laid onto the last."""


@dataclass(frozen=True)
class Opened:
    """How both sides are opened; every function raises WorkbenchError where it cannot."""

    name: str
    """The embedder of the sidebar, on the left."""
    others: Sequence[str]
    """What to choose from for the right; the first by default."""
    atlas: Callable[[], ComparedTexts]
    hold: Callable[[str, bytes], Held]
    """A file's name and bytes, put into a temporary folder and looked over."""
    texts: Callable[[Held, str], ComparedTexts]
    side: Callable[[str, ComparedTexts, Callable[[int, int], Any]], Side]
    """An embedder by name, folder or hub id ("" = the sidebar's), while `progress(done, total)` is told."""
    compared: Callable[[Side, Side], Comparison]
    maps: Callable[[Side, Side, Projection], list[LaidMap]]
    """A map of each, the right one laid onto the left one."""
    runs: Sequence[str]
    """Folders of runs that were watched."""
    watch: Callable[[str], Watched]
