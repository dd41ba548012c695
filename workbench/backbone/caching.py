"""The keys and values that a model goes on from: the argument that takes them, and how they are let go again."""

import inspect
import weakref
from typing import Any

from torch import Tensor


def cache_argument(model: Any) -> str:
    """`cache` where the base model's forward names it so (transformers from 5.24 on), else `past_key_values`.

    Its outputs carry the cache by the same name.
    """
    return "cache" if "cache" in inspect.signature(model.base_model.forward).parameters else "past_key_values"


def let_go(cache: Any, model: Any) -> None:
    """From now on the cache hands each layer its keys and values once and keeps none: it cannot be used again.

    What a backward pass needs is in its graph; a second copy would stay here until the pass is over. Caches of layers
    that read each other's are left as they are.
    """
    if not hasattr(cache, "layers") or getattr(model.config.get_text_config(), "num_kv_shared_layers", 0):
        return
    own = weakref.ref(cache)  # the cache holds what is put into it here: it must not hold itself

    def hand_over(keys: Tensor, values: Tensor, layer: int, *arguments: Any, **options: Any) -> Any:
        held: Any = own()
        found = type(held).update(held, keys, values, layer, *arguments, **options)
        held.layers[layer].keys, held.layers[layer].values = keys.new_empty(0), values.new_empty(0)
        return found

    cache.update = hand_over
