"""The page *Figures*: a figure in a venue's width with its commands, its data, and what is said where there is none."""

import json

import pytest
from streamlit.testing.v1 import AppTest

from workbench.errors import UsageError
from workbench.figures.paper.results import save_results
from workbench.figures.paper.table import Table
from workbench.ui import loaders
from workbench.ui.figures import command, frame
from workbench.ui.loaders import Drawn

HOSTILE = "<script>alert(1)</script>"
TITLES = {"gem_mask": "What GEM declares", "decode_trust": "Trust tells"}
RESULTS = {
    "figure": "attribution", "command": "python -m analyses.attribution", "artifacts": {}, "libraries": {},
    "data": {"labels": ["◆1"], "tokens": [HOSTILE, "b"], "values": [[1.0, -1.0]], "predicted": [0.5], "real": [1.0]},
    "numbers": {"text": HOSTILE, "decoded": "b", "queries": 2, "effects": 6, "shown": 4, "correlation": 0.5,
                "low": 0.1, "high": 0.9, "control": 0.0, "control_low": -0.1, "control_high": 0.1},
}  # fmt: skip


def page(titles, draw):
    from workbench.ui import figures

    figures.page(titles, draw)


def drawn(name, inches):
    made = Table(["method", "score"], [["ours", "0.9"]])
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="{inches}"><text>{name}</text></svg>'
    return Drawn(svg, b"%PDF", b"{}", f"Of {HOSTILE} {inches}.", f"python -m analyses.{name}", made)


def opened(titles=TITLES, draw=drawn, **query):
    app = AppTest.from_function(page, args=(titles, draw), default_timeout=60)
    app.query_params.update(query)
    return app.run()


def test_a_figure_is_shown_with_its_caption_and_commands():
    app = opened()
    assert not app.exception
    assert app.subheader[0].value == "What GEM declares"
    assert app.code[0].value == "python -m analyses.gem_mask\nworkbench figure gem_mask"
    said = "".join(html.value for html in app.get("html") if hasattr(html, "value")) or str(app.get("html"))
    assert "&lt;script&gt;" in said
    assert HOSTILE not in said
    assert "6.3" in said


def test_the_url_holds_figure_venue_and_width():
    app = opened(figure="decode trust", venue="ICML", width="column")
    assert app.subheader[0].value == "Trust tells"
    assert app.code[0].value.endswith("workbench figure decode_trust --venue icml --width column")
    app.selectbox(key="venue").set_value("neurips").run()
    assert app.code[0].value.endswith("workbench figure decode_trust --venue neurips --width column")


def test_where_there_are_none_the_page_says_so():
    app = opened(titles={})
    assert not app.exception
    assert not app.selectbox


def test_missing_results_are_one_line_with_the_command():
    def missing(name, inches):
        raise UsageError(f"the figure {name} has no results: `python -m analyses.{name}` measures them")

    app = opened(draw=missing)
    assert not app.exception
    assert "measures them" in app.error[0].value
    assert "make figures" in app.info[0].value
    assert app.selectbox(key="figure").value == "gem_mask"


def test_the_commands_leave_out_what_is_the_default():
    assert command("gem_mask", "acl", "page") == "workbench figure gem_mask"
    assert command("gem_mask", "iclr", "page") == "workbench figure gem_mask --venue iclr"


def test_a_table_becomes_a_frame():
    assert frame(Table(["a", "b"], [["x", "1"]])).to_dict("records") == [{"a": "x", "b": "1"}]


def test_shipped_results_are_drawn_and_drawn_again_once_they_change(tmp_path, monkeypatch):
    import streamlit as st

    st.cache_data.clear()
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    with pytest.raises(UsageError, match=r"analyses\.attribution` measures them"):
        loaders.paper_figure("attribution", 3.03)
    path = tmp_path / "figures" / "attribution.json"
    save_results(path, RESULTS)
    found = loaders.paper_figure("attribution", 3.03)
    assert found.svg.startswith("<?xml")
    assert HOSTILE not in found.svg
    assert found.pdf.startswith(b"%PDF")
    assert json.loads(found.data) == RESULTS
    assert found.table is None
    save_results(path, {**RESULTS, "numbers": {**RESULTS["numbers"], "text": "another text"}})
    assert "another text" in loaders.paper_figure("attribution", 3.03).caption
