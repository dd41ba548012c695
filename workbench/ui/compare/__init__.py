"""The page *Compare*: two embedders, or two steps of a training run, on the same texts."""

from workbench.ui.compare.page import page
from workbench.ui.compare.source import Decoded, Opened, Side, Watched

__all__ = ["Decoded", "Opened", "Side", "Watched", "page"]
