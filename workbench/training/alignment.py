"""The alignment in closed form: `W_a` and `b_a` as the ridge regression from soft prompts to a teacher's vectors.

It starts a training where the targets are near, and `realign` fits a trained embedder anew: at its end, when the soft
prompts no longer move, or to another teacher, whose space the embedder then shares without training again.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from workbench.backbone.generation import Progress
from workbench.embedders.artifact import Manifest, save
from workbench.embedders.llm2vec_gen import LLM2VecGen, SpecialTokens
from workbench.errors import UsageError, WorkbenchError
from workbench.training.corpus import Corpus

PENALTIES = (1e-4, 1e-3, 1e-2)
"""Ridge penalties to choose from, as multiples of the inputs' mean variance."""
ROWS_AT_ONCE = 2048
COLUMNS_AT_ONCE = 1024


class RidgeSums:
    """What a ridge regression of targets `y` on inputs `x` needs of the data, added up in float64, any rows at a time.

    Inputs are taken relative to the first rows' mean, so that little is lost where the mean is far from 0.
    """

    def __init__(self) -> None:
        self.rows = 0

    def add(self, x: Float[Tensor, "b i"], y: Float[Tensor, "b o"]) -> None:
        """Count these rows in."""
        if not self.rows:
            self.pivot = x.mean(dim=0)
            self.x, self.y, self.xx, self.xy = (
                x.new_zeros(shape, dtype=torch.float64)
                for shape in (x.shape[1:], y.shape[1:], (x.shape[1],) * 2, (x.shape[1], y.shape[1]))
            )
        x = x - self.pivot
        self.rows += len(x)
        self.x += x.sum(dim=0)
        self.y += y.sum(dim=0)
        for left in range(0, x.shape[1], COLUMNS_AT_ONCE):  # the lower triangle: the upper one is its mirror
            columns = slice(left, left + COLUMNS_AT_ONCE)
            self.xx[left:, columns] += x[:, left:].T @ x[:, columns]
        self.xy += x.T @ y

    def solve(self, penalty: float) -> tuple[Float[Tensor, "o i"], Float[Tensor, " o"]]:
        """Weight and bias, float64; `penalty` counts as a multiple of the mean variance, the bias is not penalised.

        Raises WorkbenchError where the inputs are all the same.
        """
        middle, aim = self.x / self.rows, self.y / self.rows
        square = self.xx - self.rows * torch.outer(middle, middle)  # cholesky reads its lower triangle alone
        cross = self.xy - self.rows * torch.outer(middle, aim)
        variance = square.diagonal().mean()
        if not variance > 0:
            raise WorkbenchError("the soft prompts of all queries are the same: there is nothing to align")
        square.diagonal().add_(penalty * variance)
        weight = torch.cholesky_solve(cross, torch.linalg.cholesky(square)).T
        return weight, aim - weight @ (middle + self.pivot.double())


@torch.no_grad()
def put_alignment(module: SpecialTokens, sums: RidgeSums, penalty: float) -> None:
    """Set `W_a` and `b_a` to the regression's solution."""
    weight, bias = sums.solve(penalty)
    module.alignment.weight.copy_(weight)
    module.alignment.bias.copy_(bias)


def realign(
    embedder: LLM2VecGen,
    corpus: Corpus,
    *,
    teacher: str,
    output: str | Path,
    trained: Manifest,
    bf16: bool = False,
    progress: Progress | None = None,
) -> LLM2VecGen:
    """The embedder with `W_a` fitted anew to the corpus's targets (of `teacher`), written as an artifact to `output`.

    Every tenth query is held out to choose the penalty among PENALTIES, by the mean cosine to its target, which the
    artifact records; the fit that is kept is on all of them. Soft prompts, and what they decode to, stay the same.
    `trained` is the artifact of `embedder`; with `bf16` the queries are read in bfloat16 autocast.
    Raises UsageError without targets, WorkbenchError for fewer than 20.
    """
    if corpus.targets is None:
        raise UsageError("aligning needs the teacher's vectors of the responses")
    if len(corpus) < 20:
        raise WorkbenchError(f"aligning needs at least 20 queries, not {len(corpus)}")
    config = replace(embedder.config, dimension=int(corpus.targets.shape[1]), teacher=teacher)
    aligned = LLM2VecGen.untrained(embedder.backbone, config)
    kept = {name: tensor for name, tensor in embedder.tensors().items() if not name.startswith("alignment.")}
    aligned.module.load_state_dict(kept, strict=False)

    sums, tests = _read(embedder, aligned, corpus, bf16, progress)
    cosine, penalty = max((_cosine(sums.solve(penalty), tests), penalty) for penalty in PENALTIES)
    for x, y in tests:
        sums.add(x, y)
    put_alignment(aligned.module, sums, penalty)
    save(
        aligned,
        output,
        metrics={**trained.metrics, "alignment_cosine_of_held_out_queries": cosine},
        seeds=trained.seeds,
        data_hash=corpus.hash(),
        training={**trained.training, "aligned_queries": len(corpus), "aligned_penalty": penalty},
    )
    return aligned


def _read(
    embedder: LLM2VecGen, aligned: LLM2VecGen, corpus: Corpus, bf16: bool, progress: Progress | None
) -> tuple[RidgeSums, list[tuple[Tensor, Tensor]]]:
    """The sums over the pooled soft prompts and the targets of nine queries in ten; those of the tenths as they are."""
    assert corpus.targets is not None
    sums, tests = RidgeSums(), []
    for start in range(0, len(corpus), ROWS_AT_ONCE):
        with torch.autocast(embedder.backbone.device.type, torch.bfloat16, enabled=bf16):
            encoding = embedder.represent(corpus.queries[start : start + ROWS_AT_ONCE], batch_size=128)
        assert encoding.soft_prompts is not None
        x = aligned.module.pool(encoding.soft_prompts)
        y = torch.as_tensor(np.asarray(corpus.targets[start : start + ROWS_AT_ONCE], dtype=np.float32))
        held_out = torch.arange(start, start + len(x)) % 10 == 9
        sums.add(x[~held_out], y[~held_out])
        tests.append((x[held_out], y[held_out]))
        if progress is not None:
            progress(min(start + ROWS_AT_ONCE, len(corpus)), len(corpus))
    return sums, tests


def _cosine(
    solution: tuple[Float[Tensor, "o i"], Float[Tensor, " o"]],
    tests: list[tuple[Float[Tensor, "b i"], Float[Tensor, "b o"]]],
) -> float:
    """The mean cosine between predicted and true targets."""
    weight, bias = (part.float() for part in solution)
    found = [torch.cosine_similarity(x @ weight.T + bias, y, dim=1) for x, y in tests]
    return float(torch.cat(found).mean())
