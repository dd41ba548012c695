"""What a lens returns: the tokens that it reads in every layer at every special token, ranked."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from jaxtyping import Bool, Float, Int

from workbench.disk import atomic_path
from workbench.errors import UsageError, WorkbenchError
from workbench.files import named_if_damaged, parquet_errors
from workbench.lenses.tokens import BYTE, CONTROL, PART, SPACE, readable_tokens

if TYPE_CHECKING:
    import pandas as pd

Lens = Literal["logit", "tuned", "patchscope", "latent"]
COLUMNS = ("layer", "special", "rank", "token", "token_id", "score", "novel")
_KEY = b"workbench.lens"
_NO_WORD = re.compile(r"[\W_]+")


@dataclass(frozen=True)
class LensReading:
    """One text through one lens; the first axis of everything is the layer, the second the special token."""

    lens: Lens
    text: str
    layers: tuple[int, ...]
    """0 is the input rows, i what stands behind block i."""
    labels: list[str]
    """◆1 ... ◆n"""
    tokens: list[list[list[str]]]
    """`[layer][special token][rank]`: readable, a leading space as ␣."""
    token_ids: Int[np.ndarray, "layers n k"]
    """-1 where a reading is no token of the vocabulary."""
    scores: Float[np.ndarray, "layers n k"]
    """Probability, or cosine for the latent lens; never rising along k."""
    novel: Bool[np.ndarray, "layers n k"]
    """Whether the token's word does not occur in the text."""
    score_name: str
    snippets: list[list[list[str]]] | None = None
    """Latent lens: the text around each neighbour."""

    def __post_init__(self) -> None:
        if self.lens not in get_args(Lens):
            raise ValueError(f"no lens named {self.lens!r}; there are {', '.join(get_args(Lens))}")
        shape = (len(self.layers), len(self.labels), self.k)
        for name in ("token_ids", "scores", "novel"):
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} of shape {getattr(self, name).shape}, but {shape} is read")
        for name in ("tokens", "snippets"):
            texts = getattr(self, name)
            if texts is not None and not _has_shape(texts, shape):
                raise ValueError(f"{name} do not have the shape {shape}")
        if (np.diff(self.scores, axis=-1) > 0).any():
            raise ValueError("scores must fall along the ranks")

    @property
    def k(self) -> int:
        """How many ranks there are."""
        return self.token_ids.shape[-1]

    def top(self, layer: int = -1, k: int = 5) -> list[list[str]]:
        """The first `k` tokens of every special token in one layer, by its number; -1 is the last one read.

        Raises UsageError for a layer that was not read.
        """
        if layer != -1 and layer not in self.layers:
            raise UsageError(f"layer {layer} was not read; there are {', '.join(map(str, self.layers))}")
        place = -1 if layer == -1 else self.layers.index(layer)
        return [ranks[:k] for ranks in self.tokens[place]]

    def to_frame(self) -> pd.DataFrame:
        """A row for each layer, special token and rank (from 1): `COLUMNS`, and `snippet` where there are any."""
        import pandas as pd

        cells = [
            (place, number, rank)
            for place in range(len(self.layers))
            for number in range(len(self.labels))
            for rank in range(self.k)
        ]
        columns: dict[str, list[Any]] = {
            "layer": [self.layers[place] for place, _, _ in cells],
            "special": [self.labels[number] for _, number, _ in cells],
            "rank": [rank + 1 for _, _, rank in cells],
            "token": [self.tokens[place][number][rank] for place, number, rank in cells],
            "token_id": self.token_ids.reshape(-1).tolist(),
            "score": self.scores.reshape(-1).tolist(),
            "novel": self.novel.reshape(-1).tolist(),
        }
        if self.snippets is not None:
            columns["snippet"] = [self.snippets[place][number][rank] for place, number, rank in cells]
        return pd.DataFrame(columns)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        return {
            **self._head(),
            "tokens": self.tokens,
            "token_ids": self.token_ids.tolist(),
            "scores": self.scores.tolist(),
            "novel": self.novel.tolist(),
            "snippets": self.snippets,
        }

    def save(self, path: str | Path) -> Path:
        """Write the frame as parquet, the rest into its metadata; the file is whole or absent."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.Table.from_pandas(self.to_frame(), preserve_index=False)
        head = {**self._head(), "snippets": self.snippets is not None, "score_dtype": str(self.scores.dtype)}
        metadata = {**(table.schema.metadata or {}), _KEY: json.dumps(head, ensure_ascii=False).encode()}
        with atomic_path(path) as temporary:
            pq.write_table(table.replace_schema_metadata(metadata), temporary)
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> LensReading:
        """What `save` wrote. UsageError where there is no file, WorkbenchError where it is no reading."""
        import pyarrow.parquet as pq

        if not Path(path).is_file():
            raise UsageError(f"no such file: {path}")
        with parquet_errors(path):
            table = pq.read_table(path)
        metadata = table.schema.metadata or {}
        if _KEY not in metadata:
            raise WorkbenchError(f"{path} is no reading of a lens: its metadata does not say which lens")
        with named_if_damaged(path):
            return cls._of(table, json.loads(metadata[_KEY]))

    @classmethod
    def _of(cls, table: Any, head: dict[str, Any]) -> LensReading:
        shape = (len(head["layers"]), len(head["labels"]), head["k"])
        names = [*COLUMNS[3:], *(["snippet"] if head["snippets"] else [])]
        columns = {name: np.array(table[name].to_pylist(), dtype=object).reshape(shape) for name in names}
        return cls(
            lens=head["lens"],
            text=head["text"],
            layers=tuple(head["layers"]),
            labels=head["labels"],
            tokens=columns["token"].tolist(),
            token_ids=columns["token_id"].astype(np.int64),
            scores=columns["score"].astype(head["score_dtype"]),
            novel=columns["novel"].astype(bool),
            score_name=head["score_name"],
            snippets=columns["snippet"].tolist() if head["snippets"] else None,
        )

    def _head(self) -> dict[str, Any]:
        return {
            "lens": self.lens,
            "text": self.text,
            "layers": list(self.layers),
            "labels": self.labels,
            "k": self.k,
            "score_name": self.score_name,
        }


def reading_of(
    lens: Lens,
    tokenizer: Any,
    text: str,
    layers: tuple[int, ...],
    labels: list[str],
    ids: Int[np.ndarray, "layers n k"],
    scores: Float[np.ndarray, "layers n k"],
    score_name: str = "probability",
    snippets: list[list[list[str]]] | None = None,
) -> LensReading:
    """A reading of token ids: each id is labelled on its own, and marked where its word is not in the text.

    An id of -1 is no token: its label is ∅. Control tokens are never novel.
    """
    known = [token for token in np.unique(ids).tolist() if token >= 0]
    names = {token: readable_tokens(tokenizer, [token])[0] for token in known}
    control = set(tokenizer.all_special_ids)
    new = {token: token not in control and is_novel(name, text) for token, name in names.items()}
    return LensReading(
        lens=lens,
        text=text,
        layers=layers,
        labels=labels,
        tokens=[[[names.get(token, "∅") for token in row] for row in layer] for layer in ids.tolist()],
        token_ids=ids,
        scores=scores,
        novel=np.array([new.get(token, False) for token in ids.reshape(-1).tolist()], bool).reshape(
            ids.shape
        ),
        score_name=score_name,
        snippets=snippets,
    )


def is_novel(token: str, text: str) -> bool:
    """Whether a token's word does not occur in the text, in any case of letters; what is no word is never novel.

    A token that begins with a space (␣) occurs where a word of the text begins so, any other one wherever its letters
    stand.
    """
    word = word_of(token)
    start = " " if token.startswith(SPACE) else ""
    return bool(word) and start + word not in " " + _NO_WORD.sub(" ", text.casefold())


def word_of(token: str) -> str:
    """A token's letters and digits in lower case; empty where it holds none: signs, control and half characters."""
    return _NO_WORD.sub(" ", CONTROL.sub("", BYTE.sub("", PART.sub("", token))).casefold()).strip()


def _has_shape(texts: list[list[list[str]]], shape: tuple[int, int, int]) -> bool:
    layers, specials, ranks = shape
    return len(texts) == layers and all(
        len(layer) == specials and all(len(row) == ranks for row in layer) for layer in texts
    )
