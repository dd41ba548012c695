"""What the app keeps in memory, embedders, readings and maps: this folder alone uses Streamlit's caches."""

from workbench.ui.loaders.artifacts import Facts, Measured, facts, measured
from workbench.ui.loaders.atlases import atlas, has_atlas
from workbench.ui.loaders.comparisons import open_comparison
from workbench.ui.loaders.computed import Said, Tools
from workbench.ui.loaders.embedders import (
    NAMES,
    Loaded,
    Source,
    in_memory,
    is_default,
    loaded,
    shipped_embedders,
    source,
    unload,
    unload_folder,
)
from workbench.ui.loaders.evaluations import Evaluated, evaluated, known_evaluations
from workbench.ui.loaders.lenses import Lenses
from workbench.ui.loaders.papers import Drawn, paper_figure
from workbench.ui.loaders.readings import attend, judge, read
from workbench.ui.loaders.runs import known_runs, run, watched
from workbench.ui.loaders.stores import map_sources

__all__ = [
    "NAMES",
    "Drawn",
    "Evaluated",
    "Facts",
    "Lenses",
    "Loaded",
    "Measured",
    "Said",
    "Source",
    "Tools",
    "atlas",
    "attend",
    "evaluated",
    "facts",
    "has_atlas",
    "in_memory",
    "is_default",
    "judge",
    "known_evaluations",
    "known_runs",
    "loaded",
    "map_sources",
    "measured",
    "open_comparison",
    "paper_figure",
    "read",
    "run",
    "shipped_embedders",
    "source",
    "unload",
    "unload_folder",
    "watched",
]
