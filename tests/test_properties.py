"""What holds for every input: masks, padding, packing, arithmetic and a store, on inputs that hypothesis draws."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from fuzzing import bounded
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from workbench.atlas.layout import StoreFacts
from workbench.atlas.store import Made, create_store, open_store
from workbench.backbone.padding import pad
from workbench.decoding.arithmetic import average, combine, interpolate, transplant
from workbench.masks import bidirectional_mask, bottleneck_mask, causal_mask, special_token_mask, to_additive
from workbench.training.packing import fill_rows, pack

CPU = torch.device("cpu")
BOOLEANS = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9)).map(
    torch.from_numpy
)
IDS = st.lists(st.lists(st.integers(0, 99), min_size=1, max_size=12), min_size=1, max_size=8)
NUMBERS = st.floats(-100, 100, width=32, allow_subnormal=False)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(str.strip)


def block(shape):
    return hnp.arrays(np.float32, shape, elements=NUMBERS).map(torch.from_numpy)


BLOCKS = st.tuples(st.integers(1, 4), st.integers(1, 5)).flatmap(
    lambda shape: st.tuples(block(shape), block(shape), block(shape))
)


@bounded
@given(BOOLEANS)
def test_every_mask_lets_a_row_see_itself_and_nobody_else_see_padding(padding):
    for mask in (
        causal_mask(padding),
        bidirectional_mask(padding),
        bottleneck_mask(torch.zeros_like(padding), padding),
    ):
        others = mask & ~torch.eye(padding.shape[1], dtype=torch.bool)
        assert mask.diagonal(dim1=1, dim2=2).all()
        assert not others[:, :, :].transpose(1, 2)[~padding].any(), "padding is seen"
        assert not others[~padding].any(), "padding sees"
    assert not causal_mask(padding).triu(1).any()
    assert torch.equal(bottleneck_mask(torch.zeros_like(padding), padding), causal_mask(padding))


@bounded
@given(BOOLEANS, st.data())
def test_a_suffix_never_sees_its_prefix(padding, data):
    special = data.draw(hnp.arrays(bool, padding.shape).map(torch.from_numpy))
    mask = bottleneck_mask(special, padding)
    marks = special & padding
    opened = marks.cumsum(dim=1) > 0
    prefix, suffix = ~opened & padding, opened & ~marks & padding
    assert not (mask & suffix[:, :, None] & prefix[:, None, :]).any()
    assert not (
        mask & marks[:, :, None] & marks[:, None, :] & ~torch.eye(mask.shape[1], dtype=torch.bool)
    ).any()
    looser = bottleneck_mask(special, padding, specials_see_each_other=True)
    assert not (mask & ~looser).any()
    assert not (looser & ~causal_mask(padding)).any()


@bounded
@given(BOOLEANS, st.integers(1, 4))
def test_special_tokens_behind_a_query_leave_its_mask_as_it_is(padding, n):
    whole, length = special_token_mask(padding, n), padding.shape[1]
    assert torch.equal(whole[:, :length, :length], causal_mask(padding))
    assert torch.equal(whole[:, length:, :length], padding[:, None, :].expand(-1, n, -1))
    additive = to_additive(whole, torch.float32)
    assert torch.equal(additive[:, 0] == 0, whole)
    assert torch.isfinite(additive.softmax(dim=-1)).all()


@bounded
@given(IDS, st.sampled_from(["left", "right"]))
def test_padding_loses_nothing(ids, side):
    batch = pad(ids, side, 777, CPU)
    assert [row[real].tolist() for row, real in zip(batch.ids, batch.mask, strict=True)] == ids
    assert (batch.ids[~batch.mask] == 777).all()
    for positions, real, own in zip(batch.positions, batch.mask, ids, strict=True):
        assert positions[real].tolist() == list(range(len(own)))
    assert batch.ids.shape[1] == max(map(len, ids))


@bounded
@given(IDS, st.integers(1, 3), st.sampled_from(["before", "behind"]))
def test_packing_keeps_every_text_whole_and_alone(ids, n, vectors):
    packed = pack(ids, n, vectors=vectors, device=CPU)
    width = packed.ids.shape[1]
    assert packed.places.unique().numel() == packed.places.numel()
    for text, places in zip(ids, packed.places.tolist(), strict=True):
        row, first = divmod(places[0], width)
        start = first if vectors == "before" else first - len(text)
        body = slice(start + n, start + n + len(text)) if vectors == "before" else slice(start, first)
        whole = slice(start, start + n + len(text))
        assert packed.ids[row, body].tolist() == text
        assert packed.positions[row, whole].tolist() == list(range(len(text) + n))
        own = packed.mask[row, whole]
        assert torch.equal(own[:, whole], torch.ones(len(text) + n, len(text) + n).tril().bool())
        assert own.sum() == own[:, whole].sum(), "it sees a neighbour"


@bounded
@given(st.lists(st.integers(1, 30), min_size=1, max_size=40), st.integers(30, 60))
def test_rows_are_filled_and_never_too_full(lengths, width):
    rows = fill_rows(lengths, width)
    assert sorted(text for row in rows for text in row) == list(range(len(lengths)))
    filled = [sum(lengths[text] for text in row) for row in rows]
    assert max(filled) <= width
    assert all(one + other > width for at, one in enumerate(filled) for other in filled[at + 1 :]), (
        "two rows are one"
    )


@bounded
@given(BLOCKS, st.integers(2, 6), st.sampled_from(["linear", "spherical"]))
def test_arithmetic_has_its_identities(blocks, steps, how):
    a, b, c = blocks
    path = interpolate(a, b, steps, how)
    assert torch.equal(path[0], a)
    assert torch.equal(path[-1], b)
    assert torch.isfinite(path).all()
    torch.testing.assert_close(interpolate(b, a, steps, how).flip(0), path, atol=1e-3, rtol=1e-3)
    assert combine([(1.0, a)]).numpy().tobytes() == a.numpy().tobytes()
    torch.testing.assert_close(combine([(1.0, a), (1.0, b), (-1.0, b)]), a, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(
        average(torch.stack([a, b, c])), average(torch.stack([c, a, b])), atol=1e-4, rtol=1e-4
    )
    every = range(len(a))
    assert torch.equal(transplant(a, b, every), b)
    assert torch.equal(transplant(transplant(a, b, every), a, every), a)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("stores")


VALUE = {
    "flag": (pa.bool_(), st.none() | st.booleans()),
    "whole": (pa.int64(), st.none() | st.integers(-(2**63), 2**63 - 1)),
    "share": (pa.float64(), st.none() | st.floats(allow_nan=False)),
    "said": (pa.string(), st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)),
}
ROW = st.fixed_dictionaries({"text": TEXT, **{name: values for name, (_, values) in VALUE.items()}})


@settings(bounded, max_examples=12)
@given(st.lists(st.tuples(TEXT, ROW), min_size=1, max_size=5, unique_by=lambda pair: pair[0]), st.data())
def test_a_store_gives_back_what_it_was_given(folder, named, data):
    count = len(named)
    vectors = data.draw(hnp.arrays(np.float32, (count, 3), elements=NUMBERS))
    halves = hnp.arrays(np.float16, (count, 2, 2), elements=st.floats(-60000, 60000, width=16))
    soft_prompts = data.draw(halves).astype(np.float32)
    facts = StoreFacts("m", "e", {"weights": "w"}, 3, [2, 2], None, "s", "h", {})
    uri = str(folder / str(len(list(folder.iterdir()))))
    store = create_store(uri, facts, {name: kind for name, (kind, _) in VALUE.items()})
    rows = [{"id": name, "position": at, **row} for at, (name, row) in enumerate(named)]
    assert store.write(rows, Made(vectors, soft_prompts)) == count
    assert store.write(rows, Made(vectors + 1, soft_prompts)) == 0, "what is there stays"
    again, ids = open_store(uri), [name for name, _ in named]
    assert again.facts == facts
    np.testing.assert_array_equal(again.embeddings(ids[::-1]), vectors[::-1])
    np.testing.assert_array_equal(again.soft_prompts(ids), soft_prompts)
    found = [row for batch in again.scan(["id", "position", "text", *VALUE]) for row in batch.to_pylist()]
    assert sorted(found, key=lambda row: row["position"]) == rows
    assume(count > 1)
    assert [row["id"] for batch in again.scan(["id"], "position = 1") for row in batch.to_pylist()] == [
        ids[1]
    ]
