"""A map of a store: where every row stands in the plane, how many neighbours that keeps, and which rows decided it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from workbench.atlas import projection
from workbench.atlas.neighbours import preserved
from workbench.atlas.plans import MapPlan
from workbench.atlas.sample import Sample, columns, groups, stratified
from workbench.atlas.store import Coordinates, Store
from workbench.config import Config
from workbench.errors import WorkbenchError

MEASURED = 2_000
"""Rows whose neighbours are compared, with all others, to measure a map."""


@dataclass(frozen=True)
class MapFacts(Config):
    """What a store keeps beside its map."""

    projection: str
    """What drew it: UMAP, or PCA (also where UMAP was asked for and there were too few rows)."""
    method: str
    seed: int
    total: int
    """Rows on the map."""
    fitted: int
    """Rows that it was computed on; the others stand among their nearest of those."""
    by: str | None
    """The metadata column in proportion to which those were drawn; None where all were taken, or any."""
    neighbours: int
    preserved: float
    """Share of a row's nearest neighbours that are also its nearest on the map, on average."""
    chance: float
    """The share that a random map would keep."""
    measured: int
    """On how many rows, drawn at random, that was measured (each among all rows)."""

    def lines(self) -> list[str]:
        """What to say beside the map."""
        drawn = f"{self.projection} of {self.total:,} rows, seed {self.seed}"
        if self.fitted < self.total:
            evenly = f", in proportion by {self.by}" if self.by else ""
            drawn += f": fitted on {self.fitted:,}{evenly}, the others placed by their neighbours"
        kept = f"keeps {self.preserved:.3f} of the {self.neighbours} nearest neighbours (chance {self.chance:.3f})"
        return [drawn, kept + (f", measured on {self.measured:,} rows" if self.measured < self.total else "")]


@dataclass(frozen=True)
class StoreMap:
    """Every row's place, in the order of the input."""

    ids: list[str]
    points: Float[np.ndarray, "n 2"]
    facts: MapFacts
    shown: Sample
    """The rows that a figure shows; those that UMAP was fitted on."""
    groups: list[str]
    """Each row's value of the column asked for, "" without one."""

    def __post_init__(self) -> None:
        if not len(self.ids) == len(self.points) == self.facts.total == self.shown.total == len(self.groups):
            raise ValueError(f"a map of {self.facts.total} rows has {len(self.points)} points")


def map_of(store: Store, plan: MapPlan, *, report: Callable[[str], Any] | None = None) -> StoreMap:
    """The map that the store keeps, where it is of these rows and made by `plan`; else a new one, which it then keeps.

    `report` is told in one line why there has to be a new one, before the work. Raises UsageError for a column that
    the store has not, or one with more values than rows to draw, WorkbenchError for fewer than three rows.
    """
    store.refresh()
    if len(store) < 3:
        raise WorkbenchError(f"the store {store.uri} has {len(store)} rows; a map needs at least three")
    values = groups(store, plan.by)
    shown = stratified(values, plan.rows, plan.seed)
    ids, kept = columns(store, ["id"])["id"], store.coordinates()
    why = outdated(kept, _decisive(plan, shown), ids)
    if why is None and kept is not None:
        return StoreMap(ids, kept.points, MapFacts.from_dict(kept.facts), shown, values)
    if report is not None:
        report(why or "")
    vectors = store.vectors().embeddings
    points = place_all(vectors, plan, shown)
    facts = _measured(vectors, points, plan, shown)
    store.write_coordinates(ids, points, facts.to_dict())
    return StoreMap(ids, points, facts, shown, values)


def seen(store: Store, rows: int) -> StoreMap:
    """The map that the store keeps of its rows, however it was made, or PCA where there is none; nothing is written.

    At most `rows` of it are shown, in proportion by the column that the kept map was drawn by. Raises WorkbenchError
    for fewer than three rows.
    """
    store.refresh()
    if len(store) < 3:
        raise WorkbenchError(f"the store {store.uri} has {len(store)} rows; a map needs at least three")
    ids, kept = columns(store, ["id"])["id"], store.coordinates()
    if kept is not None and kept.ids == ids:
        facts = MapFacts.from_dict(kept.facts)
        values = groups(store, facts.by)
        return StoreMap(ids, kept.points, facts, stratified(values, rows, facts.seed), values)
    plan, values = MapPlan(method="pca", rows=rows), [""] * len(ids)
    vectors, shown = store.vectors().embeddings, stratified(values, rows)
    points = projection.pca(vectors)
    return StoreMap(ids, points, _measured(vectors, points, plan, shown), shown, values)


def outdated(kept: Coordinates | None, wanted: dict[str, Any], ids: Sequence[str]) -> str | None:
    """Why the map that a store keeps is not the `wanted` one of the rows `ids`, in one line; None where it is."""
    if kept is None:
        return "the store has no map yet: making one"
    if len(kept.ids) != len(ids):
        return f"the store has {len(ids):,} rows and its map {len(kept.ids):,}: making it again"
    if kept.ids != list(ids):
        return "the store's map is of other rows: making it again"
    changed = [name for name in wanted if kept.facts.get(name) != wanted[name]]
    if not changed:
        return None
    before, now = (", ".join(f"{name} {side.get(name)}" for name in changed) for side in (kept.facts, wanted))
    return f"the store's map was made with {before}, not {now}: making it again"


def place_all(vectors: Float[np.ndarray, "n d_e"], plan: MapPlan, fitted: Sample) -> Float[np.ndarray, "n 2"]:
    """Every vector's place: PCA of all, or UMAP of the fitted rows with the others among their nearest of those."""
    if plan.method == "pca":
        return projection.pca(vectors)
    points = np.empty((len(vectors), 2), np.float32)
    points[fitted.rows] = projection.umap(vectors[fitted.rows], plan.seed)
    others = np.setdiff1d(np.arange(len(vectors)), fitted.rows, assume_unique=True)
    points[others] = projection.place(vectors[others], vectors[fitted.rows], points[fitted.rows])
    return points


def _decisive(plan: MapPlan, shown: Sample) -> dict[str, Any]:
    """All that decides where the rows stand: PCA is of all rows, and a column counts only where rows are drawn."""
    fitted = len(shown) if plan.method == "umap" else shown.total
    by = plan.by if fitted < shown.total else None
    return {"method": plan.method, "seed": plan.seed, "fitted": fitted, "by": by}


def _measured(vectors: np.ndarray, points: np.ndarray, plan: MapPlan, shown: Sample) -> MapFacts:
    decisive = _decisive(plan, shown)
    asked = stratified([""] * len(vectors), MEASURED, plan.seed).rows
    kept = preserved(vectors, points, rows=asked)
    drawn = "UMAP" if plan.method == "umap" and decisive["fitted"] >= projection.FEWEST else "PCA"
    return MapFacts(
        projection=drawn,
        **decisive,
        total=len(vectors),
        neighbours=kept.k,
        preserved=kept.mean,
        chance=kept.chance,
        measured=len(asked),
    )
