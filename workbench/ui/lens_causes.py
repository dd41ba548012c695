"""What stands below the lenses: which special token causes which decoded token, and which words feed which of them.

Both work only once they are opened; their settings live in the URL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import streamlit as st

from workbench.ui import commands, parts, prints, state

if TYPE_CHECKING:
    import pandas as pd

    from workbench.lenses.attention_flow import AttentionFlow
    from workbench.lenses.attribution_map import AttributionMap, Baseline
    from workbench.ui.loaders import Lenses

BASELINES: dict[str, Baseline] = {"nothing": "zero", "their mean": "mean", "other texts’ own": "resample"}
"""What stands in a special token's place, as people would say it."""
FLOWS: dict[str, Literal["attention", "rollout"]] = {
    "looked at": "attention",
    "through all layers": "rollout",
}
WORKING = "Replacing one special token after the other …"
FOLLOWING = "Following the attention …"
HELPS = (
    "Blue: without this special token the decoded token is less likely. Orange: it stood in the way. "
    "The embedding decodes to the tokens above the columns."
)
COMPLETE = (
    "What the special tokens lose one by one, added up, beside what they lose together: 0 is complete, from 1 on the "
    "map accounts for nothing. They stand in for each other where it is large."
)
LOOKED = "Mean over layers and heads of what each special token looks at. What the template gets is left out."
THROUGH = "Attention multiplied through all layers (rollout), half of every position being itself."


def causes(text: str, use: Lenses) -> None:
    """Draws both for the `text` above; what goes wrong in one of them is said there."""
    st.subheader("Where it comes from", anchor=False)
    attribution(text, use)
    with st.expander(
        "Which words feed which special token", key="feeds", on_change="rerun", bind="query-params"
    ) as box:
        if box.open:
            _feeds(text, use)


def attribution(text: str, use: Lenses) -> None:
    """Draws the first of them alone."""
    with st.expander(
        "Which special token causes which decoded token", key="causes", on_change="rerun", bind="query-params"
    ) as box:
        if box.open:
            _causes(text, use)


def flow_table(flow: AttentionFlow, what: Literal["attention", "rollout"]) -> pd.DataFrame:
    """A row for each special token and word, with the share that the word gets."""
    import pandas as pd

    shares = flow.fed_by(what)
    count = len(flow.words.labels)
    special = np.repeat(np.array(flow.labels, dtype=object), count)
    words = flow.words.labels * len(flow.labels)
    return pd.DataFrame({"special": special, "word": words, "share": shares.reshape(-1)})


def _causes(text: str, use: Lenses) -> None:
    chosen = st.segmented_control(
        "A special token is replaced by", list(BASELINES), default="nothing", required=True, key="replaced",
        bind="query-params",
    )  # fmt: skip
    with st.spinner(WORKING, show_time=True):
        found = state.attempt(lambda: use.attribute(text, BASELINES[chosen]))
    if found is None:
        return
    from workbench.figures.attribution import attribution_map, attribution_print

    _chart(attribution_map(found, dark=state.is_dark()), "causes-map")
    parts.show(parts.note(HELPS))
    parts.figures(*_completeness(found))
    parts.table_of(found.to_frame, "attribution")
    again = commands.lens_command("attribute", text, "attribution.pdf", "--method", BASELINES[chosen])
    prints.figure_of(lambda: attribution_print(found), "attribution", again)


def _completeness(found: AttributionMap) -> list[str]:
    error = found.completeness_error
    said = "none" if error != error else f"{error:.2f}"
    lost = float(found.jointly.mean())
    together = "Mean log-probability that a decoded token loses when all special tokens are replaced at once."
    return [
        parts.figure("Completeness error", said, "of what is lost together", COMPLETE),
        parts.figure("Lost together", f"{lost:.1f}".replace("-", "−"), "nats a token", together),
    ]


def _feeds(text: str, use: Lenses) -> None:
    chosen = st.segmented_control(
        "Attention", list(FLOWS), default="looked at", required=True, key="attention", bind="query-params"
    )
    what = FLOWS[chosen]
    with st.spinner(FOLLOWING, show_time=True):
        flow = state.attempt(lambda: use.flow(text, what == "rollout"))
    if flow is None:
        return
    from workbench.figures.attribution import flow_map, flow_print

    _chart(flow_map(flow, what, dark=state.is_dark()), "feeds-map")
    parts.show(parts.note(f"{THROUGH if what == 'rollout' else LOOKED} {flow.note}"))
    parts.table_of(lambda: flow_table(flow, what), "feeds")
    option = "--rollout" if what == "rollout" else "--no-rollout"
    again = commands.lens_command("attention", text, "attention.pdf", option)
    prints.figure_of(lambda: flow_print(flow, what), "attention", again)


def _chart(figure: Any, key: str) -> None:
    st.plotly_chart(figure, width="stretch", key=key, config={"displayModeBar": False})
