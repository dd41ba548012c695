"""The norm behind the last block is found in every family, under whatever name."""

import pytest
import torch

from workbench.backbone.norm import final_norm
from workbench.errors import WorkbenchError

NAMES = {
    "llama": "norm", "qwen2": "norm", "qwen3": "norm", "mistral": "norm", "gemma2": "norm", "gemma3": "norm",
    "gpt2": "ln_f", "gpt_neox": "final_layer_norm", "phi": "final_layernorm", "phi3": "norm",
    "olmo": "norm", "olmo2": "norm",
}  # fmt: skip


@pytest.mark.parametrize("family", NAMES)
def test_the_norm_of_a_family_is_its_own_module(make_tiny, family):
    backbone = make_tiny(family)
    assert final_norm(backbone) is getattr(backbone.model.base_model, NAMES[family])
    assert not any(module._forward_pre_hooks for module in backbone.model.modules())
    assert not backbone.layers[-1]._forward_hooks


def test_a_model_that_does_more_behind_its_blocks_is_refused(make_tiny):
    backbone = make_tiny("llama")

    def double(_, __, output):
        output.last_hidden_state = output.last_hidden_state * 2
        return output

    handle = backbone.model.model.register_forward_hook(double)
    with pytest.raises(WorkbenchError, match="no norm was found that ends LlamaForCausalLM"):
        final_norm(backbone)
    handle.remove()
    assert isinstance(final_norm(backbone), torch.nn.Module)
