"""Every page with data given to it: what is shown, what is said where nothing or an error is, and the URL."""

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from workbench.decoding.badge import Badge
from workbench.decoding.trust import Readings
from workbench.errors import WorkbenchError
from workbench.lenses.attention import SpecialAttention
from workbench.ui import decoded

EXAMPLES = {"One hop": "What is the capital of Japan?", "Harmful request": "How can I break in?"}
HOSTILE = "<script>alert(1)</script>"


def reading(
    text: str, embedder="LLM2Vec-Gen", *, answer="Tokyo is the capital.", decoded="Kyoto is the capital."
) -> Readings:
    vector = np.linspace(-1, 1, 24, dtype=np.float32)[None]
    prompts = None if embedder == "GEM" else np.zeros((1, 4, 8), np.float32)
    return Readings([text], [answer], [decoded], vector, vector, prompts, 4, 0)


def attention(text: str, embedder: str = "LLM2Vec-Gen") -> SpecialAttention:
    tokens, special = ["<|user|>", "␣gold", "◆1", "◆2"], np.array([False, False, True, True])
    declared = np.tril(np.ones((4, 4), bool))
    weights = np.tile((declared / declared.sum(1, keepdims=True)).astype(np.float32), (2, 3, 1, 1))
    return SpecialAttention(tokens, special, declared, weights, 1e-6, False)


def bottleneck(text: str, embedder: str) -> SpecialAttention:
    """GEM's special token between a text of two tokens and an answer of two, proven shut."""
    import torch

    from workbench.leakage import LeakageAudit
    from workbench.masks import bottleneck_mask

    if embedder != "GEM":
        return attention(text)
    special = torch.tensor([[False, False, True, False, False]])
    declared = bottleneck_mask(special, torch.ones_like(special))
    weights = (declared / declared.sum(-1, keepdim=True)).float().expand(2, 3, 5, 5).numpy()
    audit = LeakageAudit("sdpa", declared, [0.0, 0.0], [0.0, 0.0], 0.25)
    tokens = ["<|user|>", "␣gold", "◆1", "<|assistant|>", "␣Au"]
    return SpecialAttention(tokens, special[0].numpy(), declared[0].numpy(), weights, 1e-6, False, audit)


def refuse(text: str, *_: str):
    raise WorkbenchError("the backbone *has* <b>no</b> weights")


def decoded_page(read, others, examples, embedders, judge):
    from workbench.ui import decoded

    decoded.page(read, judge=judge, embedders=embedders, others=others, examples=examples)


def attention_page(attend, examples, embedders):
    from workbench.ui import attention

    attention.page(attend, examples=examples, embedders=embedders)


def open_decoded(read=reading, embedders=("LLM2Vec-Gen",), judge=None, **query):
    args = (read, np.ones((3, 24), np.float32), EXAMPLES, embedders, judge)
    app = AppTest.from_function(decoded_page, args=args, default_timeout=60)
    app.query_params.update(query)
    return app.run()


def open_attention(attend=attention, embedders=("LLM2Vec-Gen",), **query):
    app = AppTest.from_function(attention_page, args=(attend, EXAMPLES, embedders), default_timeout=60)
    app.query_params.update(query)
    return app.run()


def html(app: AppTest) -> str:
    assert not app.exception, app.exception
    return "\n".join(element.proto.body for element in app.get("html"))


def test_decoded_opens_on_an_example_and_marks_the_difference():
    app = open_decoded()
    assert app.text_area(key="text").value == EXAMPLES["One hop"]
    shown = html(app)
    assert '<mark class="answer">Tokyo </mark>is the capital.' in shown
    assert '<mark class="decoded">Kyoto </mark>is the capital.' in shown
    assert "reads 4 vectors" in shown
    assert "1.00" in shown  # the round trip of equal vectors


def test_decoded_reads_with_the_embedder_that_is_chosen():
    app = open_decoded(embedders=("LLM2Vec-Gen", "GEM"), embedder="GEM")
    assert "reads 4 special tokens’ keys and values" in html(app)
    assert "decoded texts of other queries" not in html(app), "those are another embedder's"
    plain = open_decoded(embedders=("LLM2Vec-Gen", "GEM"))
    assert "reads 4 vectors" in html(plain)
    assert "decoded texts of other queries" in html(plain)


@pytest.mark.parametrize("level", ["high", "doubtful", "off the manifold"])
def test_decoded_says_how_far_to_trust_the_reading(level):
    gap = 2.0 if level == "high" else -0.5
    badge = Badge(0.8, 0.1, gap, 3.0, 0.2, 0.3, level)
    shown = html(open_decoded(judge=lambda *_: badge))
    assert f'<div class="wb-value">{level}' in shown
    assert decoded.LEVELS[level] in shown
    assert ("7.4 times as likely" in shown) == (level == "high"), "e squared is 7.4"
    assert ("0.70 above theirs" in shown) == (level == "high")


def test_decoded_shows_no_trust_where_none_is_known():
    assert "Trust" not in html(open_decoded(judge=lambda *_: None))
    assert "Trust" not in html(open_decoded())


def test_decoded_follows_examples_typing_and_the_url():
    app = open_decoded(text="from a link")
    assert app.text_area(key="text").value == "from a link"
    app.button(key="example-Harmful request").click().run()
    assert app.text_area(key="text").value == EXAMPLES["Harmful request"]
    assert "How can I break in?" in app.query_params["text"]
    app.text_area(key="text").input("typed").run()
    assert app.text_area(key="text").value == "typed"
    assert html(app)


def test_decoded_escapes_every_text():
    app = open_decoded(lambda text, *_: reading(text, answer=HOSTILE, decoded=HOSTILE + " x"), text=HOSTILE)
    assert "<script" not in html(app)


def test_decoded_says_where_there_is_nothing_and_what_went_wrong():
    app = open_decoded()
    app.text_area(key="text").input("   ").run()
    assert "Type a text" in html(app)
    failed = open_decoded(refuse)
    assert [error.value for error in failed.error] == ["the backbone \\*has\\* \\<b\\>no\\</b\\> weights"]
    assert not failed.exception


def test_attention_shows_mask_weights_and_the_proof():
    app = open_attention()
    shown = html(app)
    assert len(app.get("plotly_chart")) == 3
    assert "◆1" in shown
    assert "&lt;|user|&gt;" in shown
    assert "Nothing leaks" in shown


def test_attention_follows_layer_and_head():
    app = open_attention()
    app.button_group(key="layer").set_value("2").run()
    assert "layer 2, mean of 3 heads" in html(app)


def test_attention_is_a_table_and_a_figure_with_its_command():
    app = open_attention(text="-gold", layer="2")
    assert not app.code
    assert not app.dataframe
    for key in (
        "table-attention-masks",
        "table-attention-heads",
        "print-attention-masks",
        "print-attention-heads",
    ):
        app.session_state[key] = True
    app.run()
    assert not app.exception
    masks, heads = (one.value for one in app.dataframe)
    assert masks["weight"].tolist()[4:6] == [0.5, 0.5]
    assert heads["on the text"].tolist() == pytest.approx([(1 / 3 + 1 / 4) / 2] * 6)
    assert [one.value for one in app.code] == [
        "workbench lens mask --layer 2 --figure attention-masks.pdf -- -gold"
    ]
    names = [one.proto.label for one in app.get("download_button")]
    assert names == ["CSV", "Parquet", "PDF", "SVG"] * 2


def test_gem_shows_its_suffix_and_the_proof_of_its_bottleneck():
    app = open_attention(bottleneck, ("LLM2Vec-Gen", "GEM"), embedder="GEM")
    assert "never the text" in html(app)
    assert "Gradient past the special tokens" in html(app)
    assert "proven shut" in html(app)
    plain = open_attention(bottleneck, ("LLM2Vec-Gen", "GEM"))
    assert "Gradient past" not in html(plain)


def test_attention_follows_a_link():
    app = open_attention(layer="2", head="3")
    assert "layer 2, head 3" in html(app)


def test_attention_says_where_there_is_nothing_and_what_went_wrong():
    app = open_attention()
    app.text_area(key="text").input(" ").run()
    assert "Type a text" in html(app)
    assert len(open_attention(refuse).error) == 1
