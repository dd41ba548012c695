"""Ablations: the number of special tokens, the objectives, and GEM's mix ratio."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.figures import palette
from workbench.figures.paper import intervals, style
from workbench.figures.paper.figure import PaperFigure
from workbench.figures.paper.needs import SHOWN, Like, Many

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN = palette.OKABE_ITO[0], palette.OKABE_ITO[5], palette.OKABE_ITO[2]
MEASURES = {"kept": "facts kept", "two_hop": "two hops", "one_hop": "one hop", "answer": "same answer"}

ABLATION = dict.fromkeys(MEASURES, SHOWN)
TOKEN_NEEDS = {"rows": Many({"setting": Like(r" [0-9]+$"), **ABLATION})}
OBJECTIVE_NEEDS = {"rows": Many({"setting": str, **ABLATION})}
MIX_NEEDS = {
    "points": Many({"p": float, **dict.fromkeys(("kept", "neighbours", "perplexity", "accuracy"), SHOWN)}),
    "before": {"perplexity": float, "accuracy": float},
}


def draw_tokens(results: dict[str, Any], width: float) -> Figure:
    """Shares over the number of compression tokens: what is decoded, what is found, what is near."""
    rows = results["data"]["rows"]
    counts = [int(row["setting"].rpartition(" ")[2]) for row in rows]
    panels, figure = _panels(width, 3, 1.5)
    shown = (("kept",), ("one_hop", "two_hop"), ("answer",))
    for axes, keys in zip(panels, shown, strict=True):
        for key, colour, marker in zip(keys, (BLUE, ORANGE), "oD", strict=False):
            name = MEASURES[key] if len(keys) > 1 else ""
            intervals.upright(
                axes, counts, [row[key] for row in rows], colour=colour, marker=marker, label=name
            )
        _share_axis(axes)
        axes.set_ylabel("share")
        axes.set_xticks(counts)
        axes.set_xlabel("compression tokens")
        if len(keys) > 1:
            axes.legend(loc="best")
    style.panel_letters(panels, [MEASURES["kept"], "passage found first", MEASURES["answer"]])
    return figure


def draw_objectives(results: dict[str, Any], width: float) -> Figure:
    """A panel for each measure: the objectives below each other."""
    rows = results["data"]["rows"]
    narrow = width < style.NARROW
    names = [row["setting"] for row in rows]
    figure = style.sheet(width, 2.3 if narrow else 1.2)
    panels = figure.subplots(2 if narrow else 1, 2 if narrow else 4, sharey=True, squeeze=False).ravel()
    colours = [palette.muted()] * (len(rows) - 1) + [BLUE]
    for axes, key in zip(panels, MEASURES, strict=True):
        for height, (row, colour) in enumerate(zip(rows, colours, strict=True)):
            intervals.beside(axes, [height], [row[key]], colour=colour)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_yticks(range(len(rows)), names)
        axes.tick_params(axis="y", length=0)
        axes.set_xlim(-0.03, 1.03)
        axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        axes.set_xlabel("share")
        axes.grid(visible=True, axis="x")
    style.panel_letters(panels, list(MEASURES.values()))
    return figure


def draw_mix(results: dict[str, Any], width: float) -> Figure:
    """Over the share of texts without special tokens: embedding quality, perplexity, facts answered without them."""
    points, before = results["data"]["points"], results["data"]["before"]
    mixes = [point["p"] for point in points]
    panels, figure = _panels(width, 3, 1.55)
    quality, perplexity, facts = panels
    for key, colour, marker, name in (
        ("neighbours", GREEN, "D", MEASURES["answer"]),
        ("kept", BLUE, "o", MEASURES["kept"]),
    ):
        intervals.upright(
            quality, mixes, [one[key] for one in points], colour=colour, marker=marker, label=name
        )
    _share_axis(quality)
    quality.legend(loc="upper right")
    intervals.upright(perplexity, mixes, [one["perplexity"] for one in points], colour=ORANGE)
    intervals.reference(perplexity, before["perplexity"])
    perplexity.grid(visible=True, axis="y")
    intervals.upright(facts, mixes, [one["accuracy"] for one in points], colour=ORANGE)
    intervals.reference(facts, before["accuracy"])
    facts.grid(visible=True, axis="y")
    for axes in panels[1:]:
        intervals.keep_inside(axes)
    quality.set_ylabel("share")
    facts.set_ylabel("share")
    for axes in panels:
        axes.set_xlabel("share p of plain texts")
        axes.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1], ["0", "0.2", "0.4", "0.6", "0.8", "1"])
    style.panel_letters(panels, ["embedding quality", "perplexity", "facts right, plain"])
    return figure


def _panels(width: float, count: int, height: float) -> tuple[list[Axes], Figure]:
    """Panels beside each other, or below each other in a column."""
    narrow = width < style.NARROW
    figure = style.sheet(width, height * count if narrow else height)
    return list(figure.subplots(*((count, 1) if narrow else (1, count)), squeeze=False).ravel()), figure


def _share_axis(axes: Axes) -> None:
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.grid(visible=True, axis="y")
    axes.set_axisbelow(True)


SPECIAL_TOKENS = PaperFigure(
    "special_tokens",
    "The number of compression tokens",
    "LLM2Vec-Gen with 1 to 20 compression tokens, one short training each: {steps} steps of {batch} queries by the "
    "shipped recipe without its closed-form alignment (the shipped one is trained for longer). (a) Of the {kept} "
    "held-out facts that the model answers right, those that the embedding decodes to. (b) {one_hop} one-hop and "
    "{two_hop} two-hop questions that find their passage first. (c) The nearest question has the same answer, of "
    "{answer}. Lines are 95 % Wilson intervals over questions; another training may differ by more.",
    "python -m analyses.llm2vec_gen_ablations tokens",
    draw_tokens,
    TOKEN_NEEDS,
)  # fmt: skip

OBJECTIVES = PaperFigure(
    "objectives",
    "Both objectives, and each alone",
    "LLM2Vec-Gen trained for alignment alone, for reconstruction alone and for both, one short training each "
    "({steps} steps of {batch} queries by the shipped recipe without its closed-form alignment). (a) Of the {kept} "
    "held-out facts that the model answers right, those that the embedding decodes to. (b), (c) {two_hop} two-hop "
    "and {one_hop} one-hop questions that find their passage first. (d) The nearest question has the same answer, "
    "of {answer}. Lines are 95 % Wilson intervals over questions; another training may differ by more. Without "
    "alignment the embedding is a random projection of the soft prompts.",
    "python -m analyses.llm2vec_gen_ablations objectives",
    draw_objectives,
    OBJECTIVE_NEEDS,
)  # fmt: skip

MIX_RATIO = PaperFigure(
    "mix_ratio",
    "GEM's mix ratio",
    "GEM with a share p of plain training texts, without special tokens, {trainings} short trainings each ({steps} "
    "steps of {batch} texts, next-token loss alone; the shipped embedder has 3,000 steps). (a) Facts kept: of the "
    "{kept} that the model knows, those that pass the bottleneck; same answer: of {neighbours} one-hop questions, "
    "those whose nearest other one has it. (b) Perplexity of {dialogues} held-out dialogues and (c) facts answered "
    "right ({accuracy} asked), both without special tokens; dashed: the model before. Marks are means over trainings "
    "that differ in their seed, lines go from the lowest of them to the highest.",
    "python -m analyses.gem_ablations mix",
    draw_mix,
    MIX_NEEDS,
)  # fmt: skip
