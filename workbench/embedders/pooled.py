"""Embedders that pool the hidden states of the backbone as it is: mean pool, last token, Echo. Nothing trains."""

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from workbench.backbone import Backbone, PaddedBatch, Tokenized
from workbench.config import Config
from workbench.embedders.base import Embedder
from workbench.embedders.encoding import Vectors
from workbench.errors import UsageError, WorkbenchError

NO_PROMPTS = {"query": "", "document": ""}
"""The generative instructions belong to LLM2Vec-Gen: a baseline reads a text as it is."""
ECHO_OPENING, ECHO_MIDDLE = "Rewrite the sentence:", ", rewritten sentence:"


@dataclass(frozen=True)
class BaselineConfig(Config):
    """How a baseline reads a text."""

    template: Literal["query", "chat", "raw"] = "raw"
    """What stands around a text; "raw" is nothing. Echo has a prompt of its own, and only "raw"."""
    max_length: int = 512
    """Most tokens of a text, its template or prompt included; a longer text loses its own tail."""

    def __post_init__(self) -> None:
        if self.template not in ("query", "chat", "raw"):
            raise UsageError(f"template must be query, chat or raw, not {self.template!r}")
        if self.max_length < 1:
            raise UsageError(f"max_length must be at least 1, not {self.max_length}")


class EchoFrame(NamedTuple):
    """The tokens around the two occurrences of a text."""

    opening: list[int]
    middle: list[int]
    lead: int
    """How many of the opening's tokens are the tokenizer's own (a BOS)."""


def mean_over(states: Float[Tensor, "b t d"], chosen: Bool[Tensor, "b t"]) -> Float[Tensor, "b d"]:
    """The mean of each row's chosen states, in float32; a row has at least one."""
    weights = chosen.float() / chosen.sum(dim=1, keepdim=True)
    return torch.einsum("bt,btd->bd", weights, states.float())


class Baseline(Embedder):
    """An embedder without anything trained. An instruction is part of the text: it is read, and pooled, with it."""

    config_type: ClassVar[type[Config]] = BaselineConfig
    config: Any

    def __init__(
        self, backbone: Backbone, config: Config | None = None, prompts: dict[str, str] | None = None
    ) -> None:
        self.backbone = backbone
        self.config = self.config_type() if config is None else config
        self.prompts = dict(NO_PROMPTS if prompts is None else prompts)

    @classmethod
    def restore(
        cls, backbone: Backbone, config: dict[str, Any], tensors: dict[str, Tensor], prompts: dict[str, str]
    ) -> "Baseline":
        if tensors:
            raise WorkbenchError(f"{cls.method} has nothing trained, but {len(tensors)} tensors are given")
        return cls(backbone, cls.config_type.from_dict(config), prompts)

    def tensors(self) -> dict[str, Tensor]:
        return {}

    def tokenize(self, texts: list[str], *, instruction: str | None = None) -> Tokenized:
        shape = {"template": self.config.template, "max_length": self.config.max_length}
        return self.backbone.tokenize(texts, **shape, instruction=instruction)


class Pooled(Baseline):
    """A baseline that pools the backbone's last hidden states into a text's embedding."""

    @property
    def dimension(self) -> int:
        return self.backbone.hidden_size

    def encode_batch(self, ids: list[list[int]]) -> Vectors:
        """The vectors of one batch of tokenized texts, empty batches included."""
        if not ids:
            return Vectors(torch.zeros(0, self.dimension))
        batch = self.backbone.pad(ids, side="left")
        return Vectors(self.pool(self.states(batch), batch.mask))

    def states(self, batch: PaddedBatch) -> Float[Tensor, "b t d"]:
        """The last hidden states (after the final norm) of texts padded on the left."""
        inputs = self.backbone.embed(batch.ids)
        return self.backbone.hidden(inputs, mask=batch.mask, positions=batch.positions).last

    @abstractmethod
    def pool(self, states: Float[Tensor, "b t d"], real: Bool[Tensor, "b t"]) -> Float[Tensor, "b d"]:
        """The embeddings of those states; `real` is False at padding."""


class MeanPool(Pooled):
    """The mean of the last hidden states over a text's tokens."""

    method = "mean-pool"

    def pool(self, states: Float[Tensor, "b t d"], real: Bool[Tensor, "b t"]) -> Float[Tensor, "b d"]:
        return mean_over(states, real)


class LastToken(Pooled):
    """The last hidden state of a text's last token (with template "chat": where the answer would begin)."""

    method = "last-token"

    def pool(self, states: Float[Tensor, "b t d"], real: Bool[Tensor, "b t"]) -> Float[Tensor, "b d"]:
        return states[:, -1].float()


class Echo(Pooled):
    """Echo (arXiv 2402.15449, section 3): a text stands twice in a prompt; the mean is over its second occurrence.

    Each of those tokens has seen the whole text. Both occurrences are the same tokens; a text that is too long loses
    its tail in both.
    """

    method = "echo"

    def tokenize(self, texts: list[str], *, instruction: str | None = None) -> Tokenized:
        """The whole prompt of every text: opening, text, middle, text."""
        opening, middle, lead = self.frame
        longest = min(self.config.max_length, self.backbone.max_length)
        room = (longest - len(opening) - len(middle)) // 2
        if room < 1 or self.config.template != "raw":
            raise UsageError(
                f"echo reads a text twice in a prompt of its own: template {self.config.template!r} and "
                f"a length of {longest} do not fit (it must be raw, and longer than the prompt)"
            )
        if not instruction:  # the space before a text belongs to its first token
            texts = [" " + text for text in texts]
        told = f" {instruction}" if instruction else None
        once = self.backbone.tokenize(texts, template="raw", max_length=lead + room, instruction=told)
        rows = [row[lead:] for row in once.ids]
        return Tokenized([[*opening, *row, *middle, *row] for row in rows], once.cut)

    def pool(self, states: Float[Tensor, "b t d"], real: Bool[Tensor, "b t"]) -> Float[Tensor, "b d"]:
        around = len(self.frame.opening) + len(self.frame.middle)
        length = (real.sum(dim=1) - around) // 2
        column = torch.arange(real.shape[1], device=real.device)
        return mean_over(states, column >= real.shape[1] - length[:, None])

    @cached_property
    def frame(self) -> EchoFrame:
        """The prompt's own tokens."""
        plain, middle = self.backbone.tokenizer([ECHO_OPENING, ECHO_MIDDLE], add_special_tokens=False)[
            "input_ids"
        ]
        opening = self.backbone.tokenize([ECHO_OPENING], template="raw").ids[0]
        return EchoFrame(opening, middle, len(opening) - len(plain))
