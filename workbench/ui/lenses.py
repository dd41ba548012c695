"""The page *Lenses*: what can be read in each special token, layer by layer, and how far the lenses agree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import streamlit as st

from workbench.figures.lens import agreement_map, agreement_print, lens_map, lens_print, title
from workbench.lenses.agreement import agreement
from workbench.ui import commands, parts, prints, state
from workbench.ui.lens_causes import causes

if TYPE_CHECKING:
    import pandas as pd

    from workbench.lenses.agreement import Agreement
    from workbench.lenses.reading import LensReading
    from workbench.ui.loaders import Lenses

LEDE = (
    "What can be read in the special tokens ◆ inside the model, before it has finished? A lens turns the state of one "
    "special token in one layer into tokens. Each lens asks in its own way, and none of them is the truth."
)
ASKS = {
    "logit": "The model’s own final norm and head, put behind an earlier layer.",
    "tuned": "The same, behind a translator that was trained to say what the last layer will say.",
    "patchscope": "The state stands in a prompt that asks the same model to repeat it: what would it say next?",
    "latent": "The tokens of a corpus with the nearest states. Texts like this one, or like the model’s response to "
    "it, are left out.",
}
OUTLINED = "The stronger the colour, the likelier the token (latent lens: the nearer its state). "
OUTLINED += "Outlined: its word does not occur in the text. Layer 0 is the input: the same for every text."
OVERLAP = (
    "Overlap: of the tokens that either of two lenses has in its top {k}, the share that both have, over {cells} "
    "special tokens. The control compares each special token with another one."
)
LITTLE = "No layer’s agreement is clear of its control: on this text the lenses show little."
CLEAR = "Clear of the control in {layers}: elsewhere the lenses show little."
ALL_CLEAR = "Every layer’s agreement is clear of its control."
READING = "Reading every layer …"
ALL, LAYER = "all", "lens_layer"


def page(use: Lenses, *, examples: dict[str, str] = state.EXAMPLES) -> None:
    """Draws the page; `use` reads, attributes and follows attention for one embedder."""
    parts.page_title("Lenses", LEDE)
    state.example_buttons(examples)
    text = state.text_box("Your text", page="lenses", default=next(iter(examples.values()), ""))
    probes, index = _folders()
    if not text:
        parts.empty("Type a text above, or choose an example.")
        return
    with st.spinner(READING, show_time=True):
        readings = _read(use, text, probes, index)
    if use.is_cut(text):
        st.warning(
            "The text is longer than the model reads: its end was cut off.", icon=":material/content_cut:"
        )
    layer = _layer(sorted({layer for reading in readings for layer in reading.layers}))
    if layer is None:
        for reading in readings:
            _chart(lens_map([reading], dark=state.is_dark()), f"grid-{reading.lens}")
    else:
        parts.show("".join(_listed(reading, layer) for reading in readings))
    asks = [(f"{reading.lens} lens", parts.plain(ASKS[reading.lens])) for reading in readings]
    parts.show(parts.note(OUTLINED) + parts.rows_of(asks))
    parts.table_of(lambda: table(readings), "lenses")
    folders = [
        part
        for flag, folder in (("--probes", probes), ("--index", index))
        if folder
        for part in (flag, folder)
    ]
    prints.figure_of(
        lambda: lens_print(readings),
        "lens-grid",
        commands.lens_command("grid", text, "lens-grid.pdf", *folders),
    )
    _agreement(readings, layer)
    causes(text, use)


def table(readings: Sequence[LensReading]) -> pd.DataFrame:
    """Every reading's rows below each other, told apart by the first column, `lens`."""
    import pandas as pd

    frames = [reading.to_frame() for reading in readings]
    for frame, reading in zip(frames, readings, strict=True):
        frame.insert(0, "lens", reading.lens)
    return pd.concat(frames, ignore_index=True)


def agreement_table(found: Agreement) -> pd.DataFrame:
    """A row for each layer: the overlap with its interval and its control, then each two lenses' own overlap."""
    import pandas as pd

    columns: dict[str, Any] = {"layer": list(found.layers), "overlap": found.score}
    columns |= {"low": found.low, "high": found.high, "control": found.control}
    return pd.DataFrame(columns | {f"{a}, {b}": values for (a, b), values in found.pairs.items()})


def verdict(found: Agreement) -> str:
    """In which layers the interval of the agreement lies above the control, as a sentence."""
    pairs = zip(found.layers, found.low, found.control, strict=True)
    clear = [str(layer) for layer, low, control in pairs if low > control]
    if not clear:
        return LITTLE
    if len(clear) == len(found.layers):
        return ALL_CLEAR
    return CLEAR.format(layers=f"layer{'s' if len(clear) > 1 else ''} {', '.join(clear)}")


def _folders() -> tuple[str, str]:
    """The folders of the tuned lens' probes and of the latent lens' index, as they were typed."""
    left, right = st.columns(2)
    for column, label, key, command in (
        (left, "Tuned lens", "probes", "workbench lens train-tuned"),
        (right, "Latent lens", "index", "workbench lens index"),
    ):
        with column:
            st.text_input(
                label, key=key, bind="query-params", max_chars=1000, placeholder="off: name a folder to add it",
                help=f"A folder that `{command}` wrote for this embedder.",
            )  # fmt: skip
    probes, index = ((st.session_state.get(key) or "").strip() for key in ("probes", "index"))
    return probes, index


def _read(use: Lenses, text: str, probes: str, index: str) -> list[LensReading]:
    """The lenses that can be read; a folder that does not fit is said, and the others stay."""
    with state.problems():
        readings = [use.read("logit", text)]
    others: list[Callable[[], LensReading]] = [lambda: use.read("patchscope", text)]
    if probes:
        others.insert(0, lambda: use.read("tuned", text, probes))
    if index:
        others.append(lambda: use.read("latent", text, index))
    found = [state.attempt(read) for read in others]
    return readings + [reading for reading in found if reading is not None]


def _layer(layers: Sequence[int]) -> int | None:
    """The layer to list; None for all of them in a grid."""
    options = [ALL, *map(str, layers)]
    if st.session_state.get(LAYER, ALL) not in options:  # of a model with more layers
        st.session_state[LAYER] = ALL
    chosen = st.select_slider("Layer", options, key=LAYER, bind="query-params")
    return None if chosen == ALL else int(chosen)


def _listed(reading: LensReading, layer: int) -> str:
    """One layer through one lens: every special token's top tokens, and where the latent lens' first one stands."""
    if layer not in reading.layers:
        return parts.key(title(reading)) + parts.note(f"This lens does not read layer {layer}.")
    at, rows = reading.layers.index(layer), []
    for number, label in enumerate(reading.labels):
        ranked = zip(
            reading.tokens[at][number], reading.scores[at, number], reading.novel[at, number], strict=True
        )
        chips = "".join(_chip(token, float(score), bool(novel)) for token, score, novel in ranked)
        where = "" if reading.snippets is None else parts.note(reading.snippets[at][number][0])
        rows.append((label, f'<div class="wb-tokens">{chips}</div>{where}'))
    head = parts.key(f"{title(reading)}, layer {layer}")
    return f'<div style="margin-bottom:1.2rem">{head}{parts.rows_of(rows)}</div>'


def _chip(token: str, score: float, novel: bool) -> str:
    """A token with its score; outlined where its word does not occur in the text."""
    style = f"--heat:{min(max(score, 0.0), 1.0):.1%}"
    style += ";border:2px solid light-dark(#D55E00,#F2873F)" if novel else ""
    kind = "heat strong" if score > 0.75 else "heat"
    return f'<span class="{kind}" style="{style}">{escape(token)} <small>{score:.2f}</small></span>'


def _agreement(readings: Sequence[LensReading], layer: int | None) -> None:
    st.subheader("How far the lenses agree", anchor=False)
    if len(readings) < 2:
        parts.empty("There is but one lens: nothing to compare it with.")
        return
    with state.told():
        found = agreement([[reading] for reading in readings], min(reading.k for reading in readings))
        parts.show(f"<p>{escape(verdict(found))}</p>")
        left, right = st.columns([3, 2], gap="medium")
        with left:
            _chart(agreement_map(found, dark=state.is_dark()), "agreement")
        with right:
            _figures(found, layer)
        parts.table_of(lambda: agreement_table(found), "agreement")
        prints.figure_of(lambda: agreement_print(found), "lens-agreement")


def _figures(found: Agreement, layer: int | None) -> None:
    """The agreement in the chosen layer, or in the last one."""
    at = found.layers.index(layer) if layer in found.layers else -1
    score, control = float(found.score[at]), float(found.control[at])
    interval = f"95% interval {parts.cosine(found.low[at])} to {parts.cosine(found.high[at])}"
    against = "" if control != control else f", control {parts.cosine(control)} (tick)"
    bar = parts.scale(score, control)
    name = f"Agreement in layer {found.layers[at]}"
    parts.figures(
        parts.figure(name, parts.cosine(score), "overlap", f"{interval}{against}.", bar), one_column=True
    )
    parts.show(parts.note(OVERLAP.format(k=found.k, cells=found.cells)))


def _chart(figure: Any, key: str) -> None:
    st.plotly_chart(figure, width="stretch", key=key, config={"displayModeBar": False})
