"""The tools below a reading: walk, compute, chain, read a bare vector; each works only once it is opened."""

from io import BytesIO

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from workbench.decoding.badge import Badge
from workbench.errors import UsageError, WorkbenchError
from workbench.ui import loaders
from workbench.ui.decoded_tools import STEPS
from workbench.ui.loaders import Facts, Said
from workbench.ui.said import table

HOSTILE = "<script>alert(1)</script>"
FACTS = Facts("llm2vec-gen", "fieldguide", special_tokens=4, dimension=3)
GEM = Facts("gem", "fieldguide", special_tokens=4, dimension=3)


def said(text, level="high") -> Said:
    return Said(text, Badge(0.8, 0.1, 2.0, 3.0, 0.2, 0.3, level))


class Fake:
    """Says back what it was asked for."""

    def __init__(self, ships=True):
        self.ships = ships

    def interpolate(self, start, end, steps, how):
        return [
            said(f"{how} {start} to {end} step {step}", "doubtful" if step == 3 else "high")
            for step in range(steps)
        ]

    def combine(self, add, subtract):
        return said(f"sum of {list(add)} less {list(subtract)}")

    def average(self, texts):
        return said(f"mean of {list(texts)}")

    def transplant(self, into, source, tokens):
        return said(f"{list(tokens)} of {source} in {into}")

    def chain(self, text, steps):
        return [said(f"{text} {step}") for step in range(steps + 1)]

    def lifter_ships(self, method):
        return self.ships

    def lift(self, vectors, lifter="", rounds=0):
        searched = f" in {rounds} rounds" if rounds else ""
        return [said(f"sum {row.sum():.0f} by {lifter or 'default'}{searched}") for row in vectors]


class Broken(Fake):
    def interpolate(self, *_):
        raise WorkbenchError("the *vectors* are gone")


def draw(text, use, facts):
    from workbench.ui.decoded_tools import tools

    tools(text, use, facts)


def opened(use=None, facts=FACTS, text="gold", **query):
    app = AppTest.from_function(draw, args=(text, use or Fake(), facts), default_timeout=60)
    app.query_params.update(query)
    return app.run()


def html(app) -> str:
    assert not app.exception, app.exception
    return "\n".join(element.proto.body for element in app.get("html"))


def test_nothing_is_computed_before_it_is_opened():
    app = opened(Broken())
    assert not app.error
    assert html(app) == ""


def test_a_walk_shows_every_step_with_its_badge():
    shown = html(opened(walk="true", to="silver"))
    for step in range(STEPS):
        assert f"linear gold to silver step {step}<" in shown
    assert shown.count('data-level="high"') == STEPS - 1
    assert shown.count('data-level="doubtful"') == 1
    assert "50% of the way" in shown
    assert "Trust: doubtful" in shown


def test_a_walk_follows_its_link():
    shown = html(opened(walk="true", to="silver", how="spherical", step="100%"))
    assert "spherical gold to silver step 6" in shown
    assert "100% of the way" in shown


def test_a_walk_can_be_read_as_a_table():
    frame = table(["0%", "100%"], [said("a"), said("b", "doubtful")])
    assert frame["decoded"].tolist() == ["a", "b"]
    assert frame["level"].tolist() == ["high", "doubtful"]
    assert frame["gap"].tolist() == [2.0, 2.0]
    app = opened(walk="true", to="silver")
    app.session_state["table-walk"] = True
    app.run()
    assert len(app.dataframe[0].value) == STEPS


def test_sums_averages_and_transplants():
    app = opened(compute="true", plus="silver\n\ntin", minus="iron")
    assert "sum of ['gold', 'silver', 'tin'] less ['iron']" in html(app).replace("&#x27;", "'")
    shown = html(opened(compute="true", operation="average", **{"with": "tin"}))
    assert "mean of ['gold', 'tin']" in shown.replace("&#x27;", "'")
    shown = html(opened(compute="true", operation="transplant", source="tin", tokens=["◆2", "◆4"]))
    assert "[1, 3] of tin in gold" in shown, "tokens are numbered from 1 on the page, from 0 in the library"
    assert "2 of 4 special tokens" in shown


def test_a_chain_has_the_text_and_its_steps():
    shown = html(opened(chain="true", links="2"))
    assert [f"gold {step}<" in shown for step in range(4)] == [True, True, True, False]


def test_a_pasted_vector_is_read():
    shown = html(opened(bare="true", vector="[1, 2\n 3]"))
    assert "sum 6 by default" in shown
    assert "Trust: high · cosine 0.80, others 0.10" in shown
    assert "sum 6 by /my/lifter<" in html(opened(bare="true", vector="1 2 3", lifter="/my/lifter"))
    assert "sum 6 by default in 2 rounds<" in html(opened(bare="true", vector="1 2 3", search="true"))


@pytest.mark.parametrize(
    ("vector", "line"), [("1 2", "2 numbers, but this embedder’s have 3"), ("1 2 x", "'x' is no number")]
)
def test_a_vector_that_does_not_fit_is_one_line(vector, line):
    app = opened(bare="true", vector=vector)
    assert len(app.error) == 1
    assert line in app.error[0].value


def test_an_uploaded_file_is_read_up_to_a_bound():
    from workbench.ui.vector_tool import MOST_VECTORS

    data = BytesIO()
    np.save(data, np.ones((MOST_VECTORS + 5, 3), np.float32))
    app = opened(bare="true")
    app.get("file_uploader")[0].upload("mine.npy", data.getvalue(), "application/octet-stream").run()
    shown = html(app)
    assert shown.count("sum 3 by default") == MOST_VECTORS
    assert f"The first {MOST_VECTORS} of {MOST_VECTORS + 5} vectors" in shown


def test_without_a_lifter_the_command_is_said():
    shown = html(opened(Fake(ships=False), bare="true", vector="1 2 3"))
    assert "workbench train lifter" in shown
    assert "sum 6" not in shown


def test_gem_says_what_does_not_apply_and_reads_vectors_all_the_same():
    app = opened(Broken(), GEM, walk="true", compute="true", chain="true", bare="true", vector="1 2 3")
    shown = html(app)
    assert not app.error
    assert shown.count("does not apply to GEM") == 3
    assert "sum 6 by default" in shown


def test_an_error_is_one_line_and_the_other_tools_go_on():
    app = opened(Broken(), walk="true", to="silver", chain="true")
    assert [error.value for error in app.error] == ["the \\*vectors\\* are gone"]
    assert "gold 1" in html(app)


def test_nothing_typed_is_said():
    shown = html(opened(walk="true", to="", bare="true"))
    assert "Type the text to arrive at" in shown
    assert "Paste the numbers" in shown


def test_every_text_is_escaped():
    shown = html(opened(text=HOSTILE, walk="true", to=HOSTILE, compute="true", chain="true"))
    assert "<script" not in shown
    assert "&lt;script" in shown


@pytest.fixture
def no_lifter(use_shipped, monkeypatch, tmp_path):
    """The throw-away default alone: what ships in the checkout is out of sight."""
    from workbench import files

    monkeypatch.setattr(files, "PACKAGE", tmp_path / "nowhere" / "workbench")


def test_the_real_tools_agree_with_the_library(no_lifter):
    """The ends of a walk are the texts' own readings; a sum of one text, and a chain's first link, are too."""
    use, text, end = loaders.Tools(loaders.source()), "Tell me about gold.", "What is the capital of France?"
    walk = use.interpolate(text, end, 3, "spherical")
    own, other = loaders.read(text), loaders.read(end)
    assert (walk[0].text, walk[-1].text) == (own.decoded[0], other.decoded[0])
    badge = loaders.judge(own)
    assert walk[0].badge.score == pytest.approx(badge.score, abs=1e-3)
    assert walk[0].badge.level == badge.level
    assert use.combine([text], []).text == own.decoded[0]
    assert use.average([text, text]).text == own.decoded[0]
    assert use.chain(text, 1)[0].text == own.decoded[0]
    assert use.transplant(text, end, range(4)).text == other.decoded[0], (
        "all four tokens are the other text's"
    )
    assert not use.lifter_ships("llm2vec-gen")


def test_a_lifter_reads_what_the_library_reads(no_lifter, tmp_path):
    import torch

    from workbench.decoding.lift import read_vectors
    from workbench.decoding.search import Search, best_readings
    from workbench.embedders.config import LifterConfig
    from workbench.embedders.lifter import Lifter
    from workbench.embedders.lifter_artifact import save_lifter

    at = loaders.source()
    embedder = loaders.loaded(at).embedder
    lifter = Lifter(
        LifterConfig(dimension=24, n_prompts=4, size=embedder.backbone.hidden_size, width=8)
    ).eval()
    save_lifter(lifter, embedder, tmp_path / "lifter")
    vectors = torch.randn(2, 24, generator=torch.Generator().manual_seed(0)).numpy()
    found = loaders.Tools(at).lift(vectors, str(tmp_path / "lifter"))
    expected = read_vectors(embedder, lifter, vectors)
    assert [one.text for one in found] == expected.decoded
    np.testing.assert_allclose([one.badge.cosine for one in found], expected.round_trip, atol=1e-5)
    searched = loaders.Tools(at).lift(vectors, str(tmp_path / "lifter"), 1)
    assert [one.text for one in searched] == best_readings(embedder, lifter, vectors, Search(1))
    with pytest.raises(WorkbenchError, match="this lifter reads"):
        loaders.Tools(at).lift(vectors[:, :5], str(tmp_path / "lifter"))
    with pytest.raises(UsageError, match="lifters/llm2vec-gen is not there"):
        loaders.Tools(at).lift(vectors)
