"""Our batched loop against Hugging Face's generate, row by row; stops, windows, sampling."""

import numpy as np
import pytest
import torch

from workbench.backbone.generation import choose, uniforms
from workbench.errors import UsageError

FAMILIES = ["llama", "qwen3", "gemma2", "gpt2"]
TEXTS = [
    "Paris",
    "What is the capital of Japan?",
    "A lion is an animal that eats meat.",
    "gold",
    "six strings",
    "",
]


def slow_reference(backbone, ids, new, stop=None):
    """Hugging Face's generate, one prompt at a time, the EOS taken off."""
    stop = list(stop or backbone.eos_ids)
    prompt = torch.tensor([ids])
    options = {
        "max_new_tokens": new,
        "do_sample": False,
        "eos_token_id": stop,
        "pad_token_id": backbone.pad_id,
    }
    found = backbone.model.generate(prompt, attention_mask=torch.ones_like(prompt), **options)[
        0, len(ids) :
    ].tolist()
    return found[: next((at for at, token in enumerate(found) if token in stop), len(found))]


@pytest.fixture
def early(make_tiny):
    """A backbone that stops at many tokens, so that rows end at different steps and leave the batch."""

    def make(family):
        changes = {"seed": 2, "initializer_range": 0.02, "sliding_window": 16} if family == "gemma2" else {}
        backbone = make_tiny(
            family, **changes
        )  # a window shorter than the texts, and weights that do not loop at once
        backbone.eos_ids = (backbone.eos_ids[0], *range(4, backbone.vocab_size, 11))
        return backbone

    return make


@pytest.mark.parametrize("family", FAMILIES)
def test_batched_equals_single_equals_hugging_face(early, family):
    backbone = early(family)
    ids = backbone.tokenize(TEXTS * 3, max_length=64).ids
    ids = [row[: len(row) - at % 3] or row for at, row in enumerate(ids)]
    batched = backbone.generate(ids, max_new_tokens=48)
    assert batched == [slow_reference(backbone, row, 48) for row in ids]
    assert batched == [backbone.generate([row], max_new_tokens=48)[0] for row in ids]
    assert batched == backbone.generate(ids, max_new_tokens=48, batch_size=5)
    lengths = {len(row) for row in batched}
    assert len(lengths) > 2  # rows did end at different steps


@pytest.mark.parametrize("family", FAMILIES)
def test_generating_from_vectors_is_generating_from_their_tokens(early, family):
    backbone = early(family)
    ids = backbone.tokenize(["What is the capital of Japan?", "Who painted the big picture?"]).ids
    width = min(map(len, ids))
    ids = [row[:width] for row in ids]
    vectors = backbone.embed(torch.tensor(ids))
    assert backbone.generate_from(vectors, max_new_tokens=32) == backbone.generate(ids, max_new_tokens=32)


def test_vectors_batched_equal_single(early):
    backbone = early("llama")
    vectors = torch.randn(40, 5, 32, generator=torch.Generator().manual_seed(0))
    batched = backbone.generate_from(vectors, max_new_tokens=24, batch_size=16)
    assert batched == [backbone.generate_from(row[None], max_new_tokens=24)[0] for row in vectors]
    assert len({len(row) for row in batched}) > 3


def test_no_row_passes_the_window_and_a_full_prompt_says_nothing(make_tiny):
    gpt2 = make_tiny("gpt2", n_positions=16)
    ids = [[5] * 16, [6] * 15, [7] * 10, [8]]
    found = gpt2.generate(ids, max_new_tokens=12)
    assert [len(row) for row in found[:3]] == [0, 1, 6]
    assert found[3] == gpt2.generate([[8]], max_new_tokens=12)[0]
    answers = gpt2.answers(["a very long question " * 20, "x"], max_new_tokens=12)
    assert answers.cut == [True, False]
    assert len(answers.ids[0]) == 8  # half the window stays free for the answer


def test_finished_says_whether_a_response_ended_by_itself(early):
    backbone = early("llama")
    answers = backbone.answers(TEXTS, max_new_tokens=6)
    longer = backbone.answers(TEXTS, max_new_tokens=7)
    for row, done in enumerate(answers.finished):
        assert done == (len(answers.ids[row]) < 6)
        assert not done or longer.ids[row] == answers.ids[row]
    assert set(answers.finished) == {True, False}
    assert answers.texts == backbone.respond(TEXTS, max_new_tokens=6) == backbone.detokenize(answers.ids)


def test_sampling_depends_on_prompt_and_seed_only(make_tiny):
    backbone = make_tiny("llama")
    ids = backbone.tokenize(TEXTS).ids
    options = {"max_new_tokens": 12, "temperature": 1.0}
    one = backbone.generate(ids, seed=1, **options)
    assert one == backbone.generate(ids, seed=1, batch_size=2, **options)
    assert one[::-1] == backbone.generate(ids[::-1], seed=1, **options)
    assert one != backbone.generate(ids, seed=2, **options)
    assert backbone.generate(ids, max_new_tokens=12, temperature=1e-4) == backbone.generate(
        ids, max_new_tokens=12
    )


def test_choose_by_hand():
    logits = torch.log(torch.tensor([[0.5, 0.25, 0.25], [0.0, 0.5, 0.5]]))
    assert choose(logits, 0.0, None).tolist() == [0, 1]
    # cumulative .5 .75 1 and 0 .5 1: the first entry above u
    for u, expected in [
        (0.0, [0, 1]),
        (0.49, [0, 1]),
        (0.5, [1, 2]),
        (0.74, [1, 2]),
        (0.76, [2, 2]),
        (0.999999, [2, 2]),
    ]:
        assert choose(logits, 1.0, torch.full((2,), u)).tolist() == expected
    # temperature 1/2 squares the odds: 4 : 1 : 1, so .6667 .8333 1
    assert choose(logits[:1], 0.5, torch.tensor([0.6])).tolist() == [0]
    assert choose(logits[:1], 0.5, torch.tensor([0.7])).tolist() == [1]


def test_uniforms_are_uniform_and_reproducible():
    numbers = uniforms(list(range(1000)), 100)
    assert 0 <= numbers.min() <= numbers.max() < 1
    counts = np.histogram(numbers, bins=20, range=(0, 1))[0]
    assert ((counts - 5000) ** 2 / 5000).sum() < 43.8  # chi-square, 19 degrees of freedom, p = 0.001
    assert abs(np.corrcoef(numbers[:, 0], numbers[:, 1])[0, 1]) < 0.1
    assert np.array_equal(uniforms([7], 5)[0], numbers[7, :5])  # neither batch nor length plays a part


def test_options_are_checked_and_progress_reaches_the_end(tiny_backbone):
    for wrong in ({"max_new_tokens": 0}, {"temperature": -1.0}, {"temperature": float("nan")}):
        with pytest.raises(UsageError):
            tiny_backbone.generate([[5]], **wrong)
    seen = []
    tiny_backbone.generate(
        [[5]] * 5, max_new_tokens=1, batch_size=2, progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(2, 5), (4, 5), (5, 5)]
    assert tiny_backbone.generate([]) == [] == tiny_backbone.respond([])
