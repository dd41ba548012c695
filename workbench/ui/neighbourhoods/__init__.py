"""The page *Neighbourhoods*: texts on a map; every point can be read again, and its neighbours can be looked at."""

from workbench.ui.neighbourhoods.page import page
from workbench.ui.neighbourhoods.source import Source, Sources

__all__ = ["Source", "Sources", "page"]
