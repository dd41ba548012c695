"""Where an embedding points: to the words of its text, or to what the language model answers to them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from workbench.atlas.neighbours import unit
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from workbench.embedders.base import Embedder
    from workbench.embedders.baselines import Teacher


@dataclass(frozen=True)
class Directions:
    """Embeddings beside the teacher's vectors of three texts each: the text itself, the decoded and the real response.

    All four lie in one space where an embedder was aligned to that teacher (arXiv 2603.10913, section 3).
    """

    embeddings: Float[np.ndarray, "b d_e"]
    texts: Float[np.ndarray, "b d_e"]
    decoded: Float[np.ndarray, "b d_e"]
    responses: Float[np.ndarray, "b d_e"]

    def __post_init__(self) -> None:
        shapes = {part.shape for part in (self.embeddings, self.texts, self.decoded, self.responses)}
        if len(shapes) != 1:
            raise WorkbenchError(f"embeddings and the teacher's vectors differ in shape: {sorted(shapes)}")

    @property
    def to_text(self) -> Float[np.ndarray, " b"]:
        """Cosine of each embedding with the teacher's vector of its text, from -1 to 1."""
        return _each(self.embeddings, self.texts)

    @property
    def to_decoded(self) -> Float[np.ndarray, " b"]:
        """The same with the decoded response."""
        return _each(self.embeddings, self.decoded)

    @property
    def to_response(self) -> Float[np.ndarray, " b"]:
        """The same with the real response."""
        return _each(self.embeddings, self.responses)

    @property
    def nearer_response(self) -> float:
        """The share of embeddings nearer to the response than to the text; equally near is not nearer."""
        return float((self.to_response > self.to_text).mean())


def directions(
    embeddings: Float[np.ndarray, "b d_e"],
    texts: Sequence[str],
    decoded: Sequence[str],
    responses: Sequence[str],
    teacher: "Teacher",
) -> Directions:
    """Embeds the three texts of every row by `teacher`, each different text once.

    Raises WorkbenchError where the columns differ in length or the teacher's space has another size.
    """
    if not len(embeddings) == len(texts) == len(decoded) == len(responses) or not len(texts):
        raise WorkbenchError(
            f"directions need as many texts, readings and responses as embeddings, and one at least; not "
            f"{len(embeddings)}, {len(texts)}, {len(decoded)}, {len(responses)}"
        )
    if teacher.dimension != embeddings.shape[1]:
        raise WorkbenchError(
            f"the teacher {teacher.id} has {teacher.dimension} dimensions, the embeddings {embeddings.shape[1]}"
        )
    once = {text: place for place, text in enumerate(dict.fromkeys([*texts, *decoded, *responses]))}
    known = np.asarray(teacher.embed(list(once)), dtype=np.float32)
    columns = (known[[once[text] for text in column]] for column in (texts, decoded, responses))
    return Directions(np.asarray(embeddings, dtype=np.float32), *columns)


def teacher_of(embedder: "Embedder") -> "Teacher":
    """The teacher that an embedder's space was aligned to.

    Raises WorkbenchError for a method that has none (GEM), and what `load_teacher` raises.
    """
    from workbench.training.teachers import load_teacher

    name = getattr(embedder.config, "teacher", None)
    if name is None:
        raise WorkbenchError(
            f"a {embedder.method} embedder was aligned to no teacher, so no other vectors lie in its space"
        )
    return load_teacher(name, embedder.backbone)


def _each(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Row by row, without the table of all pairs; 0 where a vector has no length."""
    return (unit(a) * unit(b)).sum(axis=1)
