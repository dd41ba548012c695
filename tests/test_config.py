"""Configurations: strict in, JSON out and back, a docstring for every field."""

from dataclasses import fields

import pytest
from jaxtyping import TypeCheckError

from workbench.embedders.config import LLM2VecGenConfig
from workbench.errors import UsageError
from workbench.training.config import LLM2VecGenTraining
from workbench.training.gem_config import GEMTraining
from workbench.training.lifter_config import LifterTraining
from workbench.training.teacher_config import TeacherTraining

REFUSED = (UsageError, TypeCheckError)  # the shape checker of the tests sees a wrong literal before we do
CONFIGS = [LLM2VecGenConfig, LLM2VecGenTraining, GEMTraining, TeacherTraining, LifterTraining]


@pytest.mark.parametrize("config", CONFIGS)
def test_json_round_trip(config):
    assert config.from_json(config().to_json()) == config()


@pytest.mark.parametrize("config", CONFIGS)
def test_unknown_keys_are_refused_by_name(config):
    with pytest.raises(UsageError, match="n_comprssion"):
        config.from_dict({"n_comprssion": 3})


@pytest.mark.parametrize("config", CONFIGS)
def test_every_field_is_documented(config):
    assert set(config.help()) == {field.name for field in fields(config)}


def test_text_that_is_not_json_is_refused():
    with pytest.raises(UsageError, match="not JSON"):
        LLM2VecGenConfig.from_json("{")


@pytest.mark.parametrize(
    ("config", "values", "named"),
    [
        (LLM2VecGenConfig, {"n_compression": 0}, "n_compression"),
        (LLM2VecGenConfig, {"n_thought": -1}, "n_thought"),
        (LLM2VecGenConfig, {"template": "chatty"}, "template"),
        (LLM2VecGenConfig, {"dimension": 0}, "dimension"),
        (LLM2VecGenTraining, {"batch_size": 0}, "batch_size"),
        (LLM2VecGenTraining, {"lr": 0.0}, "lr"),
        (LLM2VecGenTraining, {"w_align": 0.0, "w_recon": 0.0}, "nothing would train"),
        (LLM2VecGenTraining, {"save_steps": 15, "logging_steps": 10}, "multiple"),
        (LLM2VecGenTraining, {"schedule": "steep"}, "schedule"),
        (LLM2VecGenTraining, {"packing": "on"}, "packing needs a LoRA"),
        (GEMTraining, {"seed": -1}, "seed"),
    ],
)
def test_values_that_make_no_sense_are_refused(config, values, named):
    with pytest.raises(REFUSED, match=named):
        config.from_dict(values)


def test_the_papers_values_are_the_defaults():
    training, embedder = LLM2VecGenTraining(), LLM2VecGenConfig()
    assert (training.lr, training.warmup_steps, training.schedule) == (3e-4, 100, "linear")
    assert (training.batch_size, training.epochs, training.w_align, training.w_recon) == (32, 1, 1.0, 1.0)
    assert (training.max_query_length, training.max_response_length) == (512, 512)
    assert (embedder.n_compression, embedder.n_thought) == (10, 0)
