"""Keys and values are handed on by the name that the model knows, and nothing is said about another one."""

import logging
import warnings
import weakref
from types import SimpleNamespace

import pytest
import torch

from workbench.backbone.caching import cache_argument, let_go


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


@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma2", "gpt2", "gpt_neox"])
def test_a_cache_that_is_let_go_is_read_once_and_keeps_nothing(make_tiny, family):
    backbone = make_tiny(family)
    ids = torch.arange(3, 13)[None]
    rows, mask, positions = (
        backbone.embed(ids),
        torch.ones_like(ids, dtype=torch.bool),
        torch.arange(10)[None],
    )
    whole = backbone.hidden(rows, mask=mask, positions=positions).last
    cache = backbone.hidden(rows[:, :6], mask=mask[:, :6], positions=positions[:, :6], use_cache=True).cache
    let_go(cache, backbone.model)
    rest = backbone.hidden(rows[:, 6:], mask=mask, positions=positions[:, 6:], cache=cache).last
    torch.testing.assert_close(rest, whole[:, 6:], atol=1e-5, rtol=1e-4)
    assert [layer.keys.numel() + layer.values.numel() for layer in cache.layers] == [0, 0]


def test_caches_that_layers_share_are_left_as_they_are():
    config = SimpleNamespace(num_kv_shared_layers=2)
    model = SimpleNamespace(config=SimpleNamespace(get_text_config=lambda: config))

    class Cache:
        layers = ()

        def update(self):
            pass

    cache = Cache()
    let_go(cache, model)
    assert "update" not in vars(cache)
    config.num_kv_shared_layers = 0
    let_go(cache, model)
    assert "update" in vars(cache)
    gone = weakref.ref(cache)
    del cache
    assert gone() is None, "no garbage collector is waited for"
    old = SimpleNamespace(update=len)
    let_go(old, model)
    assert old.update is len
