"""LLM2Vec-Gen trained and aligned exactly as the shipped embedder was, on another corpus or with another teacher."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import typer

FIELD_GUIDE = ("fieldguide/model", "fieldguide/corpus.jsonl", "fieldguide/eval.jsonl")
"""What short runs are trained and measured on, as results files name it."""


def train_like_shipped(queries: Path, output: Path, *, teacher: str | None = None, **changes: Any) -> Any:
    """The trained and aligned embedder in `output`, its run before the alignment beside it (`output`-run).

    `queries` is a corpus with responses; `changes` replace fields of the shipped recipe. What is finished is loaded,
    what was interrupted goes on.
    """
    from workbench import Backbone, load_embedder
    from workbench.embedders.artifact import CONFIG, Manifest
    from workbench.embedders.config import LLM2VecGenConfig
    from workbench.files import cache_folder, shipped
    from workbench.texts import read_texts
    from workbench.training.alignment import realign
    from workbench.training.config import LLM2VecGenTraining
    from workbench.training.corpus import Corpus, targets
    from workbench.training.llm2vec_gen import train
    from workbench.training.teachers import load_teacher

    if (output / CONFIG).is_file():
        return load_embedder(output)
    manifest = Manifest.read(shipped("embedders", "llm2vec-gen"))
    recipe = replace(LLM2VecGenTraining(**chosen(manifest.training, LLM2VecGenTraining)), **changes)
    shape = LLM2VecGenConfig(**chosen(manifest.config, LLM2VecGenConfig, leave="dimension"))
    shape = replace(shape, teacher=teacher or shape.teacher)
    backbone = Backbone.load(dtype="bfloat16")
    table = read_texts(str(queries), None)
    corpus = Corpus(table.texts, [str(row["response"]) for row in table.rows], None, {"source": str(queries)})
    vectors = targets(load_teacher(shape.teacher, backbone), corpus.responses, cache_dir=cache_folder(None))
    corpus = replace(corpus, targets=vectors)
    run = output.with_name(output.name + "-run")
    typer.echo(f"training {run}", err=True)
    made = train(backbone, corpus, recipe, shape, output=run)
    typer.echo(f"aligning {output}", err=True)
    realign(made, corpus, teacher=shape.teacher, output=output, trained=Manifest.read(run), bf16=True)
    return load_embedder(output)


def train_briefly(
    corpus: Any, output: Path, *, backbone: Any = None, shape: dict[str, Any] | None = None, **changes: Any
) -> Any:
    """An embedder trained by the shipped recipe on this corpus (queries with responses), not aligned at the end.

    `backbone` (in bfloat16) is the field guide where not given; `shape` replaces fields of the embedder's
    configuration, `changes` of the recipe, whose warm-up is 20 steps. Resumes.
    """
    from workbench import Backbone
    from workbench.embedders.artifact import Manifest
    from workbench.embedders.config import LLM2VecGenConfig
    from workbench.files import cache_folder, shipped
    from workbench.training.config import LLM2VecGenTraining
    from workbench.training.corpus import targets
    from workbench.training.llm2vec_gen import train
    from workbench.training.teachers import load_teacher

    manifest = Manifest.read(shipped("embedders", "llm2vec-gen"))
    recipe = LLM2VecGenTraining(**chosen(manifest.training, LLM2VecGenTraining))
    config = LLM2VecGenConfig(**chosen(manifest.config, LLM2VecGenConfig, leave="dimension"))
    config = replace(config, **(shape or {}))
    vectors = targets(load_teacher(config.teacher), corpus.responses, cache_dir=cache_folder(None))
    return train(
        backbone or Backbone.load(dtype="bfloat16"), replace(corpus, targets=vectors),
        replace(recipe, warmup_steps=20, **changes), config, output=output,
    )  # fmt: skip


def data_tag(*names: str) -> str:
    """Eight letters that change with the field guide, its corpus or its exam, or with other shipped things named."""
    from workbench.figures.paper.results import artifact_hash
    from workbench.files import hash_bytes

    return hash_bytes(*map(artifact_hash, (*FIELD_GUIDE, *names)))[:8]


def batch_size() -> int:
    """Queries a step of the shipped recipe."""
    from workbench.embedders.artifact import Manifest
    from workbench.files import shipped

    return int(Manifest.read(shipped("embedders", "llm2vec-gen")).training["batch_size"])


def chosen(values: dict[str, Any], config: type, leave: str = "") -> dict[str, Any]:
    """The values that are fields of this configuration."""
    names = {field.name for field in fields(config)} - {leave}
    return {name: value for name, value in values.items() if name in names}
