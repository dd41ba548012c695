"""The atlas: the same after loading, the same bytes for the same input, and refusals that name both sides."""

import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workbench.atlas import prebuilt
from workbench.embedders.config import LLM2VecGenConfig
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.errors import FingerprintMismatch, UsageError, WorkbenchError

TEXTS = ["What is gold?", "Who are you?", "What is gold?", " ", "Tell me about lions. 🦁"]
ROWS = [{"topic": topic, "kind": "one_hop"} for topic in ("substances", "self", "again", "blank", None)]


@pytest.fixture(scope="module")
def embedder(tiny_backbone):
    return LLM2VecGen.untrained(tiny_backbone, LLM2VecGenConfig(n_compression=3, dimension=16))


@pytest.fixture(scope="module")
def built(embedder, tmp_path_factory):
    path = tmp_path_factory.mktemp("atlas") / "new" / "default.parquet"
    steps = []
    atlas = prebuilt.build(embedder, TEXTS, ROWS, output=path, progress=steps.append)
    return path, atlas, steps


def test_loading_gives_what_was_built(built):
    path, atlas, steps = built
    again = prebuilt.load(path)
    for field in dataclasses.fields(atlas):
        ours, theirs = getattr(atlas, field.name), getattr(again, field.name)
        np.testing.assert_array_equal(ours, theirs) if isinstance(ours, np.ndarray) else (
            ours == theirs or pytest.fail(field.name)
        )
    assert steps == list(prebuilt.STEPS)


def test_blank_texts_are_left_out_and_the_first_of_equal_ones_stays(built):
    _, atlas, _ = built
    assert atlas.texts == [TEXTS[0], TEXTS[1], TEXTS[4]]
    assert atlas.topics == ["substances", "self", ""]


def test_its_columns_are_the_embedder_s_own_answers(built, embedder):
    _, atlas, _ = built
    np.testing.assert_allclose(atlas.embeddings, embedder.encode(atlas.texts), rtol=2e-3, atol=2e-3)
    assert atlas.responses == embedder.backbone.respond(atlas.texts)
    documents = embedder.encode_document(atlas.decoded)
    cosines = np.asarray(embedder.similarity(atlas.embeddings, documents)).diagonal()
    np.testing.assert_allclose(atlas.round_trip, cosines, atol=2e-3)


def test_the_same_input_gives_the_same_bytes(built, embedder, tmp_path):
    prebuilt.build(embedder, TEXTS, ROWS, output=tmp_path / "again.parquet")
    assert (tmp_path / "again.parquet").read_bytes() == built[0].read_bytes()


def test_another_embedder_is_refused_by_name(built, embedder, tiny_backbone):
    _, atlas, _ = built
    prebuilt.check_fingerprint(atlas, embedder)
    other = LLM2VecGen.untrained(tiny_backbone, LLM2VecGenConfig(n_compression=3, dimension=16), seed=1)
    with pytest.raises(FingerprintMismatch) as raised:
        prebuilt.check_fingerprint(atlas, other)
    assert prebuilt.fingerprint_of(embedder)[:8] in str(raised.value)
    assert prebuilt.fingerprint_of(other)[:8] in str(raised.value)


def test_what_is_no_atlas_is_refused(tmp_path, built):
    with pytest.raises(UsageError, match="no atlas"):
        prebuilt.load(tmp_path / "nothing.parquet")
    (tmp_path / "torn.parquet").write_bytes(built[0].read_bytes()[:500])
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "other.parquet")
    for name, words in (("torn", "not a parquet file"), ("other", "is not an atlas")):
        with pytest.raises(WorkbenchError, match=words):
            prebuilt.load(tmp_path / f"{name}.parquet")


def test_a_failed_build_leaves_nothing(embedder, tmp_path):
    with pytest.raises(WorkbenchError, match="at least three"):
        prebuilt.build(embedder, ["one", "one", "two"], [{}] * 3, output=tmp_path / "a.parquet")
    with pytest.raises(WorkbenchError, match="3 texts but 2 rows"):
        prebuilt.build(embedder, ["one", "two", "three"], [{}] * 2, output=tmp_path / "a.parquet")
    assert list(tmp_path.iterdir()) == []
