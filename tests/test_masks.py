"""Mask builders against masks written out by hand, and against what a model does with them."""

import pytest
import torch

from workbench.masks import bidirectional_mask, bottleneck_mask, causal_mask, special_token_mask, to_additive


def test_causal_mask_by_hand():
    padding = torch.tensor([[True, True, True], [False, True, True]])
    expected = torch.tensor(
        [
            [[1, 0, 0], [1, 1, 0], [1, 1, 1]],
            [[1, 0, 0], [0, 1, 0], [0, 1, 1]],  # the padded first row sees itself alone, nobody sees it
        ],
        dtype=torch.bool,
    )
    assert torch.equal(causal_mask(padding), expected)


def test_right_padding_is_seen_by_nobody_and_sees_itself():
    mask = causal_mask(torch.tensor([[True, True, False, False]]))[0]
    assert mask[:2, 2:].sum() == 0
    assert mask[2].tolist() == [False, False, True, False]
    assert mask[3].tolist() == [False, False, False, True]


def test_bidirectional_mask_by_hand():
    padding = torch.tensor([[True, True, True], [False, True, True], [True, False, False]])
    expected = torch.tensor(
        [
            [[1, 1, 1], [1, 1, 1], [1, 1, 1]],
            [[1, 0, 0], [0, 1, 1], [0, 1, 1]],
            [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        ],
        dtype=torch.bool,
    )
    assert torch.equal(bidirectional_mask(padding), expected)


def test_special_tokens_see_the_whole_query_and_each_other_from_left_to_right():
    mask = special_token_mask(torch.tensor([[False, True, True]]), 2)[0]
    assert mask.shape == (5, 5)
    assert mask[3].tolist() == [False, True, True, True, False]
    assert mask[4].tolist() == [False, True, True, True, True]
    assert not mask[:3, 3:].any(), "a query never sees special tokens: that is why its cache can be kept"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_additive_mask_is_zero_or_the_lowest_number_of_the_dtype(dtype):
    additive = to_additive(torch.tensor([[[True, False], [True, True]]]), dtype)
    assert additive.shape == (1, 1, 2, 2)
    assert additive.dtype == dtype
    assert additive[0, 0].tolist() == [[0.0, torch.finfo(dtype).min], [0.0, 0.0]]


def test_the_declared_mask_is_what_the_model_does(tiny_backbone):
    ids = torch.tensor([[0, 0, 7, 9, 11], [5, 6, 7, 8, 9]])
    padding = torch.tensor([[False, False, True, True, True], [True] * 5])
    positions = (padding.cumsum(1) - 1).clamp(min=0)
    embeds = tiny_backbone.embed(ids)
    ours = tiny_backbone.model.base_model(
        inputs_embeds=embeds,
        attention_mask=to_additive(causal_mask(padding), embeds.dtype),
        position_ids=positions,
    ).last_hidden_state
    theirs = tiny_backbone.hidden(embeds, mask=padding, positions=positions).last
    torch.testing.assert_close(ours[padding], theirs[padding], atol=1e-5, rtol=0)


def test_bottleneck_mask_by_hand():
    """Prefix a, special tokens s1 s2, suffix b c."""
    special = torch.tensor([[False, True, True, False, False]])
    real = torch.ones_like(special)
    expected = torch.tensor(
        [[1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [1, 0, 1, 0, 0], [0, 1, 1, 1, 0], [0, 1, 1, 1, 1]],
        dtype=torch.bool,
    )
    assert torch.equal(bottleneck_mask(special, real)[0], expected)
    expected[2, 1] = True
    assert torch.equal(bottleneck_mask(special, real, specials_see_each_other=True)[0], expected)


@pytest.mark.parametrize("see_each_other", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_bottleneck_mask_equals_three_nested_loops(slow_bottleneck, seed, see_each_other):
    draw = torch.Generator().manual_seed(seed)
    rows, length = 4, 9
    special = torch.zeros(rows, length, dtype=torch.bool)
    padding = torch.ones(rows, length, dtype=torch.bool)
    for b in range(rows):
        pad = int(torch.randint(0, 4, (1,), generator=draw))
        if b % 2:
            padding[b, :pad] = False
        elif pad:
            padding[b, -pad:] = False
        if b < 3:
            start = int(torch.randint(0, 7, (1,), generator=draw))
            special[b, start : start + 2] = True
    found = bottleneck_mask(special, padding, specials_see_each_other=see_each_other)
    assert torch.equal(found, slow_bottleneck(special, padding, see_each_other))
    assert torch.equal(found[3], causal_mask(padding)[3]), "a row without special tokens is plain causal"
