"""A backbone whose blocks are spread over several processes: each holds a part of every block's weights (FSDP2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.errors import UsageError
from workbench.processes import here, join

if TYPE_CHECKING:
    from workbench.backbone.model import Backbone


def shard(backbone: Backbone) -> None:
    """Spread every block over the processes of this launch, where it is; input embeddings, norm and head stay whole.

    A block's weights are gathered when it runs and let go again. What is frozen has no gradients to gather, so nothing
    else changes. From then on all processes must run the same blocks as often: training does, generation does not.
    Raises UsageError in a process alone, and for a quantized backbone.
    """
    from torch.distributed.fsdp import fully_shard

    if here().count == 1:
        raise UsageError("there is nothing to spread a backbone over: one process runs (docs/scale.md)")
    if getattr(backbone.model, "is_quantized", False):
        raise UsageError("a quantized backbone is not spread over processes: each holds a copy of it")
    join()
    backbone.fingerprint()  # of the whole weights: the parts have another hash
    for block in backbone.layers:
        fully_shard(block, reshard_after_forward=True)
    backbone.sharded = True
