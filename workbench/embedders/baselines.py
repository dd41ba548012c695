"""Baselines behind the embedders' interface: mean pool, last token, Echo, HyDE, the teacher itself."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from workbench.backbone import Backbone, Tokenized
from workbench.backbone.batching import checked
from workbench.backbone.generation import Progress
from workbench.config import Config
from workbench.embedders.base import Embedder
from workbench.embedders.encoding import Encoding, Vectors
from workbench.embedders.pooled import Baseline, Echo, LastToken, MeanPool
from workbench.errors import UsageError, WorkbenchError
from workbench.files import hash_bytes


@runtime_checkable
class Teacher(Protocol):
    """Anything that turns texts into vectors and can say what it is."""

    @property
    def id(self) -> str: ...

    @property
    def dimension(self) -> int: ...

    def fingerprint(self) -> str:
        """Hash of what decides the vectors."""
        ...

    def embed(self, texts: list[str], batch_size: int = 64) -> Float[np.ndarray, "b d_e"]:
        """One float32 vector a text."""
        ...


@dataclass(frozen=True)
class HyDEConfig(Config):
    """The recipe of HyDE (arXiv 2212.10496, section 3.2); answers, temperature and length as in its official code."""

    answers: int = 8
    """Sampled answers of each query."""
    temperature: float = 0.7
    """Temperature of the sampling."""
    max_new_tokens: int = 512
    """Longest answer, in tokens."""
    seed: int = 0
    """Seeds the sampling; two seeds have no draw in common."""
    template: Literal["query", "chat", "raw"] = "chat"
    """What stands around a query that is answered."""
    max_length: int = 512
    """Most tokens of a query, template included; a longer one loses its own tail before it is answered."""

    def __post_init__(self) -> None:
        if self.template not in ("query", "chat", "raw"):
            raise UsageError(f"template must be query, chat or raw, not {self.template!r}")
        for name in ("answers", "max_new_tokens", "max_length"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.temperature <= 0 or self.seed < 0:
            raise UsageError("HyDE samples: temperature must be above 0, and seed at least 0")


class TeacherEmbedder(Baseline):
    """The teacher's own vector of a text, behind the instruction. What the teacher cuts off, it does not tell."""

    method = "teacher"

    def __init__(
        self,
        backbone: Backbone,
        teacher: Teacher,
        config: Config | None = None,
        prompts: dict[str, str] | None = None,
    ) -> None:
        super().__init__(backbone, config, prompts)
        self.teacher = teacher

    @classmethod
    def restore(
        cls, backbone: Backbone, config: dict[str, Any], tensors: dict[str, Tensor], prompts: dict[str, str]
    ) -> "TeacherEmbedder":
        raise UsageError(f"{cls.method}: no artifact holds its teacher; make it with load_baseline")

    @property
    def dimension(self) -> int:
        return self.teacher.dimension

    def fingerprint(self) -> str:
        """A hash of all that decides the vectors: teacher and prompts; for HyDE, the backbone and the recipe too."""
        return hash_bytes(self.method, self.teacher.fingerprint(), json.dumps(self.prompts, sort_keys=True))

    def encode_batch(self, ids: list[list[int]]) -> Vectors:
        raise UsageError(f"{self.method} reads texts, not tokens: call represent or encode")

    def represent(
        self,
        texts: str | Sequence[str],
        *,
        instruction: str | None = None,
        batch_size: int | None = None,
        embedding_alone: bool = False,
        progress: Progress | None = None,
    ) -> Encoding:
        """As for every embedder; the tokens of the encoding are the backbone's, and there is only the embedding."""
        batch_size = checked(batch_size)
        rows = [texts] if isinstance(texts, str) else list(texts)
        tokens = self.tokenize(rows, instruction=instruction)
        parts = [np.zeros((0, self.dimension), dtype=np.float32)]
        for start in range(0, len(rows), batch_size):
            chunk = slice(start, start + batch_size)
            parts.append(self.vectors(rows[chunk], tokens.ids[chunk], instruction))
            if progress is not None:
                progress(min(start + batch_size, len(rows)), len(rows))
        embedding = torch.from_numpy(np.concatenate(parts))
        if not bool(torch.isfinite(embedding).all()):
            raise WorkbenchError(f"{self.method}: a vector of teacher {self.teacher.id} is not finite")
        return Encoding(embedding, None, None, tokens.ids, self.lost(tokens))

    def vectors(
        self, texts: list[str], ids: list[list[int]], instruction: str | None
    ) -> Float[np.ndarray, "b d_e"]:
        """The vectors of a batch of texts; `ids` are what `tokenize` makes of them."""
        return self.teacher.embed([f"{instruction} {text}" if instruction else text for text in texts])

    def lost(self, tokens: Tokenized) -> int:
        """How many texts are known to have lost their tail."""
        return 0


class HyDE(TeacherEmbedder):
    """HyDE (arXiv 2212.10496, equation 8): the mean of the teacher's vectors of a query and of its sampled answers.

    The backbone answers; an instruction is for it alone (the paper asks for a passage that answers the question).
    Documents are not answered: theirs are the teacher's own vectors.
    """

    method = "hyde"
    config_type = HyDEConfig

    def fingerprint(self) -> str:
        return hash_bytes(Embedder.fingerprint(self), self.teacher.fingerprint())

    def tokenize(self, texts: list[str], *, instruction: str | None = None) -> Tokenized:
        """The prompts that are answered; they leave room for the answer, or half the backbone's window."""
        window = self.backbone.max_length
        longest = min(self.config.max_length, max(window - self.config.max_new_tokens, window // 2))
        return self.backbone.tokenize(
            texts, template=self.config.template, max_length=longest, instruction=instruction
        )

    def vectors(
        self, texts: list[str], ids: list[list[int]], instruction: str | None
    ) -> Float[np.ndarray, "b d_e"]:
        """The mean over a query and its answers; a query's answers depend on the seed and on itself alone."""
        how, found = self.config, [texts]
        for answer in range(how.answers):
            new = self.backbone.generate(
                ids,
                max_new_tokens=how.max_new_tokens,
                temperature=how.temperature,
                seed=how.seed * how.answers + answer,
            )
            found.append(self.backbone.detokenize(new))
        return np.stack([self.teacher.embed(part) for part in found]).mean(axis=0, dtype=np.float32)

    def lost(self, tokens: Tokenized) -> int:
        return tokens.truncated

    def encode_document(self, texts: str | Sequence[str], **options: Any) -> np.ndarray | Tensor:
        """The teacher's own vectors of passages."""
        plain = TeacherEmbedder(self.backbone, self.teacher, prompts=self.prompts)
        return plain.encode_document(texts, **options)


BASELINES: dict[str, type[Baseline]] = {
    kind.method: kind for kind in (MeanPool, LastToken, Echo, HyDE, TeacherEmbedder)
}


def load_baseline(name: str, backbone: Backbone, teacher: Teacher | None = None) -> Baseline:
    """A baseline by name: mean-pool, last-token, echo, hyde or teacher; the last two need a teacher.

    Raises UsageError for another name, or where the teacher is missing.
    """
    if name not in BASELINES:
        raise UsageError(f"no baseline named {name!r}; there are {', '.join(BASELINES)}")
    kind = BASELINES[name]
    if not issubclass(kind, TeacherEmbedder):
        return kind(backbone)
    if teacher is None:
        raise UsageError(f"the baseline {name} needs a teacher whose vectors it gives")
    return kind(backbone, teacher)
