"""Causal patching: one special token of a text put into another text. What moved, and how sure is the model of it?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from workbench.backbone import Backbone
from workbench.decoding.differences import Differences, differences
from workbench.embedders.base import Embedder
from workbench.embedders.gem import GEM
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.errors import UsageError
from workbench.files import named_if_damaged
from workbench.lenses.kept import Kept, Read, keep, log_likelihoods, read_text, say, together
from workbench.lenses.states import residual_stream, special_count, with_special_tokens
from workbench.lenses.tables import read_table, write_table
from workbench.lenses.tokens import readable_tokens

if TYPE_CHECKING:
    import pandas as pd

_MARKS = ".,;:!?\"'()"


@dataclass(frozen=True)
class PatchReading:
    """What a text decodes to before and after a special token of another text took the place of its own."""

    source: str
    target: str
    label: str
    """The special token that moved, ◆1 ... ◆n."""
    layer: int | None
    """The block behind which its state moved, from 1; None for what is kept of it (soft prompt, keys and values)."""
    source_decoded: str
    """What the source itself decodes to."""
    before: str
    after: str
    target_tokens: list[str]
    """The tokens of `before`, the EOS included."""
    source_tokens: list[str]
    """The tokens of `source_decoded`, the EOS included."""
    target_log_probs: Float[np.ndarray, "2 t"]
    """Log-probability of each of the target's tokens, before and after."""
    source_log_probs: Float[np.ndarray, "2 s"]
    """Log-probability of each of the source's tokens behind the target, before and after."""

    def __post_init__(self) -> None:
        for side in ("target", "source"):
            tokens, shape = getattr(self, f"{side}_tokens"), getattr(self, f"{side}_log_probs").shape
            if shape != (2, len(tokens)):
                raise ValueError(
                    f"{len(tokens)} tokens of the {side}, but log-probabilities of shape {shape}"
                )

    @property
    def difference(self) -> Differences:
        """Where `before` and `after` differ, word by word."""
        return differences(self.before, self.after)

    @property
    def moved(self) -> list[str]:
        """The words of `after` that `before` has not and the source's own decoding has, each once."""
        words = {_plain(word): word for word in reversed(self.after.split())}
        old, own = ({_plain(word) for word in text.split()} for text in (self.before, self.source_decoded))
        return [word.strip(_MARKS) for plain, word in reversed(words.items()) if plain in own - old]

    @property
    def target_change(self) -> Float[np.ndarray, " t"]:
        """How much likelier each of the target's tokens became; negative where it was lost."""
        return self.target_log_probs[1] - self.target_log_probs[0]

    @property
    def source_change(self) -> Float[np.ndarray, " s"]:
        """How much likelier each of the source's tokens became."""
        return self.source_log_probs[1] - self.source_log_probs[0]

    def to_frame(self) -> pd.DataFrame:
        """A row for each token of the target's answer, then the source's: of, position, token, before, after ..."""
        import pandas as pd

        sides = (
            ("target", self.target_tokens, self.target_log_probs),
            ("source", self.source_tokens, self.source_log_probs),
        )
        rows = [
            (side, place, token, float(logs[0, place - 1]), float(logs[1, place - 1]))
            for side, tokens, logs in sides
            for place, token in enumerate(tokens, 1)
        ]
        frame = pd.DataFrame(rows, columns=["of", "position", "token", "before", "after"])
        return frame.assign(change=frame["after"] - frame["before"])

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        logs = {name: getattr(self, name).tolist() for name in ("target_log_probs", "source_log_probs")}
        tokens = {"target_tokens": self.target_tokens, "source_tokens": self.source_tokens}
        return {**self._head(), "shared": self.difference.shared, "moved": self.moved, **tokens, **logs}

    def save(self, path: str | Path) -> Path:
        """Write the frame as parquet, the rest into its metadata; the file is whole or absent."""
        return write_table(path, self.to_frame(), "patch reading", self._head())

    @classmethod
    def load(cls, path: str | Path) -> PatchReading:
        """What `save` wrote. UsageError where there is no file, WorkbenchError where it holds something else."""
        frame, head = read_table(path, "patch reading")
        with named_if_damaged(path):
            for side in ("target", "source"):
                part = frame[frame["of"] == side]
                head[f"{side}_tokens"] = part["token"].tolist()
                head[f"{side}_log_probs"] = np.stack([part["before"], part["after"]]).astype(np.float32)
            return cls(**head)

    def _head(self) -> dict[str, Any]:
        names = ("source", "target", "label", "layer", "source_decoded", "before", "after")
        return {name: getattr(self, name) for name in names}


def _plain(word: str) -> str:
    return word.strip(_MARKS).casefold()


@torch.no_grad()
def patch(
    embedder: Embedder,
    source: str,
    target: str,
    *,
    token: int,
    layer: int | None = None,
    max_new_tokens: int = 64,
) -> PatchReading:
    """Move special token `token` (from 0) of `source` into `target`, and decode.

    Without `layer`, what is kept of the token moves: its soft prompt, or GEM's keys and values in every layer, turned
    to the target's positions where the backbone rotates keys. With `layer` (1 is behind the first block), its state in
    the residual stream moves, and the rest of the encoder side goes on from there. A text patched with itself stays as
    it is, to the last bit. Raises UsageError for a token or layer that is not there, or a method without special
    tokens.
    """
    reader = with_special_tokens(embedder)
    _check(reader, token, layer)
    into = read_text(reader, target)
    out_of = read_text(reader, source, end=into.kept.end or None)
    if layer is None:
        patched = into.kept.replaced([token], out_of.kept)
    else:
        state = _state(reader, out_of, token, layer)
        with _swapped(reader.backbone, layer, token - into.kept.n, state):
            patched = keep(reader, into.inputs)
    said = [say(reader, kept, max_new_tokens)[0] for kept in (into.kept, patched, out_of.kept)]
    before, after, own = (reader.backbone.detokenize([ids])[0] for ids in said)
    both, names = together(into.kept, patched), reader.backbone.tokenizer
    return PatchReading(
        source=source,
        target=target,
        label=f"◆{token + 1}",
        layer=layer,
        source_decoded=own,
        before=before,
        after=after,
        target_tokens=readable_tokens(names, said[0]),
        source_tokens=readable_tokens(names, said[2]),
        target_log_probs=_logs(reader, both, said[0]),
        source_log_probs=_logs(reader, both, said[2]),
    )


def _check(embedder: LLM2VecGen | GEM, token: int, layer: int | None) -> None:
    count, layers = special_count(embedder), len(embedder.backbone.layers)
    if not 0 <= token < count:
        raise UsageError(f"there is no ◆{token + 1}: the special tokens are ◆1 to ◆{count}")
    if layer is not None and not 1 <= layer <= layers:
        raise UsageError(
            f"no layer {layer} to patch: they are numbered 1 to {layers} (before the first, all texts are alike)"
        )


def _logs(embedder: LLM2VecGen | GEM, kept: Kept, ids: list[int]) -> Float[np.ndarray, "b t"]:
    """Log-likelihoods of tokens behind each version, row by row, so that equal versions have equal figures."""
    rows = [log_likelihoods(embedder, kept[row : row + 1], ids) for row in range(len(kept))]
    return torch.cat(rows).float().cpu().numpy()


def _state(embedder: LLM2VecGen | GEM, read: Read, token: int, layer: int) -> Float[Tensor, " d"]:
    """The residual stream at a special token behind a block."""
    with residual_stream(embedder.backbone, last=read.kept.n) as stream:
        keep(embedder, read.inputs)
    return stream[layer][0, token]


@contextmanager
def _swapped(backbone: Backbone, layer: int, place: int, state: Float[Tensor, " d"]) -> Iterator[None]:
    """Inside, the block's output at position `place` (from the end, negative) is `state`; undone on leaving."""

    def swap(_: Any, __: Any, output: Any) -> Any:
        states = (output[0] if isinstance(output, tuple) else output).clone()
        states[:, place] = state.to(states.dtype)
        return (states, *output[1:]) if isinstance(output, tuple) else states

    handle = backbone.layers[layer - 1].register_forward_hook(swap)
    try:
        yield
    finally:
        handle.remove()
