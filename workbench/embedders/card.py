"""The model card of an artifact, written from its manifest alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.embedders.artifact import Manifest

_CARD = """---
license: mit
library_name: workbench
pipeline_tag: feature-extraction
tags: [text-embeddings, interpretability, {method}]{base_model}
---
# {method} embedder on `{backbone}`

{about}

## How to load
```python
from workbench import decode, load_embedder

embedder = load_embedder("path/to/this/folder")
encoding = embedder.represent(["What is the capital of France?"])
print(decode(embedder, encoding.{readable}, max_new_tokens=64))
```
Loading checks the fingerprint below and refuses another backbone, tokenizer or prompt template. Where `workbench` is
installed, sentence-transformers loads the folder too, with the same vectors and the same named prompts:
```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("path/to/this/folder", trust_remote_code=True)
vectors = model.encode(["What is the capital of France?"], prompt_name="query")
```

## Backbone
{fingerprint}

## Training
| | |
|---|---|
| data hash | `{data_hash}` |
| seeds | {seeds} |
| teacher | `{teacher}` |

{training}

## Metrics
{metrics}

## What decoding can and cannot do
{limits}

## Made with
{libraries}

Licence: MIT, for the files of this folder. The backbone has a licence of its own.
"""

_TEACHER_CARD = """---
license: mit
library_name: workbench
pipeline_tag: feature-extraction
tags: [text-embeddings, {method}]{base_model}
---
# {method} teacher on `{backbone}`

Texts become vectors of {dimension} dimensions: the mean of the backbone's last hidden states, read in both directions
with a LoRA. The LoRA is in this folder, the backbone is not. Nothing was labelled: masked next-token prediction, then
unsupervised SimCSE. Method: LLM2Vec, arXiv [2404.05961](https://arxiv.org/abs/2404.05961).

## How to use
```bash
workbench train llm2vec-gen --teacher path/to/this/folder --queries corpus.jsonl --output my_embedder
```
```python
from workbench import Backbone
from workbench.training.teachers import load_teacher

vectors = load_teacher("path/to/this/folder", Backbone.load("{backbone}")).embed(["Paris is in France."])
```
Loading checks the fingerprint below and refuses another backbone, tokenizer or prompt template. The vectors are to be
compared by cosine: training decides their direction and leaves their length open. They do not decode.

## Backbone
{fingerprint}

## Training
data hash `{data_hash}`, seeds {seeds}

{training}

## Metrics
{metrics}

## Made with
{libraries}

Licence: MIT, for the files of this folder. The backbone has a licence of its own.
"""
_TEACHERS = ("llm2vec",)
_ABOUT = {
    "llm2vec-gen": """Texts become vectors of {dimension} dimensions that the backbone can read again as text. The
backbone is not in this folder and was not changed; only the special tokens and the projections are, and a LoRA
beside the backbone where one was trained (`lora_rank`): it reads the texts, never the vectors.
Method: LLM2Vec-Gen, arXiv [2603.10913](https://arxiv.org/abs/2603.10913).""",
    "gem": """Texts become vectors of {dimension} dimensions, the states of special tokens behind a bottleneck
mask; what is written behind them sees the text through them alone. The folder holds the special tokens and the
backbone's fine-tuning, not the backbone. Method: GEM, arXiv [2506.04344](https://arxiv.org/abs/2506.04344).""",
}
_READABLE = {"llm2vec-gen": "soft_prompts", "gem": "special_cache"}
_LIMITS = {
    "llm2vec-gen": """- It can show what kind of answer a vector stands for, in the backbone's own words; how often the
  decoded text holds the right fact is a measured figure, never a promise. Read every decoding beside its trust figures.
- It cannot give back the input text: the vectors are trained to hold the *response*, and details of a long response
  are lost first. It cannot know more than the backbone does.
- A fluent decoding is no evidence by itself: a language model writes fluently from any vector, noise included.
- Only the soft prompts decode. The pooled embedding alone needs a lifter.""",
    "gem": """- It can show what the backbone answers when it sees the special tokens and nothing else. A fluent
  answer is no evidence by itself: a language model writes fluently from any state.
- It cannot give back every detail of a long text: the special tokens are a bottleneck.
- Only the special tokens' keys and values decode. The pooled embedding alone needs a lifter.""",
}


def model_card(manifest: Manifest) -> str:
    """The card as Markdown; the same manifest gives the same bytes."""
    template = _TEACHER_CARD if manifest.method in _TEACHERS else _CARD
    return template.format(
        method=manifest.method,
        base_model=_base_model(manifest),
        backbone=manifest.backbone,
        dimension=manifest.dimension,
        about=_ABOUT.get(manifest.method, "").format(dimension=manifest.dimension),
        readable=_READABLE.get(manifest.method),
        limits=_LIMITS.get(manifest.method),
        fingerprint=table(manifest.fingerprint),
        data_hash=manifest.data_hash or "unknown",
        seeds=", ".join(f"{name} {seed}" for name, seed in sorted(manifest.seeds.items())) or "unknown",
        teacher=manifest.config.get("teacher", "none"),
        training=table(manifest.training) if manifest.training else "No training settings were recorded.",
        metrics=table(manifest.metrics) if manifest.metrics else "None were measured when this was saved.",
        libraries=table(manifest.libraries),
    )


def _base_model(manifest: Manifest) -> str:
    """The line that ties a card to its backbone on the hub, for backbones that are there."""
    on_hub = manifest.fingerprint.get("weights", "").startswith("hub:")
    return f"\nbase_model: {manifest.backbone}" if on_hub else ""


def table(values: dict[str, Any]) -> str:
    """Names and values as a Markdown table."""
    rows = [f"| {name} | `{value}` |" for name, value in sorted(values.items())]
    return "\n".join(["| | |", "|---|---|", *rows])
