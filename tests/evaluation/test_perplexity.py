"""Perplexity against the model's own logits, text by text, whatever the batch."""

import math

import numpy as np
import pytest
import torch

from workbench.errors import UsageError
from workbench.evaluation import perplexity as protocol
from workbench.evaluation.perplexity import evaluate, likelihoods, perplexity
from workbench.evaluation.protocol import interval

TEXTS = ["The capital of France is Paris.", "A lion eats meat.", "What is gold? Gold is a metal.", "Z"]


def slow(backbone, ids):
    with torch.no_grad():
        logits = backbone.model(torch.tensor([ids])).logits[0].float().log_softmax(dim=-1)
    return -sum(float(logits[place - 1, ids[place]]) for place in range(1, len(ids)))


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_every_text_has_the_likelihood_that_the_model_gives_it(make_tiny, batch_size, monkeypatch):
    monkeypatch.setattr(protocol, "POSITIONS", 5)
    backbone = make_tiny("llama")
    ids = [backbone.tokenizer(text, add_special_tokens=False)["input_ids"] for text in TEXTS]
    assert len(ids[3]) == 1
    found = likelihoods(backbone, ids, batch_size=batch_size)
    expected = [[slow(backbone, row), len(row) - 1] for row in ids[:3]]
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    total, count = np.sum(expected, axis=0)
    assert perplexity(backbone, ids, batch_size=batch_size) == pytest.approx(
        math.exp(total / count), rel=1e-4
    )


def test_a_score_counts_what_was_read_and_has_an_interval(make_tiny):
    backbone = make_tiny("llama")
    found = evaluate(TEXTS, backbone, task="t", max_length=6)
    ids = backbone.tokenize(TEXTS, template="raw", max_length=6).ids
    assert found.main_score == pytest.approx(perplexity(backbone, ids), rel=1e-6)
    assert found.metrics["nll_per_token"] == pytest.approx(math.log(found.main_score))
    assert (found.n, found.details["too_short"], found.details["truncated"]) == (3, 1, 3)
    assert found.details["tokens"] == 15
    low, high = interval(found)
    assert low < found.main_score < high
    with pytest.raises(UsageError, match="at least two tokens"):
        evaluate(["Z"], backbone, task="t")
