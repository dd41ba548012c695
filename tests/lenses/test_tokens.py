"""Tokens as people read them."""

import pytest

from workbench.lenses.tokens import readable_tokens, visible


def labels(backbone, text):
    return readable_tokens(
        backbone.tokenizer, backbone.tokenizer(text, add_special_tokens=False)["input_ids"]
    )


def test_spaces_and_breaks_are_visible(tiny_backbone):
    assert "".join(labels(tiny_backbone, "the capital\tof\nFrance")) == "the␣capital⇥of↵France"


@pytest.mark.parametrize("text", ["Zürich", "日本", "👩‍🚀 flies", "naïve — “quoted”"])
def test_no_byte_level_artefacts(tiny_backbone, text):
    shown = labels(tiny_backbone, text)
    assert not set("".join(shown)) & set("ĠĊâĢ�")
    assert len(shown) == len(tiny_backbone.tokenizer(text, add_special_tokens=False)["input_ids"])


def test_a_spread_character_names_its_parts(tiny_backbone):
    assert labels(tiny_backbone, "ü") == ["ü 1/2", "ü 2/2"]


def test_control_tokens_are_shown_as_they_are(tiny_backbone):
    assert labels(tiny_backbone, "<|user|>lion")[0] == "<|user|>"


def test_half_a_character_at_the_end_is_named_by_its_byte(tiny_backbone):
    """ü is C3 BC in UTF-8."""
    first, second = tiny_backbone.tokenizer("ü", add_special_tokens=False)["input_ids"]
    assert readable_tokens(tiny_backbone.tokenizer, [first]) == ["⟨C3⟩"]
    assert readable_tokens(tiny_backbone.tokenizer, [second, first]) == ["⟨BC⟩", "⟨C3⟩"]


def test_a_byte_in_a_sentencepiece_vocabulary_is_named():
    class Spelled(SentencePiece):
        pieces = ("<0xC3>",)

        def decode(self, ids, **options):
            return "\N{REPLACEMENT CHARACTER}" * len(ids)

    assert readable_tokens(Spelled(), [0]) == ["⟨C3⟩"]


def test_nothing_is_shown_as_nothing():
    assert visible("") == "∅"


class SentencePiece:
    """Drops the leading space when a single token is decoded."""

    pieces = ("▁capital", "s")

    def decode(self, ids, **options):
        return "".join(self.pieces[i] for i in ids).replace("▁", " ").lstrip()

    def convert_ids_to_tokens(self, token):
        return self.pieces[token]


def test_sentencepiece_spaces_come_back():
    assert readable_tokens(SentencePiece(), [0, 1]) == ["␣capital", "s"]


def test_control_characters_are_named():
    assert visible("a\x0bb") == "aU+000Bb"
    assert visible("") == "∅"
