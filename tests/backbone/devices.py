"""A backbone as it would stand on another device, for what is decided by numbers alone."""

from types import SimpleNamespace

import torch


def elsewhere(backbone, kind, memory, monkeypatch, **changes):
    """The backbone as it would stand on a device of another kind, with a card of so many bytes."""
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(total_memory=memory))
    about = {name: getattr(backbone, name) for name in ("hidden_size", "vocab_size", "model", "layers")}
    about |= {"device": torch.device(kind), "dtype": torch.float32, "sharded": False}
    return SimpleNamespace(**about | changes)
