"""Differences between texts: by hand, and put together again."""

from random import Random

import pytest

from workbench.decoding.differences import Span, differences


def test_by_hand():
    found = differences("Tokyo is the capital of Japan.", "Kyoto is a capital of japan")
    assert found.left == (
        Span("Tokyo ", "own"), Span("is ", "same"), Span("the ", "own"), Span("capital of Japan.", "same"),
    )  # fmt: skip
    assert [span.text for span in found.right if span.kind == "own"] == ["Kyoto ", "a "]
    assert found.shared == pytest.approx(
        2 * 4 / 12
    )  # is, capital, of, Japan; capitals and the full stop do not count


@pytest.mark.parametrize(
    ("left", "right", "shared"), [("", "", 1), ("a", "", 0), ("", "b c", 0), ("a b", "a b", 1)]
)
def test_edges(left, right, shared):
    assert differences(left, right).shared == shared


def test_signs_alone_are_words():
    assert differences("yes !", "yes ?").shared == 0.5


def test_the_spans_put_together_are_the_texts():
    draw = Random(0)
    texts = ["".join(draw.choices("ab .\n\t!ü😀\u2003", k=draw.randrange(30))) for _ in range(400)]
    for left, right in zip(texts[::2], texts[1::2], strict=True):
        found = differences(left, right)
        for text, spans in ((left, found.left), (right, found.right)):
            assert "".join(span.text for span in spans) == (text if text.strip() else "")
