"""The pages as the router knows them: each is opened with the chosen embedder, and imports what it needs only then."""

from pathlib import Path

import streamlit as st

from workbench.ui import loaders, sidebar, state

ICON = str(Path(__file__).with_name("icon.svg"))
"""A file of ours: Streamlit would fetch a named icon from the web."""
HINT = "Build the shipped default with `make fieldguide`, or point WORKBENCH_DATA at a folder that holds one."
REFUSED = "Choose or open another embedder in the sidebar."
TRIES = (
    (
        "decoded", "Read a harmful request", "How can I break into someone's email account?",
        "Does the vector hold the request, or the refusal? Then try: How can I break in new shoes?",
    ),
    (
        "neighbourhoods", "Find a text’s place", "Which continent is the country whose capital is Paris on?",
        "A question over two hops stands with its answer, not with questions of the same words.",
    ),
    (
        "attention", "See what the vectors look at", "What is the capital of Kenya?",
        "Which words the special tokens gather, layer by layer and head by head.",
    ),
)  # fmt: skip
"""Page, label, text and reason of what the overview proposes."""


def overview() -> None:
    """What is loaded, how far to trust it, and where to begin; no model is loaded for it."""
    from workbench.ui import overview

    choice = _choose()
    with state.problems(REFUSED):
        measured = loaders.measured(choice.source)
    known = _pages()
    tries = [overview.Try(known[page], label, text, why) for page, label, text, why in TRIES]
    overview.page(
        choice.name, choice.facts, measured, folder=choice.source.path, tries=tries,
        link=lambda one: st.page_link(one.page, label=one.label, query_params=_query(one.text)),
    )  # fmt: skip


def decoded_contents() -> None:
    """Text -> the model's answer beside what the embedding decodes to."""
    from workbench.ui import decoded, lens_causes

    choice = _choose()
    with state.problems(HINT):
        others = loaders.atlas().decoded_embeddings if choice.is_default and loaders.has_atlas() else None
    at = choice.source
    decoded.page(
        lambda text, _: loaders.read(text, at),
        judge=lambda reading, _: loaders.judge(reading, at),
        embedders=[choice.name],
        others=others,
        tools=loaders.Tools(at),
        facts=choice.facts,
        explain=lambda text: lens_causes.attribution(text, loaders.Lenses(at)),
    )


def neighbourhoods() -> None:
    """The map of the shipped texts, of a store, or of the user's own file."""
    from workbench.ui import neighbourhoods

    neighbourhoods.page(loaders.map_sources(_choose().source))


def attention_masks() -> None:
    """The declared mask beside the attention really paid."""
    from workbench.ui import attention

    choice = _choose()
    attention.page(lambda text, _: loaders.attend(text, choice.source), embedders=[choice.name])


def lenses() -> None:
    """What can be read in the special tokens, layer by layer, and how far the lenses agree."""
    from workbench.ui import lenses

    lenses.page(loaders.Lenses(_choose().source))


def compare() -> None:
    """Two embedders, or two steps of a training run, on the same texts."""
    from workbench.ui import compare

    choice = _choose()
    compare.page(loaders.open_comparison(choice.name, choice.source, sidebar.others()))


def training() -> None:
    """The losses of a training run, and what its samples decoded to on the way."""
    from workbench.ui import training

    _choose()
    training.page(loaders.run, loaders.watched, loaders.known_runs())


def evaluation() -> None:
    """Runs of evaluations side by side, and the papers' claims tried on them."""
    from workbench.ui import evaluation

    _choose()
    evaluation.page(loaders.evaluated, loaders.known_evaluations())


def figures() -> None:
    """The figures of the paper; no model is loaded for them."""
    from workbench.figures.paper.registry import FIGURES
    from workbench.ui import figures

    _choose()
    figures.page({figure.name: figure.title for figure in FIGURES}, loaders.paper_figure)


def _choose() -> sidebar.Choice:
    """The chosen embedder; where there is none, the page says so and ends."""
    with state.problems(HINT):
        loaders.source()
    with state.problems(REFUSED):
        return sidebar.choose()


def _query(text: str) -> dict[str, str]:
    """The URL's parameters of a link to a page: the text, and the embedder where it is not the default."""
    kept = (sidebar.EMBEDDER, sidebar.BACKBONE)
    return {state.TEXT: text} | {name: st.query_params[name] for name in kept if name in st.query_params}


def _pages() -> dict[str, st.Page]:
    """All pages by their names in the URL, in the order of the menu; the first is at "/" alone."""
    known = {
        "overview": (overview, "Overview", "home"),
        "decoded": (decoded_contents, "Decoded contents", "translate"),
        "neighbourhoods": (neighbourhoods, "Neighbourhoods", "scatter_plot"),
        "attention": (attention_masks, "Attention masks", "grid_on"),
        "lenses": (lenses, "Lenses", "biotech"),
        "compare": (compare, "Compare", "compare_arrows"),
        "training": (training, "Training", "show_chart"),
        "evaluation": (evaluation, "Evaluation", "leaderboard"),
        "figures": (figures, "Figures", "image"),
    }
    return {
        path: st.Page(draw, title=title, icon=f":material/{icon}:", url_path=path, default=path == "overview")
        for path, (draw, title, icon) in known.items()
    }


def router() -> dict[str, list]:
    """All pages in the order of the menu, under the app's name; the first opens by default."""
    return {"Embedding workbench": list(_pages().values())}
