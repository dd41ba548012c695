"""Directions: cosines and shares computed by hand, every text embedded once, and refusals that say what differs."""

import numpy as np
import pytest

from workbench.atlas.directions import directions, teacher_of
from workbench.embedders.config import LLM2VecGenConfig
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.errors import WorkbenchError


class Plane:
    """A teacher of two dimensions that knows a few texts, and counts what it is asked."""

    id, dimension = "plane", 2

    def __init__(self):
        self.asked = []

    def fingerprint(self):
        return "plane"

    def embed(self, texts, batch_size=64):
        self.asked += texts
        known = {"east": (1, 0), "north": (0, 2), "both": (3, 3)}
        return np.array([known[text] for text in texts], np.float32)


def test_cosines_and_the_share_are_those_computed_by_hand():
    embeddings = np.array([[1, 0], [0, 1], [1, 1]], np.float32)
    teacher = Plane()
    found = directions(
        embeddings, ["north", "both", "east"], ["both", "east", "both"], ["east", "east", "north"], teacher
    )
    half = np.sqrt(0.5)
    np.testing.assert_allclose(found.to_text, [0, half, half], atol=1e-6)
    np.testing.assert_allclose(found.to_decoded, [half, 0, 1], atol=1e-6)
    np.testing.assert_allclose(found.to_response, [1, 0, half], atol=1e-6)
    # Only the first is nearer to its response: the second is nearer to its text, the third as near to both.
    assert found.nearer_response == pytest.approx(1 / 3)
    assert sorted(teacher.asked) == ["both", "east", "north"], "each text once"


def test_a_vector_of_no_length_has_no_direction():
    zero = np.zeros((1, 2), np.float32)
    found = directions(zero, ["north"], ["east"], ["east"], Plane())
    assert found.to_response.tolist() == [0]
    assert found.nearer_response == 0


@pytest.mark.parametrize(
    ("embeddings", "texts", "message"),
    [
        (np.ones((2, 2)), ["east"], "as many texts"),
        (np.ones((0, 2)), [], "one at least"),
        (np.ones((1, 3)), ["east"], "plane has 2 dimensions, the embeddings 3"),
    ],
)
def test_what_does_not_fit_is_one_clear_line(embeddings, texts, message):
    with pytest.raises(WorkbenchError, match=message):
        directions(embeddings.astype(np.float32), texts, texts, texts, Plane())


def test_only_an_aligned_embedder_has_a_teacher(tiny_backbone):
    from workbench.embedders.config import GEMConfig
    from workbench.embedders.gem import GEM

    with pytest.raises(WorkbenchError, match="gem embedder was aligned to no teacher"):
        teacher_of(GEM.untrained(tiny_backbone, GEMConfig(n_special=2)))
    config = LLM2VecGenConfig(n_compression=2, dimension=32, teacher="mean-pool")
    assert teacher_of(LLM2VecGen.untrained(tiny_backbone, config)).id == "mean-pool"
