"""Examples and their order."""

import numpy as np
import pytest
import torch

from workbench.embedders.config import LLM2VecGenConfig
from workbench.errors import UsageError, WorkbenchError
from workbench.training.batches import BatchOrder, Examples, tokenize_examples
from workbench.training.config import LLM2VecGenTraining
from workbench.training.corpus import Corpus


def corpus(queries, responses, targets=None):
    return Corpus(
        queries, responses, np.zeros((len(queries), 4), np.float32) if targets is None else targets, {}
    )


def lengths_only(backbone, queries, responses):
    return Examples(
        backbone, [[1] * n for n in queries], [[1] * n for n in responses], torch.zeros(len(queries), 0), 0, 0
    )


def test_a_batch_by_hand(tiny_backbone):
    examples = Examples(tiny_backbone, [[5, 6, 7], [8]], [[9, 3], [10, 11, 3]], torch.eye(2), 0, 0)
    batch = examples.batch([1, 0])
    pad = tiny_backbone.pad_id
    assert batch["query_ids"].tolist() == [[pad, pad, 8], [5, 6, 7]]
    assert batch["query_mask"].tolist() == [[False, False, True], [True, True, True]]
    assert batch["query_positions"][1].tolist() == [0, 1, 2]
    assert batch["response_ids"].tolist() == [[10, 11, 3], [9, 3, pad]]
    assert batch["labels"].tolist() == [[10, 11, 3], [9, 3, -100]]
    assert batch["targets"].tolist() == [[0, 1], [1, 0]]


def test_responses_have_no_template_and_end_with_the_backbones_own_eos(tiny_backbone):
    examples = tokenize_examples(
        tiny_backbone,
        corpus(["gold"], ["Gold is a metal."]),
        LLM2VecGenTraining(),
        LLM2VecGenConfig(dimension=4),
    )
    assert tiny_backbone.tokenizer.decode(examples.responses[0]) == "Gold is a metal.<|end|>"
    assert tiny_backbone.tokenizer.decode(examples.queries[0]) == "<|user|>gold"


def test_what_is_too_long_is_cut_and_counted(tiny_backbone):
    long = "the river flows through the city " * 20
    examples = tokenize_examples(
        tiny_backbone,
        corpus(["gold", long], [long, "Gold."]),
        LLM2VecGenTraining(max_query_length=10, max_response_length=8),
        LLM2VecGenConfig(dimension=4),
    )
    assert (examples.truncated_queries, examples.truncated_responses) == (1, 1)
    assert len(examples.queries[1]) == 10
    assert len(examples.responses[0]) == 8
    eos = tiny_backbone.eos_ids[0]
    assert eos not in examples.responses[0], "a response that is cut does not end here"
    assert examples.responses[1][-1] == eos


def test_soft_prompts_and_response_fit_into_the_models_window(make_tiny):
    backbone = make_tiny("gpt2", n_positions=32)
    long = "the river flows through the city " * 20
    examples = tokenize_examples(
        backbone,
        corpus([long], [long]),
        LLM2VecGenTraining(),
        LLM2VecGenConfig(dimension=4, n_compression=10),
    )
    assert len(examples.queries[0]) <= 22
    assert len(examples.responses[0]) <= 22


def test_an_empty_corpus_and_missing_targets_are_refused(tiny_backbone):
    config, embedder = LLM2VecGenTraining(), LLM2VecGenConfig(dimension=4)
    with pytest.raises(WorkbenchError, match="empty"):
        tokenize_examples(tiny_backbone, corpus([], []), config, embedder)
    with pytest.raises(UsageError, match="targets"):
        tokenize_examples(tiny_backbone, Corpus(["a"], ["b"], None, {}), config, embedder)


def test_every_epoch_sees_every_example_once(tiny_backbone):
    examples = lengths_only(tiny_backbone, range(1, 102), range(101, 0, -1))
    order = BatchOrder(examples, batch_size=8, epochs=3, seed=0)
    assert len(order.batches) == 3 * 13
    seen = [row for batch in order.batches for row in batch]
    for epoch in range(3):
        assert sorted(seen[epoch * 101 : (epoch + 1) * 101]) == list(range(101))
    assert seen[:101] != seen[101:202]


def test_the_order_depends_on_the_seed_alone(tiny_backbone):
    examples = lengths_only(tiny_backbone, [3] * 50, [4] * 50)
    first, again, other = (
        BatchOrder(examples, batch_size=8, epochs=1, seed=seed).batches for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_buckets_pad_little(tiny_backbone):
    draw = np.random.default_rng(0)
    queries, responses = draw.integers(5, 30, 3200), draw.integers(5, 50, 3200)
    order = BatchOrder(lengths_only(tiny_backbone, queries, responses), batch_size=32, epochs=1, seed=0)
    padded = sum(len(batch) * responses[batch].max() for batch in order.batches)
    unsorted = sum(32 * responses[start : start + 32].max() for start in range(0, 3200, 32))
    assert padded < 0.8 * unsorted
