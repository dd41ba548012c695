"""The overview: what is loaded, how far to trust it, where to begin; and nothing heavy for it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from workbench.ui.loaders import Facts, Measured

ROOT = Path(__file__).parents[2]
HOSTILE = "<script>alert(1)</script>"
FACTS = Facts(
    "llm2vec-gen",
    "fieldguide",
    "c0ffee" * 6,
    10,
    0,
    384,
    "all-MiniLM",
    48000,
    {"embedder weights": "a1b2c3d4e5f6"},
)
REPORT = {
    "decoding": {
        "all facts": {"kept": 0.9167, "backbone": 0.96, "queries": 1150},
        "two_hop": {"kept": 0.838, "queries": 400},
    },
    "refusals": {"harmful": 0.9333, "lookalike": 0.0375},
    "retrieval": {
        "one_hop": {
            "llm2vec-gen": {"recall_at_1": 0.946, "passages": 1556, "queries": 600},
            "teacher on the query (MiniLM)": {"recall_at_1": 0.72},
        }
    },
}
GEM_REPORT = {
    "kept": {"all facts": 0.866, "two_hop": 0.701},
    "queries": {"all facts": 1104},
    "neighbours": {"gem": 0.6276, "sentence-transformers/all-MiniLM-L6-v2": 0.5513},
    "language": {
        "the LM before": {"perplexity": 3.903, "accuracy": 0.96},
        "GEM's LM": {"perplexity": 3.832, "accuracy": 0.947},
    },
}


def draw(*args):
    from workbench.ui import overview

    overview.page(*args)


def opened(facts=FACTS, measured=None, name="LLM2Vec-Gen") -> str:
    app = AppTest.from_function(draw, args=(name, facts, measured), default_timeout=60).run()
    assert not app.exception, app.exception
    return "\n".join(element.proto.body for element in app.get("html"))


def test_it_says_what_is_loaded_with_whole_hashes_as_tooltips():
    shown = opened()
    assert '<abbr title="a1b2c3d4e5f6">a1b2c3d4</abbr>' in shown
    assert f'<abbr title="{"c0ffee" * 6}">c0ffeec0</abbr>' in shown
    assert "48,000 queries" in shown
    assert "384 dimensions" in shown
    assert "all-MiniLM" in shown


def test_trust_is_the_report_in_rounded_figures_with_its_command():
    reference = {"margin": [0.0107, 0.126], "true_margin": 0.6234}
    shown = opened(measured=Measured("llm2vec-gen", REPORT, "measure me", reference, "keep me"))
    assert "92%<small>of 1,104</small>" in shown, "0.9167, of 0.96 x 1150 questions"
    assert "93%<small>of harmful requests</small>" in shown
    assert "4% do" in shown
    assert "95%<small>of 600</small>" in shown
    assert "Its teacher, given the question: 72%" in shown
    assert "+0.62" in shown
    assert "0.01 ± 0.13" in shown
    assert "<code>measure me</code> and <code>keep me</code>" in shown


def test_gem_is_measured_by_its_own_report():
    shown = opened(Facts("gem", "fieldguide"), Measured("gem", GEM_REPORT, "measure me"))
    assert "87%<small>of 1,104</small>" in shown
    assert "63%<small>of queries</small>" in shown
    assert "all-MiniLM-L6-v2: 55%" in shown
    assert "3.90 before" in shown
    assert "trained without one" in shown


def test_without_a_report_it_says_which_command_measures():
    shown = opened()
    assert "Nothing was measured" in shown
    assert "workbench fieldguide evaluate" in shown


def test_texts_of_an_artifact_are_escaped():
    hostile = Facts(
        HOSTILE, HOSTILE, HOSTILE, teacher=HOSTILE, hashes={HOSTILE: HOSTILE}, libraries={HOSTILE: HOSTILE}
    )
    assert "<script" not in opened(hostile, name=HOSTILE)


def test_the_shipped_reports_can_be_shown():
    """Real reports have every figure that the page draws."""
    for method, name in (("llm2vec-gen", "report"), ("gem", "gem_report")):
        report = json.loads((ROOT / "data" / "fieldguide" / f"{name}.json").read_text())
        assert "%" in opened(measured=Measured(method, report, ""))


def test_a_damaged_artifact_is_one_line(use_shipped, tmp_path):
    from workbench.errors import WorkbenchError
    from workbench.ui import loaders

    (tmp_path / "config.json").write_text('{"method": "gem"}')
    with pytest.raises(WorkbenchError, match="no embedder configuration"):
        loaders.facts(loaders.source(tmp_path))


def test_the_overview_is_drawn_without_torch(use_shipped):
    code = (
        "import sys; from streamlit.testing.v1 import AppTest;"
        "app = AppTest.from_file('app.py', default_timeout=120).run(); assert not app.exception, app.exception;"
        "assert app.title[0].value == 'Overview', app.title;"
        "heavy = {'torch', 'transformers', 'umap', 'sklearn'} & set(sys.modules); sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
