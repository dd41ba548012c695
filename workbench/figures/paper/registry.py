"""All figures of the paper in their order."""

from __future__ import annotations

from workbench.errors import UsageError
from workbench.figures.paper import (
    ablations,
    attribution,
    decode_trust,
    gem_mask,
    interpolation,
    latent_lens,
    logit_lens,
    methods,
    neighbourhoods,
    safety,
    size_quality,
    training_curves,
)
from workbench.figures.paper.figure import PaperFigure

__all__ = ["FIGURES", "PaperFigure", "figure_named"]

FIGURES: tuple[PaperFigure, ...] = (
    gem_mask.FIGURE,
    neighbourhoods.FIGURE,
    methods.MAIN_TABLE,
    ablations.SPECIAL_TOKENS,
    ablations.OBJECTIVES,
    ablations.MIX_RATIO,
    safety.FIGURE,
    methods.REASONING,
    logit_lens.FIGURE,
    latent_lens.FIGURE,
    attribution.FIGURE,
    decode_trust.FIGURE,
    interpolation.FIGURE,
    training_curves.FIGURE,
    size_quality.FIGURE,
)


def figure_named(name: str) -> PaperFigure:
    """The figure of that name, dashes or not; UsageError that lists all where there is none."""
    for figure in FIGURES:
        if figure.name == name.replace("-", "_"):
            return figure
    raise UsageError(f"no figure {name}: there are {', '.join(figure.name for figure in FIGURES)}")
