"""The frozen language model: the only place that knows HF paths, devices, dtypes and EOS ids."""

from workbench.backbone.generation import Answers
from workbench.backbone.model import Backbone, HiddenStates
from workbench.backbone.padding import PaddedBatch
from workbench.backbone.prompts import Template, Tokenized

__all__ = ["Answers", "Backbone", "HiddenStates", "PaddedBatch", "Template", "Tokenized"]
