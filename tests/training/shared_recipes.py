"""What `test_shared_training.py` trains, in one process and, run as a script by `accelerate launch`, in two.

`python shared_recipes.py BACKBONE OUTPUT` trains every recipe into a folder of OUTPUT under its name.
"""

import sys
from pathlib import Path

import numpy as np

from workbench.backbone import Backbone
from workbench.backbone.sharding import shard
from workbench.embedders.artifact import load_embedder
from workbench.embedders.config import GEMConfig, LifterConfig, LLM2VecGenConfig
from workbench.processes import here, leave
from workbench.training import gem, lifter, llm2vec_gen
from workbench.training.config import LLM2VecGenTraining
from workbench.training.corpus import Corpus
from workbench.training.gem_config import GEMTraining
from workbench.training.lifter_config import LifterTraining

PLACES = ["France", "the long river that flows through the old city", "gold", "Japan and of its islands", "Rome",
          "a metal", "the guitar"]  # fmt: skip
QUERIES = [f"What is the capital of {place}, number {n}?" for n in range(3) for place in PLACES]
RESPONSES = [f"It is {place}." + " Who knows?" * (n % 4) for n, place in enumerate(PLACES * 3)]
"""21: five batches of four and one of a single text, of which a second process has none."""

STEPS = {"logging_steps": 1, "save_steps": 4, "warmup_steps": 2, "batch_size": 4}
RECIPES = {
    "frozen": LLM2VecGenTraining(lr=1e-2, epochs=4, **STEPS),
    "lora": LLM2VecGenTraining(lr=1e-2, epochs=4, lora_rank=2, align_reduction="sum", **STEPS),
    "packed": LLM2VecGenTraining(lr=1e-2, epochs=4, lora_rank=2, packing="on", **STEPS),
    "resumed": LLM2VecGenTraining(lr=1e-2, epochs=4, lora_rank=2, **STEPS),
    "gem": GEMTraining(
        p=0.4,
        share_soft_prompt=0.5,
        lr=1e-2,
        contrastive_lr=5e-3,
        alpha=0.5,
        alpha_start=5,
        epochs=5,
        **STEPS,
    ),
    "spread": LLM2VecGenTraining(lr=1e-2, epochs=4, lora_rank=2, **STEPS),
    "spread gem": GEMTraining(p=0.4, lr=1e-2, alpha=0.5, alpha_start=0, epochs=5, **STEPS),
    "gem alone": GEMTraining(p=0.4, lr=1e-2, alpha=0.0, epochs=4, **STEPS),
}
SPREAD = ("spread", "spread gem")
"""Recipes that two processes train on a backbone whose blocks are spread over them."""
LIFTER = LifterTraining(lr=1e-2, epochs=4, **STEPS)


def corpus() -> Corpus:
    """Queries and responses with targets that every process draws alike."""
    targets = np.random.default_rng(3).normal(size=(len(QUERIES), 24)).astype(np.float32)
    return Corpus(QUERIES, RESPONSES, targets, {})


def train(name: str, backbone: Backbone, output: Path) -> None:
    """Train one recipe into `output`/`name`."""
    config = RECIPES[name]
    if isinstance(config, GEMTraining):
        gem.train(backbone, corpus(), config, GEMConfig(n_special=2, lora_rank=2), output=output / name)
    else:
        shape = LLM2VecGenConfig(n_compression=3, teacher="drawn")
        llm2vec_gen.train(backbone, corpus(), config, shape, output=output / name)


def train_lifter(backbone: Backbone, output: Path) -> None:
    """Train a lifter of the embedder "frozen" into `output`/lifter."""
    embedder = load_embedder(output / "frozen", backbone=backbone)
    lifter.train(embedder, corpus(), LIFTER, LifterConfig(width=16), output=output / "lifter")


def train_all(backbone: Backbone, output: Path) -> None:
    """Train every recipe, and the lifter."""
    for name in RECIPES:
        if name not in SPREAD:
            train(name, backbone, output)
    train_lifter(backbone, output)
    if here().count > 1:
        shard(backbone)
        held = next(backbone.layers[0].parameters())
        assert 2 * held.to_local().numel() == held.numel(), "each process holds half of a block"
    for name in SPREAD:
        train(name, backbone, output)


if __name__ == "__main__":
    train_all(Backbone.load(sys.argv[1]), Path(sys.argv[2]))
    leave(0)
