"""The argument by which a model takes the keys and values that it goes on from: its name differs between releases."""

import inspect
from typing import Any


def cache_argument(model: Any) -> str:
    """`cache` where the base model's forward names it so (transformers from 5.24 on), else `past_key_values`.

    Its outputs carry the cache by the same name.
    """
    return "cache" if "cache" in inspect.signature(model.base_model.forward).parameters else "past_key_values"
