"""The page *Lenses*: grids, one layer's lists, agreement beside its control, what is opened below, and its loader."""

import json

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from workbench.errors import UsageError, WorkbenchError
from workbench.lenses.agreement import agreement
from workbench.lenses.attention_flow import AttentionFlow
from workbench.lenses.attribution_map import AttributionMap
from workbench.lenses.reading import LensReading
from workbench.lenses.words import Words
from workbench.ui import lenses
from workbench.ui.lens_causes import flow_table

EXAMPLES = {"One hop": "What is the capital of Japan?", "Emotion": "How does the writer feel?"}
HOSTILE = "<script>alert(1)</script>"
SHORT = "<script>x"
"""Fits into the labels of figures."""
IDS = {"logit": [[1, 2], [3, 4]], "patchscope": [[1, 2], [3, 4]], "tuned": [[1, 2], [5, 6]]}
IDS["latent"] = [[7, 8], [5, 6]]


def reading(lens, text="gold", layers=(0, 1), ids=None, word="tok"):
    """Two special tokens, top 2; the same in every layer. ◆1's first token is novel."""
    ids = np.array([ids or IDS[lens]] * len(layers))
    tokens = [[[f"{word}{token}" for token in row] for row in layer] for layer in ids.tolist()]
    scores = np.tile(np.array([0.9, 0.25], np.float32), (len(layers), 2, 1))
    novel = np.zeros(ids.shape, bool)
    novel[:, 0, 0] = True
    snippets = [[["near «it»"] * 2] * 2] * len(layers) if lens == "latent" else None
    kind = "cosine" if lens == "latent" else "probability"
    return LensReading(lens, text, layers, ["◆1", "◆2"], tokens, ids, scores, novel, kind, snippets)


class Fake:
    """Every lens' reading, made by hand; remembers what it was asked for."""

    def __init__(self, word="tok", cut=False):
        self.word, self.cut, self.asked = word, cut, []

    def read(self, lens, text, folder=""):
        self.asked.append((lens, text, folder))
        if folder == "nowhere":
            raise UsageError("no *folder* <b>there</b>")
        return reading(lens, text, (1,) if lens == "latent" else (0, 1), word=self.word)

    def is_cut(self, text):
        return self.cut

    def attribute(self, text, baseline):
        """What is lost together is 3 and 1; the rows lose 1 + 1 and 1 + 0.5: (1 + 0.5) / 4 is missing."""
        self.asked.append((baseline, text))
        values, logs = np.array([[1.0, 1.0], [1.0, 0.5]]), np.array([-0.1, -0.2])
        labels = ["◆1", "◆2"]
        return AttributionMap(
            text, "Au", "special tokens", labels, [f"␣{self.word}", "<|end|>"], [5, 3], values, logs,
            np.array([3.0, 1.0]), "ablation", baseline,
        )  # fmt: skip

    def flow(self, text, rollout):
        """◆1 looks at the template for 0.5, at "gold" for 0.2 + 0.1."""
        self.asked.append((rollout, text))
        weights = np.array([[[[0.5, 0.2, 0.1, 0.2, 0.0], [0.5, 0.1, 0.1, 0.2, 0.1]]]], np.float32)
        words = Words([self.word], np.array([-1, 0, 0, -1, -1]))
        tokens = ["<|user|>", "go", "ld", "◆1", "◆2"]
        rolled = weights[0, 0] if rollout else None
        return AttentionFlow(text, tokens, ["◆1", "◆2"], words, weights, rolled, "eager", 0.0, False)


class Broken(Fake):
    def read(self, *_):
        raise WorkbenchError("this *embedder* has <b>no</b> special tokens")


def draw(use, examples):
    from workbench.ui import lenses

    lenses.page(use, examples=examples)


def opened(use=None, **query):
    app = AppTest.from_function(draw, args=(use or Fake(), EXAMPLES), default_timeout=60)
    app.query_params.update(query)
    return app.run()


def html(app) -> str:
    assert not app.exception, app.exception
    return "\n".join(element.proto.body for element in app.get("html"))


def test_two_lenses_stand_in_a_grid_and_nothing_below_is_computed():
    use = Fake()
    app = opened(use)
    asked = EXAMPLES["One hop"]
    assert use.asked == [("logit", asked, ""), ("patchscope", asked, "")]
    shown = html(app)
    assert "patchscope lens" in shown
    assert "tuned lens" not in shown
    grid, _, agreed = (chart.proto.spec for chart in app.get("plotly_chart"))
    assert "logit lens (probability)" in grid
    assert "same special token" in agreed


def test_folders_add_the_tuned_and_the_latent_lens():
    use = Fake()
    app = opened(use, text="gold", probes=" p ", index="i")
    want = [("logit", ""), ("tuned", "p"), ("patchscope", ""), ("latent", "i")]
    assert use.asked == [(lens, "gold", folder) for lens, folder in want]
    assert "latent lens (cosine)" in app.get("plotly_chart")[3].proto.spec


def test_a_layer_lists_every_special_tokens_top_tokens():
    app = opened(text="gold", lens_layer="1", index="i")
    shown = html(app)
    assert "logit lens (probability), layer 1" in shown
    assert shown.count("tok1 <small>0.90</small>") == 2, "logit lens and patchscope"
    assert shown.count("border:2px") == 3, "one novel word for each lens"
    assert "near «it»" in shown
    assert len(app.get("plotly_chart")) == 1, "the agreement alone"
    app.select_slider(key="lens_layer").set_value("0").run()
    assert "logit lens (probability), layer 0" in html(app)
    assert "This lens does not read layer 0." in html(app)


def test_a_layer_of_another_model_shows_the_grid():
    app = opened(text="gold", lens_layer="1")
    app.session_state["lens_layer"] = "27"
    app.run()
    assert app.select_slider(key="lens_layer").value == "all"
    assert len(app.get("plotly_chart")) == 3
    assert html(opened(lens_layer="27"))


def test_agreement_by_hand_in_words():
    """Two lenses that read the same: overlap 1, the other special token's 0, so clear of the control."""
    same = agreement([[reading("logit")], [reading("patchscope")]], 2)
    assert lenses.verdict(same) == lenses.ALL_CLEAR
    none = agreement([[reading("logit")], [reading("latent")]], 2)
    assert lenses.verdict(none) == lenses.LITTLE
    half = LensReading(
        **{**vars(reading("patchscope")), "token_ids": np.array([[[7, 8], [9, 10]], IDS["logit"]])}
    )
    some = agreement([[reading("logit")], [half]], 2)
    assert lenses.verdict(some) == "Clear of the control in layer 1: elsewhere the lenses show little."
    frame = lenses.agreement_table(some)
    assert list(frame) == ["layer", "overlap", "low", "high", "control", "logit, patchscope"]
    assert frame["overlap"].tolist() == [0, 1]
    assert frame["logit, patchscope"].tolist() == [0, 1]


def test_agreement_stands_beside_its_control():
    shown = html(opened(text="gold"))
    assert lenses.ALL_CLEAR in shown
    assert "Agreement in layer 1" in shown
    assert '<div class="wb-value">1.00<small>overlap' in shown
    assert "95% interval 1.00 to 1.00, control 0.00" in shown
    assert "Agreement in layer 0" in html(opened(text="gold", lens_layer="0"))


def test_every_plot_can_be_read_as_a_table():
    app = opened(text="gold", causes="true", feeds="true")
    assert not app.dataframe
    for name in ("lenses", "agreement", "attribution", "feeds"):
        app.session_state[f"table-{name}"] = True
    app.run()
    first, second, third, fourth = (frame.value for frame in app.dataframe)
    assert list(first)[:4] == ["lens", "layer", "special", "rank"]
    assert len(first) == 2 * 2 * 2 * 2, "lenses, layers, special tokens, ranks"
    assert second["control"].tolist() == [0, 0]
    assert third["value"].tolist() == [1.0, 1.0, 1.0, 0.5]
    np.testing.assert_allclose(fourth["share"], [0.3, 0.2], rtol=1e-6)


def test_agreement_is_a_figure_once_it_is_opened():
    app = opened()
    assert not app.get("download_button")
    app.session_state["print-lens-agreement"] = True
    app.run()
    assert not app.exception
    assert [one.proto.label for one in app.get("download_button")] == ["PDF", "SVG"]


def test_attribution_shows_its_completeness():
    use = Fake()
    app = opened(use, text="gold", causes="true", replaced="their mean")
    assert ("mean", "gold") in use.asked
    shown = html(app)
    assert '<div class="wb-value">0.38<small>' in shown, "1.5 of 4"
    assert '<div class="wb-value">2.0<small>nats' in shown
    assert "log-probability lost" in app.get("plotly_chart")[3].proto.spec


def test_feeds_follow_their_link():
    use = Fake()
    app = opened(use, text="gold", feeds="true", attention="through all layers")
    assert (True, "gold") in use.asked
    assert "share of rollout" in app.get("plotly_chart")[3].proto.spec
    plain = Fake()
    assert "share of attention" in opened(plain, feeds="true").get("plotly_chart")[3].proto.spec
    frame = flow_table(Fake().flow("gold", False), "attention")
    assert frame["special"].tolist() == ["◆1", "◆2"]
    np.testing.assert_allclose(frame["share"], [0.3, 0.2], rtol=1e-6)


def test_an_empty_text_asks_for_one_and_a_long_one_is_said():
    app = opened()
    app.text_area(key="text").input("  ").run()
    assert "Type a text" in html(app)
    assert "cut off" in opened(Fake(cut=True)).warning[0].value


def test_what_goes_wrong_is_one_line_and_the_other_lenses_stay():
    app = opened(text="gold", probes="nowhere")
    assert [error.value for error in app.error] == ["no \\*folder\\* \\<b\\>there\\</b\\>"]
    assert len(app.get("plotly_chart")) == 3
    broken = opened(Broken())
    assert len(broken.error) == 1
    assert not broken.get("plotly_chart")


def test_hostile_text_stays_text():
    app = opened(Fake(SHORT), text=HOSTILE, lens_layer="1", causes="true", feeds="true", index="i")
    assert "<script" not in html(app)
    assert "&lt;script&gt;" in html(app)
    charts = [*app.get("plotly_chart"), *opened(Fake(SHORT)).get("plotly_chart")]
    drawn = [json.dumps(json.loads(chart.proto.spec)) for chart in charts]
    assert not any("<script" in spec for spec in drawn)
    assert ["&lt;script" in spec for spec in drawn] == [False, True, True, True, True, False]


@pytest.fixture
def use(use_shipped):
    from workbench.ui import loaders

    return loaders.Lenses(loaders.source())


def test_the_loader_reads_what_the_library_reads(use):
    from workbench.lenses.logit import logit_lens
    from workbench.lenses.patchscope import patchscope
    from workbench.ui import loaders

    embedder = loaders.loaded(use.at).embedder
    [logit], [scope] = logit_lens(embedder, ["gold"]), patchscope(embedder, ["gold"])
    for lens, want in (("logit", logit), ("patchscope", scope)):
        found = use.read(lens, "gold")
        assert found.tokens == want.tokens
        np.testing.assert_array_equal(found.scores, want.scores)
    assert not use.is_cut("gold")
    assert use.is_cut("gold " * 600)


def test_an_untrained_tuned_lens_is_the_logit_lens_and_a_retrained_one_is_read_anew(use, tmp_path):
    import torch

    from workbench.lenses.tuned import Trained, Translators
    from workbench.lenses.tuned_artifact import save_tuned_lens
    from workbench.lenses.tuned_config import TunedTraining
    from workbench.ui import loaders

    embedder = loaders.loaded(use.at).embedder
    probes = Translators(2, 32)
    save_tuned_lens(Trained(probes, [], [], 1), embedder, tmp_path / "probes", TunedTraining())
    logit = use.read("logit", "gold")
    np.testing.assert_allclose(
        use.read("tuned", "gold", str(tmp_path / "probes")).scores, logit.scores, rtol=1e-5
    )
    torch.nn.init.normal_(probes.bias)
    save_tuned_lens(Trained(probes, [], [], 1), embedder, tmp_path / "probes", TunedTraining())
    again = use.read("tuned", "gold", str(tmp_path / "probes"))
    assert np.abs(again.scores[0] - logit.scores[0]).max() > 1e-3
    for lens in ("tuned", "latent"):
        with pytest.raises(UsageError, match=r"no (tuned lens|index) at"):
            use.read(lens, "gold", str(tmp_path / "nowhere"))


def test_the_page_works_on_the_default(use_shipped):
    def script():
        from workbench.ui import pages

        pages.lenses()

    app = AppTest.from_function(script, default_timeout=90)
    app.query_params.update(text="Tell me about gold.", causes="true", feeds="true")
    app.run()
    assert not app.exception
    assert not app.error
    assert app.title[0].value == "Lenses"
    assert len(app.get("plotly_chart")) == 5
