"""What a lens returns: ranks, marks and shapes, written and read again."""

from dataclasses import replace

import numpy as np
import pytest

from workbench.errors import UsageError, WorkbenchError
from workbench.lenses.reading import LensReading, is_novel, reading_of

TEXT = "What is the capital of Japan?"


@pytest.fixture
def reading():
    """Two layers, two special tokens, three ranks."""
    ids = np.arange(12).reshape(2, 2, 3)
    tokens = [[[f"t{n}" for n in row] for row in layer] for layer in ids.tolist()]
    tokens[0][0][0] = "nul\0"
    scores = np.linspace(0.9, 0.1, 12, dtype=np.float32).reshape(2, 2, 3)
    return LensReading("logit", TEXT, (0, 4), ["◆1", "◆2"], tokens, ids, scores, ids % 2 == 0, "probability")


def test_a_row_for_each_layer_special_token_and_rank(reading):
    frame = reading.to_frame()
    assert len(frame) == 12
    assert list(frame.columns) == ["layer", "special", "rank", "token", "token_id", "score", "novel"]
    row = frame[(frame.layer == 4) & (frame.special == "◆2") & (frame["rank"] == 3)].iloc[0]
    assert (row.token, row.token_id, bool(row.novel)) == ("t11", 11, False)
    assert row.score == pytest.approx(0.1)


def test_top_takes_a_layer_by_its_number(reading):
    assert reading.top(k=2) == [["t6", "t7"], ["t9", "t10"]]
    assert reading.top(layer=4) == [["t6", "t7", "t8"], ["t9", "t10", "t11"]]
    assert reading.top(layer=0, k=1) == [["nul\0"], ["t3"]]
    with pytest.raises(UsageError, match="layer 1 was not read; there are 0, 4"):
        reading.top(layer=1)


@pytest.mark.parametrize("snippets", [False, True])
def test_what_is_saved_is_what_is_loaded(reading, tmp_path, snippets):
    if snippets:
        texts = [[[f"around {token}" for token in row] for row in layer] for layer in reading.tokens]
        reading = replace(reading, lens="latent", snippets=texts, score_name="cosine")
    again = LensReading.load(reading.save(tmp_path / "r.parquet"))
    for name, value in vars(reading).items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(getattr(again, name), value)
            assert getattr(again, name).dtype == value.dtype
        else:
            assert getattr(again, name) == value, name
    assert [path.name for path in tmp_path.iterdir()] == ["r.parquet"]


def test_what_is_no_reading_is_refused(tmp_path):
    import pandas as pd

    with pytest.raises(UsageError, match="no such file"):
        LensReading.load(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("gold")
    with pytest.raises(WorkbenchError, match="not a parquet file"):
        LensReading.load(tmp_path / "text.parquet")
    pd.DataFrame({"layer": [1]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(WorkbenchError, match="no reading of a lens"):
        LensReading.load(tmp_path / "other.parquet")


@pytest.mark.parametrize(
    ("token", "novel"),
    [
        ("␣capital", False), ("␣Capital", False), ("␣cap", False), ("␣ital", True), ("ital", False),
        ("␣Tokyo", True), ("␣he", True), ("he", False), ("␣?", False), ("⟨C3⟩", False), ("␣⟨A9⟩", False),
        ("∅", False), ("␣", False), ("U+0007", False), ("␣U+001F", False),
        ("a 1/2", False), ("é 2/2", True), ("␣what", False), ("␣JAPAN", False), ("␣city↵", True), ("␣7", True),
    ],
)  # fmt: skip
def test_a_word_is_novel_where_the_text_lacks_it(token, novel):
    assert is_novel(token, TEXT) == novel


def test_words_are_compared_as_casefold_does():
    assert not is_novel("␣STRASSE", "Die Straße ist lang.")
    assert not is_novel("␣İstanbul", "in İstanbul")


def test_tokens_are_labelled_one_by_one(tiny_backbone):
    """Ranks that stand side by side are no text: halves of a letter stay halves."""
    tokenizer = tiny_backbone.tokenizer
    halves = tokenizer("ü", add_special_tokens=False)["input_ids"]
    [capital, *_] = tokenizer(" capital", add_special_tokens=False)["input_ids"]
    end = tokenizer.convert_tokens_to_ids("<|end|>")
    ids = np.array([[[*halves, capital, end, -1]]])
    scores = np.array([[[0.5, 0.4, 0.3, 0.2, 0.1]]])
    found = reading_of("logit", tokenizer, "Gold", (1,), ["◆1"], ids, scores)
    assert found.tokens == [[["⟨C3⟩", "⟨BC⟩", "␣capital", "<|end|>", "∅"]]]
    assert found.novel.tolist() == [[[False, False, True, False, False]]]


def test_shapes_and_order_are_checked(reading):
    for wrong in (
        {"scores": reading.scores[:1]},
        {"novel": reading.novel[:, :, :2]},
        {"tokens": reading.tokens[:1]},
        {"tokens": [[row[:2] for row in layer] for layer in reading.tokens]},
        {"labels": ["◆1"]},
        {"scores": reading.scores[..., ::-1]},
        {"snippets": [[["a"]]]},
        {"lens": "magic"},
    ):
        with pytest.raises((ValueError, TypeError)):
            replace(reading, **wrong)
