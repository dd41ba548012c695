"""Looks at an embedder while it trains: the vectors of some queries, and what some of them decode to, into its run.

A look draws nothing, records no gradients and leaves every mode as it is (the backbone is frozen and in eval mode, the
special tokens and the LoRA have no dropout), so training goes on as without it. `watched.py` reads the files.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from safetensors.numpy import save
from torch import Tensor
from transformers import Trainer, TrainerCallback, TrainingArguments

from workbench.disk import atomic_path
from workbench.embedders.base import Embedder
from workbench.embedders.encoding import Encoding
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.errors import UsageError, WorkbenchError
from workbench.processes import agreed
from workbench.training.config import WatchedTraining
from workbench.training.corpus import Corpus
from workbench.training.run import Run
from workbench.training.watched import (
    FOLDER,
    KEYS,
    SAMPLES,
    TENSOR,
    TEXTS,
    VECTORS,
    cut_watch,
    sample_lines,
    text_lines,
    write_lines,
)

AT_ONCE = 64
"""Queries whose soft prompts or caches a look holds at once."""
LONGEST = 64
"""Most tokens of a decoded sample."""
LARGEST = float(np.finfo(np.float16).max)
"""Numbers beyond it are stored as it."""


def watch(
    trainer: Trainer,
    embedder: Embedder,
    corpus: Corpus,
    config: WatchedTraining,
    run: Run,
    checkpoint: str | None,
) -> None:
    """Have the trainer look before the first step, every `watch_every` steps and after the last; 0: never.

    What was watched behind `checkpoint`, from which the run goes on, is dropped and looked at again. Raises UsageError
    where the run up to there was watched on other texts.
    """
    after = int(checkpoint.rpartition("-")[2]) if checkpoint else None
    agreed(lambda: cut_watch(run.folder, after=after))
    if config.watch_every:
        trainer.add_callback(Watcher(embedder, corpus, config, run))


class Watcher(TrainerCallback):
    """Writes the watched texts once, then look by look; each file is whole or absent.

    The look at a step comes before its checkpoint, so a resumed run has all looks up to there. Where watching begins
    with the resumed run, it begins at the step where that run stands. Of several processes, the first looks.
    """

    def __init__(self, embedder: Embedder, corpus: Corpus, config: WatchedTraining, run: Run) -> None:
        self.embedder, self.corpus, self.every = embedder, corpus, config.watch_every
        self.folder = run.folder / FOLDER
        self.rows = spread(len(corpus), config.watch_texts)
        self.places = spread(len(self.rows), config.watch_samples)
        """Those of `rows` that are decoded."""
        self.texts = [_line_of(corpus, row) for row in self.rows]
        self.began = (self.folder / TEXTS).is_file()
        if self.began and text_lines(run.folder) != self.texts:
            raise UsageError(
                f"{run.folder} was watched on other texts so far: go on with as many watch_texts as there, "
                "or with watch_every 0"
            )

    def on_train_begin(self, args: TrainingArguments, state: Any, control: Any, **_: Any) -> None:
        if state.is_world_process_zero and not self.began:
            write_lines(self.folder / TEXTS, self.texts)
            self.look(state.global_step)

    def on_step_end(self, args: TrainingArguments, state: Any, control: Any, **_: Any) -> None:
        due = state.global_step % self.every == 0 or state.global_step >= state.max_steps
        if state.is_world_process_zero and due:
            self.look(state.global_step)

    @torch.no_grad()
    def look(self, step: int) -> None:
        """Write the vectors of all watched queries as they are now, and what some of them decode to."""
        queries = [self.corpus.queries[row] for row in self.rows]
        parts = (queries[start : start + AT_ONCE] for start in range(0, len(queries), AT_ONCE))
        vectors = torch.cat([self.embedder.represent(part).embedding for part in parts])
        with atomic_path(self.folder / VECTORS.format(step)) as partial:
            partial.write_bytes(save({TENSOR: vectors.clamp(-LARGEST, LARGEST).numpy().astype(np.float16)}))
        if self.places:
            samples = self.samples(step, vectors[self.places])
            write_lines(self.folder / SAMPLES, [*sample_lines(self.folder.parent), *samples])

    def samples(self, step: int, vectors: Float[Tensor, "samples d_e"]) -> list[dict[str, Any]]:
        """A line for each decoded query; `vectors` are their embeddings."""
        rows = [self.rows[place] for place in self.places]
        encoding = self.embedder.represent([self.corpus.queries[row] for row in rows])
        found = zip(rows, decoded(self.embedder, encoding), self.cosines(rows, vectors), strict=True)
        return [
            {"step": step, "row": row, "query": self.corpus.queries[row],
             "response": self.corpus.responses[row], "decoded": text, "cosine": cosine}
            for row, text, cosine in found
        ]  # fmt: skip

    def cosines(self, rows: list[int], vectors: Float[Tensor, "samples d_e"]) -> list[float | None]:
        """Of each embedding and the teacher's vector of the response; None where the teacher has no such vector.

        GEM's vectors do not lie in a teacher's space.
        """
        if self.corpus.targets is None or not isinstance(self.embedder, LLM2VecGen):
            return [None] * len(rows)
        targets = torch.from_numpy(np.ascontiguousarray(self.corpus.targets[rows], dtype=np.float32))
        found = torch.cosine_similarity(vectors.double(), targets.double(), dim=-1).tolist()
        return [round(cosine, 6) for cosine in found]


def spread(count: int, wanted: int) -> list[int]:
    """At most `wanted` of the places 0 to `count` - 1, evenly spread from 0 on."""
    kept = min(count, wanted)
    return [place * count // kept for place in range(kept)]


def decoded(embedder: Embedder, encoding: Encoding) -> list[str]:
    """What each encoding is read as, greedily: `decoding.decode`, which stands above this room.

    Raises WorkbenchError where a method keeps nothing that could be read.
    """
    backbone, cache = embedder.backbone, encoding.special_cache
    if cache is not None:
        with embedder.language_model() as reader:
            new = reader.generate_behind(
                cache.keys_values, cache.last, cache.next_positions, max_new_tokens=LONGEST
            )
    elif encoding.soft_prompts is not None:
        new = backbone.generate_from(encoding.soft_prompts, max_new_tokens=LONGEST)
    else:
        raise WorkbenchError(
            f"{embedder.method}: an encoding without soft prompts or cache cannot be decoded"
        )
    return backbone.detokenize(new)


def _line_of(corpus: Corpus, row: int) -> dict[str, Any]:
    """The line of a watched query: its place, query and response, then its other columns."""
    columns = corpus.rows[row] if corpus.rows else {}
    about = {name: _plain(value) for name, value in columns.items() if name not in KEYS}
    return {"row": row, "query": corpus.queries[row], "response": corpus.responses[row], **about}


def _plain(value: Any) -> Any:
    """A value as a line of JSON can hold it and any reader can tell it."""
    if isinstance(value, bool | int | None) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return str(value).encode("utf-8", "replace").decode()
