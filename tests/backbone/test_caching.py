"""Keys and values are handed on by the name that the model knows, and nothing is said about another one."""

import logging
import warnings
from types import SimpleNamespace

import pytest
import torch

from workbench.backbone.caching import cache_argument


class Old(torch.nn.Module):
    def forward(self, inputs_embeds=None, past_key_values=None):
        pass


class New(torch.nn.Module):
    def forward(self, inputs_embeds=None, cache=None, **more):
        pass


def test_the_name_is_the_models():
    assert cache_argument(SimpleNamespace(base_model=Old())) == "past_key_values"
    assert cache_argument(SimpleNamespace(base_model=New())) == "cache"


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_cache_is_read_without_a_word_and_says_the_same(make_tiny, family, caplog):
    backbone = make_tiny(family)
    ids = torch.tensor([backbone.tokenize(["one two three"]).ids[0]])
    rows, mask = backbone.embed(ids), torch.ones_like(ids, dtype=torch.bool)
    positions = torch.arange(ids.shape[1])[None]
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING, logger="transformers"):
        warnings.filterwarnings("error", message=".*(past_key_values|cache_params).*")
        whole = backbone.hidden(rows, mask=mask, positions=positions).last
        first = backbone.hidden(rows[:, :2], mask=mask[:, :2], positions=positions[:, :2], use_cache=True)
        rest = backbone.hidden(rows[:, 2:], mask=mask, positions=positions[:, 2:], cache=first.cache).last
    assert "deprecated" not in caplog.text
    torch.testing.assert_close(torch.cat([first.last, rest], dim=1), whole, atol=1e-5, rtol=1e-4)
