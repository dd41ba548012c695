"""The pages as the router knows them: each is opened with the shipped default, and imports what it needs only then."""

from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from workbench.ui import loaders, parts, state

if TYPE_CHECKING:
    from workbench.atlas.prebuilt import Atlas

ICON = str(Path(__file__).with_name("icon.svg"))
"""A file of ours: Streamlit would fetch a named icon from the web."""
HINT = "Build the shipped default with `make fieldguide`, or point WORKBENCH_DATA at a folder that holds one."


def decoded_contents() -> None:
    """Text -> the model's answer beside what the embedding decodes to."""
    from workbench.ui import decoded

    with state.problems(HINT):
        loaders.source()
        shipped = loaders.atlas() if loaders.has_atlas() else None
        embedders = loaders.shipped_embedders()
    _sidebar(shipped)
    decoded.page(
        lambda text, name: loaders.read(text, embedders[name]),
        judge=lambda reading, name: loaders.judge(reading, embedders[name]),
        embedders=list(embedders),
        others=None if shipped is None else shipped.decoded_embeddings,
    )


def neighbourhoods() -> None:
    """The map of the shipped texts and the user's own."""
    from workbench.ui import neighbourhoods

    with state.problems(HINT):
        shipped = loaders.atlas()
    _sidebar(shipped)
    neighbourhoods.page(shipped, loaders.read)


def attention_masks() -> None:
    """The declared mask beside the attention really paid."""
    from workbench.ui import attention

    with state.problems(HINT):
        loaders.source()
        shipped = loaders.atlas() if loaders.has_atlas() else None
        embedders = loaders.shipped_embedders()
    _sidebar(shipped)
    attention.page(lambda text, name: loaders.attend(text, embedders[name]), embedders=list(embedders))


def _sidebar(shipped: "Atlas | None") -> None:
    if shipped is None:
        parts.sidebar_facts("Default embedder", [("embedder", "shipped"), ("atlas", "none")])
        return
    facts = shipped.facts
    size, rows = shipped.embeddings.shape[1], shipped.soft_prompts.shape[1]
    named = [("backbone", facts.backbone), ("method", facts.method), ("special tokens", str(rows))]
    named += [
        ("embedding", f"{size} dimensions"),
        ("atlas", f"{len(shipped)} texts"),
        ("fingerprint", facts.embedder[:8]),
    ]
    parts.sidebar_facts("Default embedder", named)


def router() -> dict[str, list]:
    """All pages in the order of the menu, under the app's name; the first opens by default."""
    title, icon = "Decoded contents", ":material/translate:"
    pages = [
        st.Page(decoded_contents, title=title, icon=icon, default=True),
        # The first page is at "/" alone; its name leads there too, as for the others.
        st.Page(decoded_contents, title=title, icon=icon, url_path="decoded", visibility="hidden"),
        st.Page(
            neighbourhoods, title="Neighbourhoods", icon=":material/scatter_plot:", url_path="neighbourhoods"
        ),
        st.Page(attention_masks, title="Attention masks", icon=":material/grid_on:", url_path="attention"),
    ]
    return {"Embedding workbench": pages}
