"""Backbones in 4 bits: what from_pretrained is told, what is refused; and which GPU a process takes."""

import importlib.util
from importlib import metadata

import pytest
import torch

from workbench.backbone import Backbone, load, quantization
from workbench.backbone.quantization import loading_options
from workbench.embedders.full import FullUpdate
from workbench.errors import UsageError
from workbench.processes import Processes

GPU = torch.device("cuda", 1)


@pytest.fixture
def fake_bitsandbytes(monkeypatch):
    """As if the package were installed: its presence and version are all that a configuration asks for."""
    find, version = importlib.util.find_spec, metadata.version
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: True if name == "bitsandbytes" else find(name, *a)
    )
    monkeypatch.setattr(
        metadata, "version", lambda name: "0.48.0" if name == "bitsandbytes" else version(name)
    )


def test_nothing_is_asked_for_without_quantization():
    assert loading_options(None, GPU, torch.bfloat16) == {}


def test_nf4_is_asked_for_on_this_processes_gpu(fake_bitsandbytes):
    options = loading_options("nf4", GPU, torch.bfloat16)
    config = options["quantization_config"]
    assert config.load_in_4bit
    assert config.bnb_4bit_quant_type == "nf4"
    assert config.bnb_4bit_use_double_quant
    assert config.bnb_4bit_compute_dtype == torch.bfloat16
    assert options["device_map"] == {"": GPU}


def test_a_missing_package_and_a_missing_gpu_are_refused(fake_bitsandbytes, monkeypatch, tiny_backbone_dir):
    with pytest.raises(UsageError, match="needs a GPU"):
        Backbone.load(str(tiny_backbone_dir), device="cpu", quantization="nf4")
    with pytest.raises(UsageError, match="unknown quantization 'int3'"):
        loading_options("int3", GPU, torch.bfloat16)
    monkeypatch.setattr(quantization, "PACKAGE", "a_package_that_is_not_there")
    with pytest.raises(UsageError, match="pip install bitsandbytes"):
        loading_options("nf4", GPU, torch.bfloat16)


def test_the_options_reach_from_pretrained_and_the_model_stays_where_it_was_put(
    monkeypatch, tiny_backbone_dir
):
    told = {}
    real = load.AutoModelForCausalLM.from_pretrained

    def from_pretrained(source, **options):
        told.update(
            quantization_config=options.pop("quantization_config"), device_map=options.pop("device_map")
        )
        model, info = real(source, **options)
        model.to = None  # quantized models refuse to be moved
        model.config.quantization_config = {"load_in_4bit": True}
        return model, info

    options = {"quantization_config": "nf4", "device_map": {"": "there"}}
    monkeypatch.setattr(load, "loading_options", lambda *_: options)
    monkeypatch.setattr(load.AutoModelForCausalLM, "from_pretrained", from_pretrained)
    quantized = Backbone.load(str(tiny_backbone_dir), device="cpu", quantization="nf4")
    assert told == options
    monkeypatch.undo()
    assert quantized.fingerprint() == Backbone.load(str(tiny_backbone_dir), device="cpu").fingerprint()


def test_weights_in_4_bits_are_not_fine_tuned_in_full():
    packed = torch.nn.Linear(2, 2, bias=False)
    packed.weight = torch.nn.Parameter(torch.zeros(2, 1, dtype=torch.uint8), requires_grad=False)
    with pytest.raises(UsageError, match="train a LoRA"):
        FullUpdate(packed)


@pytest.mark.parametrize(("processes", "wanted"), [(Processes(5, 8, 1), "cuda:1"), (Processes(), "cuda")])
def test_each_process_of_a_machine_takes_its_own_gpu(monkeypatch, processes, wanted):
    taken = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    monkeypatch.setattr(load, "here", lambda: processes)
    assert load.pick_device("auto") == torch.device(wanted)
    assert taken == ([1] if processes.count > 1 else [])


def test_a_backbone_alone_is_not_spread(tiny_backbone):
    from workbench.backbone.sharding import shard

    with pytest.raises(UsageError, match="one process runs"):
        shard(tiny_backbone)
    assert not tiny_backbone.sharded
